//! `RequestHandler` and streams: answers that are flushed, bodies that are received in
//! pieces, clients that leave meanwhile.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use squall::sync::Event;
use squall::testing::{TestResponse, TestServer};
use squall::{
    Application, Body, Bytes, Context, Error, RequestHandler, Result, Settings, StatusCode,
};
use squall_tests::PATIENCE;

/// Sends one chunk, then waits to be told before the next.
#[derive(Clone)]
struct Steps {
    go: Arc<Event>,
    close: Sender<&'static str>,
}

impl RequestHandler for Steps {
    async fn get(&mut self, context: &mut Context) -> Result<()> {
        context.set_status(StatusCode::ACCEPTED);
        context.set_header("Content-Type", "text/plain")?;
        context.write("one ");
        context.flush().await;
        self.go.wait().await;
        context.set_status(StatusCode::NOT_FOUND);
        context.write("two ");
        context.flush().await;
        context.write("three ");
        match context.request().query() {
            Some("fail") => return Err(Error::internal("too late for a status")),
            Some("panic") => panic!("a bug"),
            Some("tail") => context.finish(Body::from("tail")),
            _ => {}
        }
        Ok(())
    }

    fn on_finish(&mut self, _: &Context, status: StatusCode) {
        assert_eq!(status, StatusCode::ACCEPTED);
        self.close.send("finish").expect("the test listens");
    }

    fn on_connection_close(&mut self, _: &Context) {
        self.close.send("close").expect("the test listens");
    }
}

fn steps() -> (TestServer, Arc<Event>, Receiver<&'static str>) {
    let go = Arc::new(Event::new());
    let (close, hears) = channel();
    let handler = Steps {
        go: go.clone(),
        close,
    };
    (
        TestServer::start(Application::new().route("/", handler)),
        go,
        hears,
    )
}

/// Reads until `text` has come.
fn read_until(stream: &mut impl Read, text: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(text.as_bytes()) {
        stream.read_exact(&mut byte).expect("more of the answer");
        seen.push(byte[0]);
    }
    String::from_utf8(seen).expect("text")
}

#[test]
fn a_flush_is_at_the_client_before_the_handler_goes_on() {
    for (query, end) in [("", "three "), ("?tail", "tail")] {
        let (server, go, hears) = steps();
        let mut stream = server.connect();
        let request = format!("GET /{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = read_until(&mut stream, "one ");
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        assert!(hears.try_recv().is_err(), "the handler has ended");
        go.set();
        stream.read_to_string(&mut answer).expect("the rest");
        let answer = TestResponse::parse(answer.as_bytes());
        assert_eq!(answer.text(), format!("one two {end}"));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(hears.recv_timeout(PATIENCE), Ok("finish"));
    }
}

#[test]
fn an_error_behind_a_flush_breaks_the_answer_off() {
    for (query, version) in [("?fail", 1), ("?panic", 1), ("?fail", 0)] {
        let (server, go, hears) = steps();
        let mut stream = server.connect();
        let request = format!("GET /{query} HTTP/1.{version}\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = read_until(&mut stream, "one ").into_bytes();
        go.set();
        // A reset is as good as an end.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).expect("text");
        assert!(
            answer.contains("two "),
            "what was flushed is sent: {answer}"
        );
        assert!(!answer.contains("three"), "{answer}");
        assert!(
            !answer.ends_with("0\r\n\r\n"),
            "it looks complete: {answer}"
        );
        assert_eq!(hears.recv_timeout(PATIENCE), Ok("finish"));
    }
}

#[test]
fn head_of_a_streamed_answer_has_no_body_and_ends() {
    let (server, go, hears) = steps();
    go.set();
    let answer = server.send("HEAD", "/", &[], b"");
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("finish"));
}

#[test]
fn a_client_that_leaves_is_on_connection_close() {
    // Behind a flush.
    let (server, _go, hears) = steps();
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    read_until(&mut stream, "one ");
    drop(stream);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("close"));

    // Before the answer has begun.
    #[derive(Clone)]
    struct Waits(Sender<&'static str>);
    impl RequestHandler for Waits {
        async fn get(&mut self, _: &mut Context) -> Result<()> {
            self.0.send("waiting").expect("the test listens");
            std::future::pending().await
        }
        fn on_connection_close(&mut self, _: &Context) {
            self.0.send("close").expect("the test listens");
        }
    }
    let (said, hears) = channel();
    let server = TestServer::start(Application::new().route("/", Waits(said)));
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("waiting"));
    drop(stream);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("close"));
}

/// How many chunks a handler could flush before its client read anything.
#[test]
fn flush_waits_for_a_slow_client() {
    static FLUSHED: AtomicUsize = AtomicUsize::new(0);
    const CHUNKS: usize = 1000;
    #[derive(Clone)]
    struct Floods(Sender<()>);
    impl RequestHandler for Floods {
        async fn get(&mut self, context: &mut Context) -> Result<()> {
            for _ in 0..CHUNKS {
                context.write([0; 64 << 10]);
                context.flush().await;
                if FLUSHED.fetch_add(1, Ordering::SeqCst) == 0 {
                    self.0.send(()).expect("the test listens");
                }
            }
            Ok(())
        }
    }
    let (said, hears) = channel();
    let server = TestServer::start(Application::new().route("/", Floods(said)));
    let mut stream = server.connect();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("sent");
    hears.recv_timeout(PATIENCE).expect("a first flush");
    // The handler runs until the sockets' buffers are full. They hold a few MiB at most,
    // of 62 MiB, so that it cannot have ended unless nothing held it back.
    let mut first = [0];
    stream.read_exact(&mut first).expect("the answer");
    assert!(
        FLUSHED.load(Ordering::SeqCst) < CHUNKS,
        "nothing held it back"
    );
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the rest");
    assert_eq!(
        rest.iter().filter(|byte| **byte == 0).count(),
        CHUNKS * (64 << 10)
    );
    assert_eq!(FLUSHED.load(Ordering::SeqCst), CHUNKS);
}

/// Answers with how the body came.
#[derive(Clone, Default)]
struct Receives {
    bytes: usize,
    largest: usize,
}

impl RequestHandler for Receives {
    async fn prepare(&mut self, context: &mut Context) -> Result<()> {
        match context.request().query() {
            Some("refuse") => Err(Error::unauthorized("first sign in")),
            _ => Ok(()),
        }
    }

    async fn data_received(&mut self, context: &mut Context, chunk: Bytes) -> Result<()> {
        if self.bytes == 0 {
            context.set_header("X-First", chunk.len().to_string())?;
        }
        self.bytes += chunk.len();
        self.largest = self.largest.max(chunk.len());
        match context.request().query() {
            Some("enough") => context.finish("enough"),
            Some("bad") => return Err(Error::unsupported_media_type("no image")),
            _ => {}
        }
        Ok(())
    }

    async fn put(&mut self, context: &mut Context) -> Result<()> {
        context.write(self.bytes.to_string());
        Ok(())
    }
}

#[test]
fn a_body_is_received_in_pieces_before_the_verb() {
    let mut settings = Settings::default();
    settings.server.max_body_size = 8 << 20;
    let app = Application::new()
        .route("/", Receives::default())
        .settings(settings);
    let server = TestServer::start(app);
    let body = vec![b'x'; 4 << 20];
    let whole = server.send("PUT", "/", &[], &body);
    assert_eq!((whole.status, whole.text().as_str()), (200, "4194304"));
    let first: usize =
        (whole.header("x-first").and_then(|size| size.parse().ok())).expect("a size");
    assert!(first < body.len(), "it was collected");
    assert_eq!(server.send("PUT", "/", &[], b"").text(), "0");
    let chunked = server.raw(
        b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    assert_eq!(TestResponse::parse(&chunked).text(), "5");
    for (query, status, text) in [
        ("?refuse", 401, None),
        ("?bad", 415, None),
        ("?enough", 200, Some("enough")),
    ] {
        let answer = server.send("PUT", &format!("/{query}"), &[], b"abc");
        assert_eq!(answer.status, status, "{query}");
        if let Some(text) = text {
            assert_eq!(answer.text(), text, "{query}");
        }
    }
    let too_large = server.raw(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\nx");
    assert_eq!(TestResponse::parse(&too_large).status, 413);
}
