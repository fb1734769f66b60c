//! Waits that end: heads, bodies and answers of slow clients, on a clock that is turned.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use squall::testing::{TestResponse, TestServer};
use squall::{Application, Body, BodyError, Bytes, Request, Result, Settings, any, post};
use squall_loop::TestClock;
use squall_tests::in_order;

const SECOND: Duration = Duration::from_secs(1);

/// A server of one lane whose time stands still, and a connection that shows how far
/// the lane has come.
struct Stage {
    server: TestServer,
    clock: TestClock,
    other: TcpStream,
}

/// Reads the body to its end.
async fn sink(mut request: Request) -> Result<String> {
    let mut length = 0;
    while let Some(piece) = request.body_mut().chunk().await {
        length += piece?.len();
    }
    Ok(length.to_string())
}

/// Reads the body, and does not answer then.
async fn hangs(request: Request) -> Result<String> {
    sink(request).await?;
    std::future::pending().await
}

/// Reads the first piece only.
async fn stops(mut request: Request) -> Result<String> {
    request.body_mut().chunk().await;
    std::future::pending().await
}

/// More than any socket buffers.
async fn endless() -> Body {
    Body::from_fn(|| async { Some(Ok::<_, BodyError>(Bytes::from(vec![b'a'; 100_000]))) })
}

impl Stage {
    fn start(settings: Settings) -> Self {
        let clock = TestClock::new();
        let io_loop = in_order().clock(&clock).build();
        let application = Application::new()
            .route("/", any(sink))
            .route("/endless", endless)
            .route("/hangs", post(hangs))
            .route("/stops", post(stops))
            .settings(settings);
        let server = TestServer::start_on(io_loop.expect("a loop"), application);
        let other = server.connect();
        let mut stage = Self {
            server,
            clock,
            other,
        };
        stage.settle();
        stage
    }

    /// Waits until the lane has seen what was sent before, and the time.
    fn settle(&mut self) {
        for _ in 0..2 {
            let ask = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";
            self.other.write_all(ask).expect("an open connection");
            let mut answer = Vec::new();
            let mut byte = [0];
            while !answer.ends_with(b"\r\n\r\n0") {
                let read = self.other.read(&mut byte).expect("an answer");
                assert!(read > 0, "an open connection");
                answer.push(byte[0]);
            }
        }
    }

    /// Turns the clock by a second.
    fn second(&mut self) {
        self.settle();
        self.clock.advance(SECOND);
        self.settle();
    }

    /// Sends a piece each second until the server has answered or closed: after how
    /// many seconds, and with what. None: it has not within the time.
    fn drip(&mut self, tcp: &mut TcpStream, piece: &[u8], limit: u32) -> Option<(u32, Vec<u8>)> {
        for second in 1..=limit {
            // The server may have closed.
            let _ = tcp.write_all(piece);
            self.second();
            if is_answered(tcp) {
                let mut answer = Vec::new();
                let _ = tcp.read_to_end(&mut answer);
                return Some((second, answer));
            }
        }
        None
    }
}

/// Whether there is something to read, an end included.
fn is_answered(tcp: &TcpStream) -> bool {
    tcp.set_nonblocking(true).expect("a socket");
    let peeked = tcp.peek(&mut [0]);
    tcp.set_nonblocking(false).expect("a socket");
    !matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// A complete 408 that names the setting.
#[track_caller]
fn is_408(answer: &[u8], setting: &str) {
    let answer = TestResponse::parse(answer);
    assert_eq!(answer.status, 408);
    assert_eq!(answer.header("connection"), Some("close"));
    let text = answer.text();
    assert!(text.contains(&format!("(setting: {setting})")), "{text}");
}

#[test]
fn a_head_has_one_limit_however_it_drips() {
    let mut stage = Stage::start(Settings::default());
    for idle in [0, 40] {
        let mut tcp = stage.server.connect();
        // The time before the first byte is another limit's.
        for _ in 0..idle {
            stage.second();
        }
        tcp.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nX: ")
            .expect("sent");
        let (second, answer) = stage.drip(&mut tcp, b"a", 30).expect("an end");
        assert!((10..=11).contains(&second), "after {second} s");
        is_408(&answer, "header_timeout");
    }
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut stage = Stage::start(Settings::default());
    let mut tcp = stage.server.connect();
    let (second, answer) = stage.drip(&mut tcp, b"", 100).expect("an end");
    assert!((75..=76).contains(&second), "after {second} s");
    assert_eq!(answer, b"");
}

#[test]
fn a_body_may_pause_and_may_not_drip() {
    let head = b"POST / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n";
    let mut stage = Stage::start(Settings::default());
    for (piece, setting) in [
        (0, "body_timeout"),
        (1, "min_body_rate"),
        (400, "min_body_rate"),
    ] {
        let mut tcp = stage.server.connect();
        tcp.write_all(head).expect("sent");
        let (second, answer) = stage
            .drip(&mut tcp, &vec![b'a'; piece], 200)
            .expect("an end");
        // 30 s, and what the bytes have bought.
        let (least, most) = if piece == 400 { (100, 160) } else { (30, 32) };
        assert!(
            (least..=most).contains(&second),
            "{piece}: after {second} s"
        );
        is_408(&answer, setting);
    }
    // The lowest rate that is allowed gets through, in chunks too.
    let mut tcp = stage.server.connect();
    tcp.write_all(head).expect("sent");
    let (second, answer) = stage.drip(&mut tcp, &[b'a'; 600], 200).expect("an end");
    assert_eq!(
        (second, TestResponse::parse(&answer[..answer.len()]).status),
        (100, 200)
    );
}

#[test]
fn a_body_of_which_any_byte_is_enough() {
    let mut settings = Settings::default();
    settings.server.min_body_rate = 0;
    let mut stage = Stage::start(settings);
    let mut tcp = stage.server.connect();
    tcp.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n")
        .expect("sent");
    assert!(stage.drip(&mut tcp, b"a", 100).is_none(), "it may drip");
    let (second, answer) = stage.drip(&mut tcp, b"", 100).expect("an end");
    assert!((29..=31).contains(&second), "after {second} s");
    is_408(&answer, "body_timeout");
}

#[test]
fn the_handlers_time_begins_when_the_body_has_come() {
    let head =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n");
    let is_504 = |answer: &[u8]| {
        let answer = TestResponse::parse(answer);
        assert_eq!(answer.status, 504);
        assert!(answer.text().contains("(setting: handler_timeout)"));
    };
    let mut stage = Stage::start(Settings::default());
    let mut tcp = stage.server.connect();
    tcp.write_all(head("/hangs").as_bytes()).expect("sent");
    let piece = [b'a'; 600];
    assert!(stage.drip(&mut tcp, &piece, 100).is_none(), "it may come");
    let (second, answer) = stage.drip(&mut tcp, b"", 100).expect("an end");
    assert!((59..=61).contains(&second), "after {second} s more");
    is_504(&answer);
    // A body that comes and is not read is no excuse.
    let mut tcp = stage.server.connect();
    tcp.write_all(head("/stops").as_bytes()).expect("sent");
    let (second, answer) = stage.drip(&mut tcp, &piece, 100).expect("an end");
    assert!((60..=62).contains(&second), "after {second} s");
    is_504(&answer);
}

#[test]
fn a_client_that_pauses_has_the_bodys_time_and_not_the_handlers() {
    let mut settings = Settings::default();
    settings.server.handler_timeout = 5 * SECOND;
    let mut stage = Stage::start(settings);
    let head = b"POST / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 20\r\n\r\n";
    let mut tcp = stage.server.connect();
    tcp.write_all(head).expect("sent");
    assert!(stage.drip(&mut tcp, b"", 20).is_none(), "it may pause");
    let (second, answer) = stage.drip(&mut tcp, &[b'a'; 20], 1).expect("an end");
    assert_eq!((second, TestResponse::parse(&answer).status), (1, 200));
    let mut tcp = stage.server.connect();
    tcp.write_all(head).expect("sent");
    let (second, answer) = stage.drip(&mut tcp, b"", 100).expect("an end");
    assert!((30..=31).contains(&second), "after {second} s");
    is_408(&answer, "body_timeout");
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_cut() {
    let mut stage = Stage::start(Settings::default());
    let mut tcp = stage.server.connect();
    tcp.write_all(b"GET /endless HTTP/1.1\r\nHost: t\r\n\r\n")
        .expect("sent");
    let mut first = [0; 15];
    tcp.read_exact(&mut first).expect("an answer begins");
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    for _ in 0..32 {
        stage.second();
    }
    // What the system holds is read; then comes the end, which an endless answer has
    // only when it was cut.
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "no clean end");
}
