//! Server-sent events at the wire.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use squall::testing::TestServer;
use squall::{Application, Event, Header, IntoResponse, IoLoop, LastEventId, Sse, State};

async fn countdown(last: Option<Header<LastEventId>>) -> Sse {
    let mut left = last.map_or(3, |last| last.0.0.parse().unwrap_or(0));
    Sse::from_fn(move || {
        let now = left;
        left -= 1;
        let event = (now > 0).then(|| Event::data(format!("{now}\nleft")).id(&now.to_string()));
        async move { event }
    })
}

#[test]
fn events_come_one_by_one_and_a_client_goes_on_where_it_was() {
    let server = TestServer::start(Application::new().route("/", countdown));
    let answer = server.get("/");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(
        answer.text(),
        "data: 3\ndata: left\nid: 3\n\ndata: 2\ndata: left\nid: 2\n\ndata: 1\ndata: left\nid: 1\n\n"
    );
    let answer = server.send("GET", "/", &[("Last-Event-ID", "1")], b"");
    assert_eq!(answer.text(), "data: 1\ndata: left\nid: 1\n\n");
}

/// Tells the test what happened to the sender.
struct Told(mpsc::SyncSender<&'static str>);

async fn until_gone(State(told): State<Told>) -> impl IntoResponse {
    let (sender, events) = Sse::channel(1);
    IoLoop::current().spawn(async move {
        let first = sender.send(Event::data("first")).await;
        let _ = told.0.send(if first.is_ok() { "sent" } else { "not sent" });
        sender.disconnected().await;
        let late = sender.send(Event::data("late")).await;
        let _ = told.0.send(if late.is_err() { "gone" } else { "there" });
    });
    events
}

#[test]
fn the_sender_hears_when_the_client_is_gone() {
    let (tell, told) = mpsc::sync_channel(4);
    let app = Application::new().route("/", until_gone).state(Told(tell));
    let server = TestServer::start(app);
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("sent");
    let mut seen = Vec::new();
    while !seen.windows(11).any(|bytes| bytes == b"data: first") {
        let mut piece = [0; 512];
        let read = stream.read(&mut piece).expect("events");
        assert!(read > 0, "the answer ended");
        seen.extend_from_slice(&piece[..read]);
    }
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok("sent"));
    drop(stream);
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok("gone"));
}

async fn silent() -> Sse {
    let events = Sse::from_fn(std::future::pending);
    events.keep_alive(Duration::from_millis(1))
}

#[test]
fn silence_is_filled_with_comments() {
    let server = TestServer::start(Application::new().route("/", silent));
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("sent");
    let mut seen = Vec::new();
    while seen.windows(3).filter(|bytes| *bytes == b":\n\n").count() < 3 {
        let mut piece = [0; 64];
        let read = stream.read(&mut piece).expect("comments");
        assert!(read > 0, "the answer ended");
        seen.extend_from_slice(&piece[..read]);
    }
}
