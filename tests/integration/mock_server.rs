//! `MockServer`: what it says, what it keeps, and each of its faults as a client sees it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use squall::client::{AsyncHttpClient, FetchError, HttpRequest, RequestSent};
use squall::testing::{MockReply, MockServer};
use squall::{Body, BodyError, Bytes};
use squall_tests::on_two_lanes;

fn fetch(request: HttpRequest) -> Result<(u16, String), FetchError> {
    on_two_lanes(async move {
        let mut response = AsyncHttpClient::new().fetch(request).await?;
        Ok((response.code(), response.text().await?))
    })
}

fn get(server: &MockServer) -> Result<(u16, String), FetchError> {
    fetch(HttpRequest::get(server.url("/")))
}

#[test]
fn replies_come_in_order_and_the_last_one_stays() {
    let server = MockServer::replying([
        MockReply::ok("one"),
        MockReply::with_status("404 Not Here", "two").close(),
        MockReply::redirect("/three"),
        MockReply::ok("three"),
    ]);
    assert_eq!(get(&server).expect("an answer"), (200, "one".into()));
    assert_eq!(get(&server).expect("an answer"), (404, "two".into()));
    assert_eq!(get(&server).expect("an answer"), (200, "three".into()));
    assert_eq!(get(&server).expect("an answer"), (200, "three".into()));
    let targets: Vec<_> = (server.requests().iter())
        .map(|request| (request.connection, request.target().to_owned()))
        .collect();
    let wanted = [(0, "/"), (1, "/"), (2, "/"), (2, "/three"), (3, "/")];
    assert_eq!(
        targets,
        wanted.map(|(number, target)| (number, target.to_owned()))
    );
    assert_eq!(server.accepted(), 4);
}

#[test]
fn requests_are_kept_with_their_bodies() {
    let server = MockServer::answering(MockReply::ok(""));
    let mut pieces = ["a", "bc"].into_iter();
    let stream = Body::from_fn(move || {
        let piece = pieces
            .next()
            .map(|piece| Ok::<_, BodyError>(Bytes::from(piece)));
        async move { piece }
    });
    for body in [Body::from("whole"), stream] {
        let request = HttpRequest::put(server.url("/x?y"))
            .header("X-A", "b")
            .body(body);
        fetch(request).expect("an answer");
    }
    let [whole, chunked] = &server.wait_for_requests(2)[..] else {
        panic!("two requests");
    };
    assert_eq!((whole.method(), whole.target()), ("PUT", "/x?y"));
    assert_eq!(
        (whole.header("x-a"), whole.header("x-b")),
        (Some("b"), None)
    );
    assert_eq!(whole.header("Content-Length"), Some("5"));
    assert!(whole.head.starts_with("PUT /x?y HTTP/1.1\r\n") && whole.head.ends_with("\r\n\r\n"));
    assert_eq!(
        (whole.text(), chunked.text()),
        ("whole".into(), "abc".into())
    );
    assert_eq!(chunked.header("transfer-encoding"), Some("chunked"));
}

#[test]
fn slow_answers_are_waited_for_or_not() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    let pause = Duration::from_millis(20);
    let server = MockServer::replying([
        MockReply::ok("late").after(pause),
        MockReply::bytes(head)
            .then("ha")
            .then_wait(pause)
            .then("lf"),
        MockReply::bytes(head).then_drip("drip", pause),
        MockReply::ok("dead").hold_after(0),
    ]);
    for body in ["late", "half", "drip"] {
        assert_eq!(get(&server).expect("an answer"), (200, body.into()));
    }
    let limited = HttpRequest::get(server.url("/")).first_byte_timeout(pause);
    let error = fetch(limited).expect_err("it says nothing");
    assert!(error.is_timeout(), "{error}");
}

#[test]
fn answers_that_break_off() {
    let ok = MockReply::ok("hello");
    let server = MockServer::replying([
        ok.clone().close_after(0),
        ok.clone().close_after(20),
        ok.clone().close_after(40),
        ok.clone().reset_after(20),
        ok.clone().reset_after(40),
    ]);
    // A GET is sent again only on a connection that was used before: here each is new.
    for (body, words) in [
        (false, "closed"),
        (false, "closed"),
        (true, "closed before"),
        (false, "reset"),
        (true, "reset"),
    ] {
        let error = get(&server).expect_err("no whole answer");
        assert_eq!(error.is_body(), body, "{error}");
        assert!(
            error.to_string().contains(words),
            "{error} does not say {words}"
        );
        assert_ne!(error.request_sent(), RequestSent::No);
    }
}

#[test]
fn a_reset_is_one_on_the_wire() {
    let server = MockServer::answering(MockReply::ok("hello").reset_after(3));
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("written");
    let error = std::io::copy(&mut stream, &mut std::io::sink()).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn what_would_come_behind_its_end_is_not_waited_for() {
    let late = || MockReply::ok("hello").then_wait(Duration::from_secs(3600));
    let server = MockServer::replying([late().close_after(3), late().then("x").reset_after(40)]);
    let error = get(&server).expect_err("no answer");
    assert!(error.to_string().contains("closed"), "{error}");
    let error = get(&server).expect_err("no whole answer");
    assert!(error.to_string().contains("reset"), "{error}");
}

#[test]
fn dropping_it_ends_what_it_holds() {
    let server = MockServer::answering(MockReply::ok("hello").hold_after(3));
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("written");
    let mut first = [0; 3];
    stream.read_exact(&mut first).expect("three bytes");
    let address = server.address();
    drop(server);
    assert_eq!(stream.read(&mut first).expect("an end"), 0);
    assert!(TcpStream::connect(address).is_err());
}
