//! What runs out: sizes, connections, descriptors. Each limit answers with its name.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

use squall::testing::{TestResponse, TestServer};
use squall::{Application, Request, Response, Result, Settings, StatusCode, any, post};
use squall_tests::until;

use super::latch::{Latch, told};

/// Reads the body to its end.
async fn sink(mut request: Request) -> Result<String> {
    let mut length = 0;
    while let Some(piece) = request.body_mut().chunk().await {
        length += piece?.len();
    }
    Ok(length.to_string())
}

fn start(change: impl FnOnce(&mut squall::settings::ServerSettings)) -> TestServer {
    let mut settings = Settings::default();
    change(&mut settings.server);
    TestServer::start(Application::new().route("/", any(sink)).settings(settings))
}

#[test]
fn each_size_has_a_name_and_an_answer() {
    let server = start(|settings| {
        settings.max_header_size = 2_000;
        settings.max_headers = 10;
        settings.max_target_size = 500;
        settings.max_body_size = 3_000;
        settings.max_chunk_line = 100;
        settings.max_chunk_extensions = 200;
        settings.max_trailer_size = 300;
        settings.max_trailers = 5;
    });
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
    let chunks = |body: &str| {
        format!("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
    };
    for (status, setting, request) in [
        (
            414,
            "max_target_size",
            format!("GET /{} HTTP/1.1\r\n", "a".repeat(600)),
        ),
        // It can never become a short one, so nobody waits for its end.
        (414, "max_target_size", format!("GET /{}", "a".repeat(600))),
        (
            431,
            "max_header_size",
            get(&format!("X: {}\r\n", "a".repeat(2_000))),
        ),
        (
            431,
            "max_header_size",
            format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(2_000)),
        ),
        (431, "max_headers", get(&"X: a\r\n".repeat(10))),
        (
            413,
            "max_body_size",
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3001\r\n\r\n".into(),
        ),
        (
            413,
            "max_body_size",
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551615\r\n\r\n".into(),
        ),
        (413, "max_body_size", chunks("bb9\r\n")),
        (
            413,
            "max_body_size",
            chunks(&format!("3e8\r\n{}\r\n", "a".repeat(1_000)).repeat(4)),
        ),
        (413, "max_body_size", chunks("ffffffffffffffff\r\n")),
        (
            400,
            "max_chunk_line",
            chunks(&format!("1;{}", "a".repeat(150))),
        ),
        (
            400,
            "max_chunk_extensions",
            chunks(&"1;aaaaaaaa\r\na\r\n".repeat(30)),
        ),
        (
            431,
            "max_trailer_size",
            chunks(&format!("0\r\nX: {}", "a".repeat(400))),
        ),
        (
            431,
            "max_trailers",
            chunks(&format!("0\r\n{}\r\n", "X: a\r\n".repeat(6))),
        ),
    ] {
        let answer = TestResponse::parse(&server.raw(request.as_bytes()));
        let text = answer.text();
        assert_eq!(answer.status, status, "{request:.40}: {text}");
        assert_eq!(answer.header("connection"), Some("close"), "{request:.40}");
        assert!(text.contains(&format!("(setting: {setting})")), "{text}");
    }
    // What is just allowed.
    for request in [
        format!(
            "GET /?{} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
            "a".repeat(498)
        ),
        get(&format!("Connection: close\r\n{}", "X: a\r\n".repeat(8))),
        chunks(&format!(
            "bb8\r\n{}\r\n0\r\n{}\r\n",
            "a".repeat(3_000),
            "X: a\r\n".repeat(5)
        ))
        .replace("Host", "Connection: close\r\nHost"),
    ] {
        let answer = TestResponse::parse(&server.raw(request.as_bytes()));
        assert_eq!(answer.status, 200, "{request:.60}: {}", answer.text());
    }
}

#[test]
fn a_client_that_is_still_sending_sees_why_it_was_refused() {
    let server = start(|settings| settings.max_body_size = 1_000);
    for head in [
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 50000000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nExpect: x\r\nContent-Length: 50000000\r\n\r\n",
    ] {
        let mut tcp = server.connect();
        tcp.write_all(head.as_bytes()).expect("sent");
        // Many times what the sockets hold.
        let piece = vec![b'a'; 1 << 20];
        for _ in 0..40 {
            tcp.write_all(&piece).expect("the server still reads");
        }
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer)
            .expect("an answer, not a reset");
        assert!((400..500).contains(&TestResponse::parse(&answer).status));
    }
}

#[test]
fn who_waits_for_leave_is_let_in_or_told_otherwise() {
    async fn refuses() -> StatusCode {
        StatusCode::FORBIDDEN
    }
    async fn echoes(mut request: Request) -> Response {
        Response::new(StatusCode::OK, request.take_body())
    }
    let application = Application::new()
        .route("/sink", post(sink))
        .route("/refuses", post(refuses))
        .route("/echoes", post(echoes));
    let server = TestServer::start(application);
    let begin = |path: &str| {
        let mut tcp = server.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        );
        tcp.write_all(head.as_bytes()).expect("sent");
        tcp
    };
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    for path in ["/sink", "/echoes"] {
        let mut tcp = begin(path);
        let mut interim = [0; CONTINUE.len()];
        tcp.read_exact(&mut interim).expect("leave");
        assert_eq!(&interim[..], CONTINUE, "{path}");
        tcp.write_all(b"helloGET /none HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let mut answers = String::new();
        tcp.read_to_string(&mut answers).expect("answers");
        assert!(answers.starts_with("HTTP/1.1 200"), "{path}: {answers}");
        assert!(
            answers.contains("HTTP/1.1 404"),
            "{path}: it goes on: {answers}"
        );
    }
    // A final answer at once, without an interim one, and the connection's end: nobody
    // knows whether the body will come.
    let mut tcp = begin("/refuses");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[test]
fn a_body_that_nobody_reads_is_drained_or_the_connection_closed() {
    async fn ignores() -> &'static str {
        "ignored"
    }
    let server = TestServer::start(Application::new().route("/", any(ignores)));
    for (length, goes_on) in [(100_000, true), (300_000, false)] {
        let mut request =
            format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        // A request in the body must not become one.
        request.extend(
            b"GET /in HTTP/1.1\r\nHost: t\r\n\r\n"
                .iter()
                .cycle()
                .take(length),
        );
        request.extend_from_slice(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let answers = server.raw(&request);
        let text = String::from_utf8_lossy(&answers);
        let count = text.matches("HTTP/1.1 ").count();
        assert_eq!(count, if goes_on { 2 } else { 1 }, "{text}");
        assert_eq!(text.matches("HTTP/1.1 200").count(), count, "{text}");
        assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
    }
}

/// A whole answer to a GET on a connection that goes on; None: it has been closed.
fn asks(tcp: &mut TcpStream) -> Option<u16> {
    let sent = tcp.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n0") {
        match tcp.read(&mut byte) {
            Ok(1) => answer.push(byte[0]),
            _ => return None,
        }
    }
    sent.is_ok().then(|| TestResponse::parse(&answer).status)
}

#[test]
fn at_the_limit_the_connection_that_was_idle_for_longest_gives_way() {
    let server = start(|settings| settings.max_connections = 3);
    let mut open: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    for tcp in &mut open {
        assert_eq!(asks(tcp), Some(200));
    }
    assert_eq!(
        asks(&mut open[0]),
        Some(200),
        "now the second is the idlest"
    );
    let mut fourth = server.connect();
    assert_eq!(asks(&mut fourth), Some(200));
    let mut end = Vec::new();
    assert_eq!(open[1].read_to_end(&mut end).expect("an end"), 0);
    for other in [2, 0] {
        assert_eq!(
            asks(&mut open[other]),
            Some(200),
            "one place, one that goes"
        );
    }
}

#[test]
fn while_all_connections_work_new_ones_wait() {
    let (told, hears) = told();
    let latch = Latch::default();
    let held = latch.clone();
    let waits = move || {
        let (told, latch) = (told.clone(), held.clone());
        async move {
            told.say("begun");
            let _ = squall::run_on_executor(move || latch.block()).await;
            "done"
        }
    };
    let mut settings = Settings::default();
    settings.server.max_connections = 1;
    let application = Application::new()
        .route("/waits", waits)
        .route("/", any(sink))
        .settings(settings);
    let server = TestServer::start(application);
    let mut first = server.connect();
    first
        .write_all(b"GET /waits HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .expect("sent");
    assert_eq!(hears.next(), "begun");
    let mut second = server.connect();
    second
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a socket");
    second
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .expect("sent");
    assert!(second.read(&mut [0]).is_err(), "it waits");
    latch.open();
    let mut answer = String::new();
    first.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("done"), "{answer}");
    second
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket");
    answer.clear();
    second.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// An address of this machine that is not a loopback one. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn one_address_has_so_many_connections() {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has a loopback address only");
        return;
    };
    let mut settings = Settings::default();
    settings.server.max_connections_per_address = 2;
    let application = Application::new().route("/", any(sink)).settings(settings);
    let application = application.listen((address, 0)).expect("a port");
    let io_loop = squall::IoLoop::builder().lanes(1).build().expect("a loop");
    let running = io_loop
        .run(application.start())
        .expect("a loop")
        .expect("served");
    let at = running.local_addr().expect("an address");
    let connect = || {
        let tcp = TcpStream::connect(at).expect("accepted");
        tcp.set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a socket");
        tcp
    };
    let mut open = [connect(), connect()];
    assert!(open.iter_mut().all(|tcp| asks(tcp) == Some(200)));
    let mut third = connect();
    let mut answer = Vec::new();
    third.read_to_end(&mut answer).expect("an answer");
    let answer = TestResponse::parse(&answer);
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert!(
        answer
            .text()
            .contains("(setting: max_connections_per_address)")
    );
    drop(third);
    let [first, mut second] = open;
    assert_eq!(asks(&mut second), Some(200), "the others are left alone");
    drop(first);
    until("another may come", || asks(&mut connect()) == Some(200));
    io_loop.stop();
}
