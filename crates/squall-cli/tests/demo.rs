//! `squall demo` from outside: the real program, and requests on the wire.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use squall::testing::{Nobody, TestResponse};

/// A test that waits longer for anything has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running demo; killed when it is dropped.
struct Demo {
    child: Child,
    service: SocketAddr,
    third_party: Option<SocketAddr>,
}

impl Demo {
    fn start(options: &[&str]) -> Self {
        Self::logging_to(Stdio::piped(), options)
    }

    fn logging_to(stderr: Stdio, options: &[&str]) -> Self {
        let usual = ["demo", "--listen", "127.0.0.1:0", "--lanes", "2"];
        let mut child = program(&[&usual, options].concat(), "")
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let service = ready(&mut lines, "squall").expect("the service is ready");
        let named = options.contains(&"--third-party");
        let third_party = if named {
            None
        } else {
            ready(&mut lines, "third party")
        };
        Self {
            child,
            service,
            third_party,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.service).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request without waiting for its answer.
    fn begin(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        stream
    }

    fn get(&self, target: &str) -> TestResponse {
        answer(self.begin("GET", target, "", b""))
    }

    fn get_json(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// Asks until the answer is as wanted.
    fn until(&self, target: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get_json(target);
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{target} stays {answer}");
            std::thread::yield_now();
        }
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
    }

    fn upload(&self, field: &str, filename: &str, file: &[u8]) -> TestResponse {
        let head =
            format!("--xx\r\nContent-Disposition: form-data; name=\"{field}\"{filename}\r\n\r\n");
        let body = [head.as_bytes(), file, b"\r\n--xx--\r\n"].concat();
        let kind = "Content-Type: multipart/form-data; boundary=xx\r\n";
        answer(self.begin("POST", "/api/v2/account/upload", kind, &body))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Jobs last for as long as this lives; none outlives the test, however that ends.
struct Hold(std::path::PathBuf);

impl Hold {
    fn new() -> Self {
        let name = format!("squall-demo-hold-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, "").unwrap();
        Self(file)
    }

    fn job(&self) -> String {
        format!("while [ -e '{}' ]; do sleep 0.05; done", self.0.display())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn program(arguments: &[&str], log: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(arguments).env("RUST_LOG", log);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str], log: &str) -> Child {
    program(arguments, log).spawn().unwrap()
}

fn ready(lines: &mut BufReader<ChildStdout>, name: &str) -> Option<SocketAddr> {
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let address = line
        .strip_prefix(name)?
        .strip_prefix(" listening on http://")?;
    address.trim_end().parse().ok()
}

fn answer(mut stream: TcpStream) -> TestResponse {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    TestResponse::parse(&bytes)
}

fn has_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn error_of(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.is_empty(), "no ready line without a server");
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A PNG's header for 640 × 480 pixels, and data that nobody looks at.
fn png(bytes: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0".to_vec();
    png.resize(bytes, 7);
    png
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn routes_answer_as_their_contract_says() {
    let demo = Demo::start(&["--job", "exit 0"]);
    for (route, body) in [
        ("/plaintext", "It works"),
        ("/sync", "It works"),
        ("/async", "It works"),
        ("/future", "It works"),
        ("/client/async", "It works"),
        ("/block/1", "blocked"),
        ("/spin/1", "spun"),
        ("/sleep/1", "slept"),
        ("/lock/1", "unlocked"),
        ("/deadline/1?limit_ms=20000", "blocked"),
    ] {
        let answer = demo.get(route);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, body),
            "{route}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8"),
            "{route}"
        );
    }
    for route in [
        "/async/task",
        "/future/response",
        "/future/response?timeout_ms=20000",
    ] {
        let done = demo.get_json(route);
        assert_eq!(
            (&done["greeting"], &done["status"]),
            (&json!("hello"), &json!(0)),
            "{route}"
        );
        assert!(done["ms"].is_u64(), "{route}");
    }
    let called = demo.get_json("/client/sync");
    assert_eq!(
        (&called["code"], called["ms"].is_u64()),
        (&json!(200), true)
    );
    let fetched = demo.get_json("/client/response");
    assert_eq!(
        (&fetched["code"], fetched["bytes"].is_u64()),
        (&json!(200), true)
    );
    assert!(fetched["time_info"]["total"].is_f64());
}

#[test]
fn background_jobs_are_listed() {
    let demo = Demo::start(&["--job", "exit 0"]);
    for route in ["/async", "/future", "/client/async"] {
        assert_eq!(demo.get(route).text(), "It works");
    }
    let all_done = |jobs: &Value| {
        let jobs = jobs.as_array().unwrap();
        jobs.len() == 3 && jobs.iter().all(|job| job["state"] == "done")
    };
    for job in demo.until("/jobs", all_done).as_array().unwrap() {
        assert!(
            job["start"].is_u64() && job["end"].is_u64() && job["result"].is_object(),
            "{job}"
        );
    }
}

#[test]
fn a_failing_job_is_a_502_that_shows_its_status() {
    let demo = Demo::start(&["--job", "exit 3"]);
    for route in ["/sync", "/async/task", "/future/response"] {
        let answer = demo.get(route);
        assert_eq!(answer.status, 502, "{route}");
        assert_eq!(
            answer.json()["detail"],
            "the job ended with status 3",
            "{route}"
        );
    }
    assert_eq!(demo.get("/async").status, 200);
    demo.until("/jobs", |jobs| jobs[0]["state"] == "failed");
}

#[test]
fn blocked_handlers_stall_nobody_and_are_named() {
    let hold = Hold::new();
    let demo = Demo::start(&["--job", &hold.job()]);
    let blocked: Vec<_> = (0..5)
        .map(|_| demo.begin("GET", "/sync", "", b""))
        .collect();
    let stats = demo.until("/stats", |stats| {
        stats["blocked_now"].as_array().unwrap().len() == 5
    });
    for now in stats["blocked_now"].as_array().unwrap() {
        assert_eq!(keys(now), ["ms", "on_cpu", "route", "syscall"]);
        assert_eq!(
            (&now["route"], &now["on_cpu"]),
            (&json!("GET /sync"), &json!(false))
        );
    }
    for _ in 0..20 {
        assert_eq!(demo.get("/plaintext").text(), "It works");
    }
    // The pool is not the loop: its timeout comes, too.
    assert_eq!(demo.get("/future/response?timeout_ms=10").status, 504);
    assert!(
        !blocked.iter().any(has_answered),
        "the jobs cannot have ended"
    );
    drop(hold);
    for stream in blocked {
        assert_eq!(answer(stream).text(), "It works");
    }
    let stats = demo.until("/stats", |stats| {
        !stats["learned"].as_array().unwrap().is_empty()
    });
    assert_eq!(stats["learned"][0]["route"], "GET /sync");
    assert_eq!(
        keys(&stats["learned"][0]),
        ["longest_ms", "polls_blocked", "route"]
    );
}

#[test]
fn a_deadline_is_answered_while_its_handler_is_stuck() {
    let demo = Demo::start(&["--job", "exit 0"]);
    let answer = demo.get("/deadline/2000?limit_ms=50");
    assert_eq!(answer.status, 504);
    let stats = demo.get_json("/stats");
    assert_eq!(
        stats["blocked_now"][0]["route"], "GET /deadline/{ms}",
        "it is stuck still: {stats}"
    );
    assert_eq!(demo.get("/deadline/1").json()["field"], "limit_ms");
    for (route, field) in [
        ("/deadline/1?limit_ms=600001", "limit_ms"),
        ("/future/response?timeout_ms=600001", "timeout_ms"),
        ("/sleep/600001", "ms"),
    ] {
        let refused = demo.get(route);
        assert_eq!(
            (refused.status, &refused.json()["field"]),
            (400, &json!(field))
        );
    }
}

#[test]
fn stats_have_their_shape() {
    let demo = Demo::start(&["--job", "exit 0"]);
    demo.get("/client/response");
    let stats = demo.get_json("/stats");
    let names = [
        "blamed",
        "blocked_now",
        "client",
        "handoffs",
        "lanes",
        "late",
        "learned",
        "requests",
        "shed",
        "threads",
        "uptime_ms",
    ];
    assert_eq!(keys(&stats), names);
    assert_eq!(stats["lanes"].as_array().unwrap().len(), 2);
    assert_eq!(
        keys(&stats["lanes"][1]),
        ["connections", "handoffs", "id", "polls", "stuck_ms"]
    );
    assert_eq!(
        keys(&stats["threads"]),
        ["cap", "carriers", "executor", "spares"]
    );
    assert_eq!(
        stats["client"],
        json!({ "open": 1, "idle": 1, "dialling": 0, "waiting": 0 })
    );
    assert_eq!(stats["requests"], 2);
}

#[test]
fn forwarding_keeps_method_path_query_headers_and_body() {
    let demo = Demo::start(&["--job", "exit 0"]);
    let body = vec![b'x'; 100_000];
    let target = "/forward/anything/a%2Fb//c;d?q=%20&q=2";
    let seen = answer(demo.begin("PUT", target, "X-One: 1\r\nx-one: 2\r\n", &body)).json();
    assert_eq!(
        (&seen["method"], &seen["path"]),
        (&json!("PUT"), &json!("/anything/a%2Fb//c;d"))
    );
    assert_eq!(seen["query"], "q=%20&q=2");
    assert_eq!(seen["length"], 100_000);
    assert_eq!(seen["sha256"], hex(&Sha256::digest(&body)));
    assert_eq!(seen["data"], Value::Null, "more than 64 KiB");
    let headers = seen["headers"].as_array().unwrap();
    let ones: Vec<_> = (headers.iter())
        .filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case("x-one"))
        .map(|header| header[1].as_str().unwrap())
        .collect();
    assert_eq!(ones, ["1", "2"]);
    let host = demo.third_party.unwrap().to_string();
    assert!(headers.contains(&json!(["Host", host])));

    let echoed = answer(demo.begin("POST", "/forward/anything/x", "", "hällo".as_bytes())).json();
    assert_eq!(echoed["data"], "hällo");
    assert_eq!(demo.get("/forward/slow/1").status, 200);
    assert_eq!(demo.get("/forward/nowhere").status, 404);
}

#[test]
fn an_upload_goes_through_to_the_third_party() {
    let demo = Demo::start(&["--job", "exit 0"]);
    let image = png(3 << 20);
    let answer = demo.upload("file", "; filename=\"a.png\"", &image);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({
            "filename": "a.png",
            "content_type": "image/png",
            "bytes": image.len(),
            "sha256": hex(&Sha256::digest(&image)),
            "width": 640,
            "height": 480,
            "fields": {},
        })
    );
    assert_eq!(
        demo.upload("file", "; filename=\"a.txt\"", b"hello").status,
        415
    );
    for (field, filename) in [("image", "; filename=\"a.png\""), ("file", "")] {
        let refused = demo.upload(field, filename, &image);
        assert_eq!(
            (refused.status, &refused.json()["field"]),
            (400, &json!("file"))
        );
    }
}

#[test]
fn a_wrong_key_is_relayed_as_401() {
    let demo = Demo::start(&["--job", "exit 0", "--api-key", "guessed"]);
    let refused = demo.upload("file", "; filename=\"a.png\"", &png(3 << 20));
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("ApiKey realm=\"ocr\""))
    );
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let demo = Demo::start(&["--job", "exit 0"]);
    let mut stream = demo.connect();
    let head = "POST /api/v2/account/upload HTTP/1.1\r\nHost: demo\r\nContent-Length: 9999999\r\n\
                Content-Type: multipart/form-data; boundary=xx\r\n\r\n\
                --xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n";
    stream
        .write_all(&[head.as_bytes(), &png(200_000)].concat())
        .unwrap();
    demo.until("/stats", |stats| stats["client"]["open"] == 1);
    drop(stream);
    demo.until("/stats", |stats| stats["client"]["open"] == 0);
}

#[test]
fn a_third_party_that_is_down_is_a_502() {
    let nobody = Nobody::bind();
    let demo = Demo::start(&["--job", "exit 0", "--third-party", &nobody.url("")]);
    for route in ["/client/sync", "/client/response", "/forward/x"] {
        assert_eq!(demo.get(route).status, 502, "{route}");
    }
    assert_eq!(demo.get("/client/async").status, 200);
    demo.until("/jobs", |jobs| jobs[0]["state"] == "failed");
}

#[test]
fn the_pages_need_nothing_from_elsewhere() {
    let demo = Demo::start(&["--job", "exit 0"]);
    for page in ["/", "/console/"] {
        let answer = demo.get(page);
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let text = answer
            .text()
            .replace("http://www.w3.org/2000/svg", "")
            .replace("http%3A//www.w3.org/2000/svg", "");
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{page}"
        );
    }
    let without_slash = demo.get("/console");
    assert_eq!(without_slash.status, 308);
    assert_eq!(without_slash.header("location"), Some("/console/"));
    let page = demo.get("/").text();
    for route in [
        "/sync",
        "/async/task",
        "/future/response",
        "/client/async",
        "/jobs",
        "/console/",
    ] {
        assert!(page.contains(route), "{route}");
    }
}

#[test]
fn what_is_in_flight_is_answered_before_the_end() {
    let mut demo = Demo::start(&["--job", "exit 0"]);
    let mut begun: Vec<_> = (0..2)
        .map(|_| demo.begin("GET", "/block/800", "", b""))
        .collect();
    begun.extend((0..10).map(|_| demo.begin("GET", "/sleep/800", "", b"")));
    demo.until("/stats", |stats| stats["requests"].as_u64() >= Some(13));
    demo.terminate();
    for stream in begun {
        assert_eq!(answer(stream).status, 200);
    }
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_costs_nothing_else() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut demo = Demo::logging_to(full.unwrap().into(), &["--job", "sleep 1", "--access-log"]);
    for (route, status) in [
        ("/plaintext", 200),
        ("/future/response?timeout_ms=0", 504),
        ("/block/50", 200),
        ("/nowhere", 404),
        ("/plaintext", 200),
    ] {
        assert_eq!(demo.get(route).status, status, "{route}");
    }
    demo.terminate();
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, said) = error_of(run(&["demo", "--listen", &address], "off"));
    assert_eq!((status, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains(&address) && said.contains("in use"), "{said}");

    let no_pem = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let (status, said) = error_of(run(&["demo", "--third-party-ca", no_pem], "off"));
    assert_eq!((status, said.lines().count()), (Some(1), 1), "{said}");
    assert!(
        said.contains("Cargo.toml contains no certificate (--third-party-ca)"),
        "{said}"
    );

    for wrong in [
        "--nope",
        "--lanes=0",
        "--listen=here",
        "--third-party=ftp://x",
    ] {
        let (status, said) = error_of(run(&["demo", wrong], "off"));
        assert_eq!(status, Some(2), "{wrong}: {said}");
        assert!(
            said.contains(wrong.split('=').next().unwrap()),
            "{wrong}: {said}"
        );
    }
}

#[test]
fn the_access_log_is_asked_for() {
    for (option, logged) in [("--access-log", true), ("--insecure", false)] {
        let mut demo = Demo::start(&["--job", "exit 0", option]);
        demo.get("/plaintext");
        let mut stderr: ChildStderr = demo.child.stderr.take().unwrap();
        demo.child.kill().unwrap();
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        assert_eq!(
            log.contains("path=\"/plaintext\""),
            logged,
            "{option}: {log}"
        );
    }
}
