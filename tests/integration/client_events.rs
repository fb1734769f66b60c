//! Server-sent events: reading, reconnecting, stopping.

use std::sync::mpsc;
use std::time::Duration;

use squall::client::{AsyncHttpClient, EventSource, HttpRequest, Phase, Proxy};
use squall::with_timeout;
use squall_tests::{on_one_lane, turned, turned_until_finished};

use super::client_script::{Script, script};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const FIRST: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
    retry: 1\nid: 1\ndata: a\n\nevent: news\nid: 2\ndata: b\n\nid: 3\ndata: lost";
const SECOND: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: c\n\n";
const SILENT: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1\n\n";

/// Answers the n-th connection with the n-th text, then closes; tells `Last-Event-ID`s.
fn serving(answers: &'static [&'static str]) -> (Script, mpsc::Receiver<String>) {
    let (seen, sees) = mpsc::channel();
    let server = script(move |number, mut peer| {
        let head = peer.head().expect("a head");
        assert!(head.contains("\r\nAccept: text/event-stream\r\n"), "{head}");
        let ids = head
            .lines()
            .filter_map(|line| line.strip_prefix("Last-Event-ID: "));
        seen.send(ids.collect::<Vec<_>>().join(" "))
            .expect("waited for");
        peer.write(
            answers
                .get(number)
                .unwrap_or(&"HTTP/1.1 204 No Content\r\n\r\n"),
        );
    });
    (server, sees)
}

#[test]
fn a_stream_that_ends_is_asked_for_again_from_where_it_was() {
    let (server, sees) = serving(&[FIRST, SECOND]);
    let url = server.url("/");
    let events = on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let mut source = EventSource::new(&client, move || HttpRequest::get(&url));
        let mut events = Vec::new();
        while let Some(event) = source.next().await.expect("events") {
            events.push(format!("{} {} {}", event.event, event.data, event.id));
        }
        events
    });
    assert_eq!(events, ["message a 1", "news b 2", "message c 2"]);
    assert_eq!(sees.try_iter().collect::<Vec<_>>(), ["", "2", "2"]);
}

#[test]
fn what_reconnecting_does_not_mend_is_an_error() {
    for (answer, phase, words) in [
        (
            "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
            Phase::Status,
            "404",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
            Phase::Body,
            "text/html",
        ),
    ] {
        let server = script(move |_, mut peer| {
            peer.head();
            peer.write(answer);
        });
        let url = server.url("/");
        let error = on_one_lane(async move {
            let client = AsyncHttpClient::new();
            let mut source = EventSource::new(&client, move || HttpRequest::get(&url));
            source.next().await.expect_err("no events")
        });
        assert_eq!(error.phase(), phase, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// A minute of pauses would be one without an error.
async fn refused(source: EventSource) -> squall::FetchError {
    let mut source = source;
    let next = with_timeout(Duration::from_secs(60), source.next());
    next.await.expect("in time").expect_err("no events")
}

#[test]
fn what_refuses_an_answer_is_told_at_once() {
    for (answer, phase) in [
        (
            "HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            Phase::Redirect,
        ),
        (
            "HTTP/1.1 302 Go\r\nLocation: ftp://a.test/\r\nContent-Length: 0\r\n\r\n",
            Phase::Redirect,
        ),
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n", Phase::WaitHead),
    ] {
        let server = script(move |_, mut peer| {
            while peer.head().is_some() {
                peer.write(answer);
            }
        });
        let url = server.url("/");
        let error = on_one_lane(async move {
            let client = AsyncHttpClient::new();
            refused(EventSource::new(&client, move || HttpRequest::get(&url))).await
        });
        assert_eq!(error.phase(), phase, "{error}");
        assert_eq!(server.accepted(), 1, "{error}");
    }
}

#[test]
fn what_refuses_a_connection_is_told_at_once() {
    let server = script(|_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    });
    let (url, proxy) = (server.url("/"), server.url(""));
    on_one_lane(async move {
        let guarded = AsyncHttpClient::builder().public_only(true).build();
        let error = refused(EventSource::new(&guarded, move || HttpRequest::get(&url))).await;
        assert!(error.to_string().contains("public_only"), "{error}");

        let proxy = Proxy::new(&proxy).expect("a proxy");
        let behind = AsyncHttpClient::builder().proxy(proxy).build();
        let make = || HttpRequest::get("https://a.test/");
        let error = refused(EventSource::new(&behind, make)).await;
        assert!(error.to_string().contains("407"), "{error}");
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn an_id_that_no_field_can_carry_is_none() {
    let (server, sees) = serving(
        &["HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
         retry: 1\nid: 1\ndata: a\n\nid: 2\x01\ndata: b\n\n"],
    );
    let url = server.url("/");
    let ids = on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let make = move || HttpRequest::get(&url).header("Last-Event-ID", "0");
        let mut source = EventSource::new(&client, make);
        let mut ids = Vec::new();
        while let Some(event) = source.next().await.expect("events") {
            ids.push(event.id);
        }
        ids
    });
    assert_eq!(ids, ["1", "1"]);
    // What has been had replaces what the request said.
    assert_eq!(sees.try_iter().collect::<Vec<_>>(), ["0", "1"]);
}

#[test]
fn a_client_that_raises_is_told_of_a_status_too() {
    let server = script(|_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    });
    let url = server.url("/");
    let error = on_one_lane(async move {
        let client = AsyncHttpClient::builder().raise_error(true).build();
        let mut source = EventSource::new(&client, move || HttpRequest::get(&url));
        source.next().await.expect_err("no events")
    });
    assert_eq!(
        (error.phase(), error.code()),
        (Phase::Status, 404),
        "{error}"
    );
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_pause_goes_on_while_nobody_waits_for_it() {
    const LATER: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
        retry: 600000\ndata: a\n\n";
    let server = script(|number, mut peer| {
        peer.head();
        peer.write(if number == 0 { LATER } else { SECOND });
    });
    let url = server.url("/");
    let (io_loop, clock) = turned();
    let task = io_loop.spawn(async move {
        let client = AsyncHttpClient::new();
        let mut source = EventSource::new(&client, move || HttpRequest::get(&url));
        let mut data = String::new();
        let mut given_up = 0;
        while data.len() < 2 {
            match with_timeout(Duration::from_secs(250), source.next()).await {
                Ok(event) => data += &event.expect("a stream").expect("an event").data,
                Err(_) => given_up += 1,
            }
        }
        (data, given_up)
    });
    let ((data, given_up), _) = turned_until_finished(&io_loop, &clock, task);
    assert_eq!(data, "ac");
    assert!(given_up > 1, "{given_up}");
    io_loop.stop();
}

#[test]
fn an_event_without_end_is_an_error() {
    let server = script(move |_, mut peer| {
        peer.head();
        peer.write(STREAM);
        peer.write(format!("data: {}", "x".repeat(2000)));
        peer.is_closed();
    });
    let url = server.url("/");
    let error = on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let source = EventSource::new(&client, move || HttpRequest::get(&url));
        source
            .max_event_size(1000)
            .next()
            .await
            .expect_err("too large")
    });
    assert!(error.to_string().contains("max_event_size"), "{error}");
}

#[test]
fn attempts_that_fail_are_told_when_they_are_used_up() {
    let (server, sees) = serving(&[SILENT, "", ""]);
    let url = server.url("/");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let source = EventSource::new(&client, move || HttpRequest::get(&url));
        source
            .max_retries(2)
            .next()
            .await
            .expect_err("no event ever came");
    });
    assert_eq!(sees.try_iter().count(), 3);
}
