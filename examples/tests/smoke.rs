//! Each example starts, answers, and ends well.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use super::program::Program;

#[test]
fn hello() {
    let program = Program::start("hello", &["127.0.0.1:0"]);
    assert_eq!(program.get("/").text(), "hello\n");
    program.terminate();
}

#[test]
fn reverse_proxy() {
    let upstream = Program::start("hello", &["127.0.0.1:0"]);
    let proxy = Program::start("reverse_proxy", &["127.0.0.1:0", &upstream.url()]);
    let answer = proxy.get("/");
    assert_eq!(answer.text(), "hello\n");
    assert_eq!(answer.header("via"), Some("1.1 squall"));
    let stats = proxy.get("/.upstreams").text();
    assert_eq!(stats, format!("{} Up 0\n", upstream.url()));
    proxy.terminate();
    upstream.terminate();
}

#[test]
fn fault_proxy() {
    let behind = Program::start("hello", &["127.0.0.1:0"]);
    let to = behind.address().to_string();
    let start = |faults: &[&str]| {
        let usual = ["--listen", "127.0.0.1:0", "--to", to.as_str()];
        Program::start("fault_proxy", &[&usual, faults].concat())
    };
    let say = |program: &Program| {
        let mut stream = TcpStream::connect(program.address()).expect("a connection");
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .expect("sent");
        let mut answer = Vec::new();
        let read = std::io::Read::read_to_end(&mut stream, &mut answer);
        (answer.len(), read.err().map(|error| error.kind()))
    };
    let slow = start(&["--delay", "5", "--rate", "10000"]);
    assert_eq!(slow.get("/").text(), "hello\n");
    slow.terminate();
    assert_eq!(
        say(&start(&["--after", "20", "--then", "close"])),
        (20, None)
    );
    let (_, reset) = say(&start(&["--after", "20", "--then", "reset"]));
    assert_eq!(reset, Some(std::io::ErrorKind::ConnectionReset));
    // What the client says is cut in the middle of its head: there is no answer.
    let cut = start(&["--requests", "--after", "5", "--then", "close"]);
    assert_eq!(say(&cut).0, 0);
    behind.terminate();
}

#[test]
fn middleware() {
    let program = Program::start("middleware", &["127.0.0.1:0"]);
    let answer = program.get("/");
    let id = answer.header("x-request-id").unwrap_or_default();
    assert_eq!(answer.text(), format!("hello, this is request {id}\n"));
    assert!(answer.header("server-timing").is_some());
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let counted = "squall_requests_total{route=\"/\",method=\"GET\",status=\"200\"} 1\n";
    assert!(program.get("/metrics").text().contains(counted));
    program.terminate();
}

#[test]
fn sessions_login() {
    let program = Program::start("sessions_login", &["127.0.0.1:0"]);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let wrong = program.ask("POST", "/login", form, "name=ada&password=byron");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    assert_eq!(program.get("/secret").status, 401);
    let right = program.ask("POST", "/login", form, "name=ada&password=lovelace");
    assert_eq!((right.status, right.header("location")), (303, Some("/")));
    let cookie = right
        .header("set-cookie")
        .and_then(|line| line.split("; ").next());
    let cookie = format!("Cookie: {}\r\n", cookie.expect("a cookie"));
    let ask = |method: &str, target: &str| program.ask(method, target, &cookie, "");
    assert_eq!(ask("GET", "/secret").text(), "ada, the answer is 42\n");
    assert!(ask("GET", "/").text().contains("Hello ada, visit 1."));
    assert_eq!(ask("POST", "/logout").status, 303);
    assert_eq!(ask("GET", "/secret").status, 401);
    program.terminate();
}

#[test]
fn blocking_database() {
    let program = Program::start("blocking_database", &["127.0.0.1:0"]);
    assert_eq!(program.ask("POST", "/notes", "", "first").status, 201);
    assert_eq!(
        program
            .ask("POST", "/notes", "", "'); DROP TABLE notes; --")
            .status,
        201
    );
    assert_eq!(program.ask("POST", "/notes", "", " ").status, 400);
    let notes = program.get("/notes").json();
    assert_eq!(
        notes,
        serde_json::json!(["first", "'); DROP TABLE notes; --"])
    );
    assert_eq!(program.get("/health").text(), "fine\n");
    program.terminate();
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn json_api() {
    let program = Program::start("json_api", &["127.0.0.1:0"]);
    let made = program.ask("POST", "/notes", JSON, "{\"text\":\"buy milk\"}");
    assert_eq!(
        (made.status, made.header("location")),
        (201, Some("/notes/1"))
    );
    let found = program.get("/notes?contains=milk&done=false").json();
    assert_eq!(found[0]["text"], "buy milk");
    let changed = program.ask("PUT", "/notes/1", JSON, "{\"text\":\"x\",\"done\":true}");
    assert_eq!(changed.json()["done"], true);
    let wrong = program.ask("POST", "/notes", JSON, "{\"text\":7}");
    assert_eq!(
        (wrong.status, wrong.json()["field"].as_str()),
        (422, Some("text"))
    );
    assert_eq!(program.ask("DELETE", "/notes/1", "", "").status, 204);
    assert_eq!(program.get("/notes/1").status, 404);
    program.terminate();
}

#[test]
fn upload() {
    let folder = std::env::temp_dir().join(format!("squall-upload-{}", std::process::id()));
    let program = Program::start("upload", &["127.0.0.1:0", &folder.display().to_string()]);
    assert!(program.get("/").text().contains("<form"));
    let send = |name: &str, kind: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\ncat\r\n--b\r\n\
             Content-Disposition: form-data; name=\"photo\"; filename=\"{name}\"\r\n\
             Content-Type: {kind}\r\n\r\nnot really\r\n--b--\r\n"
        );
        let kind = "Content-Type: multipart/form-data; boundary=b\r\n";
        program.ask("POST", "/", kind, &body)
    };
    assert_eq!(
        send("../cat.png", "image/png").text(),
        "cat is cat.png now, 10 bytes\n"
    );
    assert_eq!(send("cat.png", "image/png").status, 409);
    assert_eq!(send("cat.png", "text/html").status, 415);
    assert_eq!(send("cat.php", "image/png").status, 415);
    let photo = program.get("/photos/cat.png");
    assert_eq!(photo.text(), "not really");
    let disposition = photo.header("content-disposition");
    assert_eq!(disposition, Some("attachment; filename=\"cat.png\""));
    assert_eq!(program.get("/photos/dog.png").status, 404);
    program.terminate();
    std::fs::remove_dir_all(folder).expect("the photos");
}

#[test]
fn streaming() {
    let program = Program::start("streaming", &["127.0.0.1:0"]);
    assert_eq!(program.get("/rows/2").text(), "row 0\nrow 1\n");
    assert_eq!(program.ask("POST", "/upper", "", "abc").text(), "ABC");
    assert_eq!(program.ask("PUT", "/count", "", "abc").text(), "3 bytes\n");
    program.terminate();
}

#[test]
fn sse() {
    let program = Program::start("sse", &["127.0.0.1:0"]);
    assert!(program.get("/").text().contains("EventSource"));
    for text in ["one", "two"] {
        assert_eq!(program.ask("POST", "/say", "", text).status, 204);
    }
    let mut listener = TcpStream::connect(program.address()).expect("a connection");
    let request = "GET /events HTTP/1.1\r\nHost: test\r\nLast-Event-ID: 1\r\n\r\n";
    listener.write_all(request.as_bytes()).expect("sent");
    let mut lines = BufReader::new(listener).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    while next() != "data: two" {}
    assert_eq!(next(), "id: 2");
    program.ask("POST", "/say", "", "three");
    while next() != "data: three" {}
    program.terminate();
}

#[test]
fn graceful_shutdown() {
    let program = Program::start("graceful_shutdown", &["127.0.0.1:0"]);
    program.get("/ready").assert_text("ready\n");
    program.terminate();
}

#[test]
fn tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = std::env::temp_dir().join(format!("squall-tls-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let [cert, key] = [cert, key].map(|path| path.display().to_string());
    let program = Program::start("tls", &[&cert, &key, "127.0.0.1:0", "127.0.0.1:0"]);
    program.get("/").assert_status(400);
    program.terminate();
    std::fs::remove_dir_all(folder).expect("a folder");
}

#[test]
fn static_site() {
    let dir = std::env::temp_dir().join(format!("squall-static-site-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    std::fs::write(dir.join("app.js"), "console.log(1)").expect("a file");
    let arguments = [dir.to_str().expect("a path"), "127.0.0.1:0"];
    let program = Program::start("static_site", &arguments);
    let page = program.get("/").text();
    let script = page
        .split('"')
        .find(|text| text.starts_with("/static/app.js?v="));
    let answer = program.get(script.expect("an address with a hash"));
    assert_eq!(answer.text(), "console.log(1)");
    assert!(
        answer
            .header("cache-control")
            .is_some_and(|value| value.contains("immutable"))
    );
    program.terminate();
    std::fs::remove_dir_all(&dir).expect("removed");
}
