//! The pool: reuse, the safe retry, limits, waiters, cancellation.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use squall::client::{AsyncHttpClient, FetchError, HttpRequest, Phase, RequestSent};
use squall::net::{ReadStream, UnixStream, WriteStream};
use squall::testing::MockReply;
use squall::{Body, IoLoop};
use squall_tests::{
    OK, TempDir, finished, in_order, on_one_lane, on_one_lane_until_it_is_gone, turned,
    turned_until_finished, until,
};

use super::client_script::{Script, answering, script, silent};
use super::latch::Latch;

#[test]
fn a_connection_is_used_again() {
    let server = answering(OK);
    let url = server.url("/");
    let (first, second, stats) = on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let first = client.fetch(&url).await.expect("an answer");
        let mut second = client.fetch(&url).await.expect("an answer");
        assert_eq!(second.text().await.expect("a body"), "ok");
        (first.reused(), second.reused(), client.stats())
    });
    assert_eq!((first, second), (false, true));
    assert_eq!((stats.open, stats.idle, stats.waiting), (1, 1, 0));
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_client_outlives_the_loop_it_was_used_in() {
    let server = answering(OK);
    let client = AsyncHttpClient::new();
    let fetch = || {
        let (client, url) = (client.clone(), server.url("/"));
        async move { client.fetch(url).await.map(|response| response.reused()) }
    };
    assert!(!on_one_lane_until_it_is_gone(fetch()).expect("an answer"));
    let (io_loop, clock) = turned();
    let second = finished(&io_loop, io_loop.spawn(fetch()));
    assert!(!second.expect("an answer"), "nobody hears of that socket");
    assert_eq!(client.stats().idle, 1);
    until("somebody sweeps", || {
        clock.advance(Duration::from_secs(60));
        io_loop.run(async {}).expect("the loop has seen the time");
        client.stats().idle == 0
    });
    io_loop.stop();
}

#[test]
fn a_full_pool_closes_what_has_been_idle_for_longest() {
    let (a, b) = (answering(OK), answering(OK));
    let urls = [a.url("/"), b.url("/"), b.url("/"), a.url("/")];
    let (reused, idle) = on_one_lane(async move {
        let client = AsyncHttpClient::builder().max_idle_connections(1).build();
        let mut reused = Vec::new();
        for url in urls {
            reused.push(client.fetch(url).await.expect("an answer").reused());
        }
        (reused, client.stats().idle)
    });
    assert_eq!((reused, idle), (vec![false, false, true, false], 1));
}

#[test]
fn what_cannot_be_used_again_is_closed() {
    for (answer, why) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: foo, close\r\n\r\nok",
            "asked to close",
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.0"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
            "left over",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=1\r\n\r\nok",
            "too short",
        ),
    ] {
        let server = answering(answer);
        let url = server.url("/");
        let idle = on_one_lane(async move {
            let client = AsyncHttpClient::new();
            let mut response = client.fetch(&url).await.expect("an answer");
            assert_eq!(response.text().await.expect("a body"), "ok");
            client.stats().idle
        });
        assert_eq!(idle, 0, "{why}");
    }
}

/// Answers once per connection; the second request on the first one finds it closed, at
/// the moment when it has been read.
fn stale(method: &'static str) -> (Script, Result<u16, FetchError>) {
    let server = script(move |number, mut peer| {
        while let Some(head) = peer.head() {
            if number == 0 && head.starts_with(&format!("{method} /second")) {
                return;
            }
            peer.write(OK);
        }
    });
    let (one, two) = (server.url("/first"), server.url("/second"));
    let result = on_one_lane(async move {
        let client = AsyncHttpClient::new();
        client.fetch(one).await?;
        let request = HttpRequest::new(two).method(method.parse().expect("a method"));
        client
            .fetch(request.body("body"))
            .await
            .map(|response| response.code())
    });
    (server, result)
}

#[test]
fn a_stale_connection_is_replaced_where_that_is_safe() {
    let (server, result) = stale("PUT");
    assert_eq!(result.expect("an answer"), 200);
    assert_eq!(server.accepted(), 2);
}

#[test]
fn a_request_that_may_have_been_acted_on_is_not_repeated() {
    let (server, result) = stale("POST");
    let error = result.expect_err("no answer");
    assert_eq!(error.request_sent(), RequestSent::Maybe);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_408_for_the_idle_connection_is_not_the_answer() {
    let server = script(|number, mut peer| {
        while let Some(head) = peer.head() {
            let late =
                "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            match number {
                0 if head.contains(" /second ") => return peer.write(late),
                2.. => return peer.write(late),
                _ => peer.write(OK),
            }
        }
    });
    let base = server.url("");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        client
            .fetch(format!("{base}/first"))
            .await
            .expect("an answer");
        let second = client
            .fetch(format!("{base}/second"))
            .await
            .expect("an answer");
        assert_eq!((second.code(), second.retries()), (200, 1));
        // On a new connection it means what it says.
        let fresh = AsyncHttpClient::new()
            .fetch(&base)
            .await
            .expect("an answer");
        assert_eq!((fresh.code(), fresh.retries()), (408, 0));
    });
    assert_eq!(server.accepted(), 3);
}

#[test]
fn a_connection_closed_while_idle_costs_nothing() {
    let (closed, is_closed) = mpsc::channel();
    let server = script(move |_, mut peer| {
        peer.head();
        peer.write(OK);
        drop(peer);
        let _ = closed.send(());
    });
    let url = server.url("/");
    let code = on_one_lane(async move {
        let client = AsyncHttpClient::new();
        client.fetch(&url).await?;
        is_closed.recv().expect("closed");
        let request = HttpRequest::post(&url).body("not to be repeated");
        client.fetch(request).await.map(|response| response.code())
    });
    assert_eq!(code.expect("an answer"), 200);
    assert_eq!(server.accepted(), 2);
}

/// So many fetches at once, each of which gets its 200.
async fn fetch_at_once(client: &AsyncHttpClient, url: &str, count: usize) {
    let fetches: Vec<_> = (0..count)
        .map(|_| {
            let (client, url) = (client.clone(), url.to_owned());
            IoLoop::current().spawn(async move { client.fetch(url).await.map(|r| r.code()) })
        })
        .collect();
    for fetch in fetches {
        assert_eq!(fetch.await.expect("no panic").expect("an answer"), 200);
    }
}

#[test]
fn connections_are_capped_and_the_others_wait_in_order() {
    let server = answering(OK);
    let url = server.url("/");
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().max_per_origin(2).build();
        fetch_at_once(&client, &url, 40).await;
        let stats = client.stats();
        assert_eq!((stats.open, stats.waiting), (stats.idle, 0));
    });
    assert!(server.accepted() <= 2, "{}", server.accepted());
}

/// A request and the answer to another one come in the same turn of the loop, the request
/// first. On Unix sockets, for what is written there has come.
#[cfg(unix)]
#[test]
fn a_connection_that_comes_free_in_the_same_turn_spares_a_dial() {
    let folder = TempDir::create();
    let path = folder.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("it is free");
    let (asked, asks) = mpsc::channel();
    let (go, goes) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("a connection");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while matches!(peer.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
            if head.ends_with(b"\r\n\r\n") {
                head.clear();
                asked.send(()).expect("the test waits");
                goes.recv().expect("the test lets it go");
                peer.write_all(OK.as_bytes()).expect("written");
                done.send(()).expect("the test waits");
            }
        }
    });
    let io_loop = in_order().build().expect("a loop");
    let second = io_loop.run(async move {
        let client = AsyncHttpClient::builder().build();
        let fetch = move || {
            let (client, path) = (client.clone(), path.clone());
            async move {
                let request = HttpRequest::new("http://localhost/").unix_socket(path);
                let mut response = client.fetch(request).await.expect("an answer");
                response.bytes().await.expect("a body");
                response.reused()
            }
        };
        let (bell, heard) = UnixStream::pair().expect("a pair");
        let (turn, turned) = UnixStream::pair().expect("a pair");
        let first = IoLoop::current().spawn(fetch());
        let has_turned = IoLoop::current().spawn(async move {
            turned.read(&mut [0]).await.expect("turned");
        });
        let second = IoLoop::current().spawn(async move {
            heard.read(&mut [0]).await.expect("rung");
            fetch().await
        });
        while asks.try_recv().is_err() {
            squall::yield_now().await;
        }
        // The loop looks at its sockets, of which one tells that the request was read: it was
        // before this one is written to.
        turn.try_write(b"x").expect("written");
        has_turned.await.expect("no panic");
        // Nothing else runs here until both have come.
        bell.try_write(b"x").expect("written");
        go.send(()).expect("the server waits");
        is_done.recv().expect("it has answered");
        go.send(()).expect("the server goes on");
        first.await.expect("no panic");
        second.await.expect("no panic")
    });
    io_loop.stop();
    assert!(second.expect("ran"), "it waited for the first one's");
}

#[test]
fn a_connection_that_a_waiter_is_about_to_take_is_not_surplus() {
    let latch = Latch::default();
    let opens = latch.clone();
    let server = script(move |_, mut peer| {
        while peer.head().is_some() {
            opens.block();
            peer.write(OK);
        }
    });
    let url = server.url("/");
    let io_loop = in_order().build().expect("a loop");
    let idle = io_loop.run(async move {
        let client = AsyncHttpClient::builder().max_per_origin(16);
        let client = client.max_idle_per_origin(1).build();
        let waiting = client.clone();
        IoLoop::current().spawn_callback(move || async move {
            while waiting.stats().waiting < 400 - 16 {
                squall::yield_now().await;
            }
            latch.open();
        });
        fetch_at_once(&client, &url, 400).await;
        client.stats().idle
    });
    io_loop.stop();
    assert!(server.accepted() <= 16, "{}", server.accepted());
    assert_eq!(idle.expect("ran"), 1);
}

#[test]
fn too_many_waiters_fail_at_once_and_patience_has_an_end() {
    let (asked, asks) = mpsc::channel();
    let server = silent(move |_, _| {
        let _ = asked.send(());
    });
    let (io_loop, clock) = turned();
    let client = AsyncHttpClient::builder()
        .max_connections(1)
        .max_waiters(1)
        .build();
    let fetch = || {
        let client = client.clone();
        // Nothing but the pool has a limit.
        let request = HttpRequest::new(server.url("/"))
            .connect_timeout(Duration::ZERO)
            .request_timeout(Duration::ZERO)
            .idle_timeout(Duration::ZERO);
        io_loop.spawn(async move { client.fetch(request).await.map(drop) })
    };
    let holder = fetch();
    asks.recv().expect("the only connection is in use");
    let waiter = fetch();
    until("it waits", || client.stats().waiting == 1);
    let refused = finished(&io_loop, fetch()).expect_err("full");
    assert!(refused.to_string().contains("max_waiters"), "{refused}");
    assert_eq!(refused.phase(), Phase::Queue);
    let (late, time) = turned_until_finished(&io_loop, &clock, waiter);
    let late = late.expect_err("late");
    assert!(
        late.is_timeout() && late.to_string().contains("pool_timeout"),
        "{late}"
    );
    assert!(time >= Duration::from_secs(10), "after {time:?}");
    assert_eq!((client.stats().open, client.stats().waiting), (1, 0));
    holder.cancel();
    io_loop.stop();
}

#[test]
fn cancelled_fetches_leave_nothing_behind() {
    let server = script(|_, mut peer| {
        while let Some(head) = peer.head() {
            if head.starts_with("GET /never") {
                peer.is_closed();
                return;
            }
            peer.write(OK);
        }
    });
    let (never, ok) = (server.url("/never"), server.url("/ok"));
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().max_per_origin(3).build();
        for round in 0..20 {
            let fetches: Vec<_> = (0..8)
                .map(|_| {
                    let (client, url) = (client.clone(), never.clone());
                    IoLoop::current().spawn(async move { client.fetch(url).await.map(drop) })
                })
                .collect();
            // Each round lets them come a bit further before they are dropped.
            for _ in 0..round {
                IoLoop::current().spawn(async {}).await.expect("ran");
            }
            fetches
                .into_iter()
                .for_each(squall_loop::JoinHandle::cancel);
        }
        for _ in 0..3 {
            let response = client.fetch(&ok).await.expect("a place");
            assert_eq!(response.code(), 200);
        }
        // What was cancelled in the middle of a poll is dropped behind it.
        let left = || (client.stats().open - client.stats().idle) + client.stats().waiting;
        let ended = async {
            while left() > 0 {
                squall::yield_now().await;
            }
        };
        let ended = squall::with_timeout(Duration::from_secs(30), ended).await;
        assert!(ended.is_ok(), "{:?}", client.stats());
    });
}

#[test]
fn a_body_that_is_dropped_closes_its_connection_and_frees_its_place() {
    let server = script(|_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        assert!(peer.is_closed());
    });
    let url = server.url("/");
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().max_per_origin(1).build();
        for _ in 0..3 {
            let mut response = client.fetch(&url).await.expect("an answer");
            let chunk = response.chunk().await.expect("a chunk");
            assert_eq!(chunk.as_deref(), Some(b"hello".as_slice()));
            let body: Body = response.into_body();
            assert_eq!(client.stats().open, 1);
            drop(body);
            assert_eq!(client.stats().open, 0);
        }
    });
    assert_eq!(server.accepted(), 3);
}

#[test]
fn an_answer_that_nobody_reads_costs_no_connection_where_it_has_arrived() {
    let long = 30_000;
    let (sent, is_sent) = mpsc::channel();
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let chunked = head.starts_with("GET /chunked");
            let framing = match chunked {
                true => "Transfer-Encoding: chunked".to_owned(),
                false => format!("Content-Length: {long}"),
            };
            let body = match chunked {
                true => "2\r\nok\r\n0\r\n\r\n".to_owned(),
                false => "x".repeat(long),
            };
            peer.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}"));
            let _ = sent.send(());
        }
    });
    let base = server.url("");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        for path in ["/chunked", "/long", "/chunked", "/long"] {
            let response = client.fetch(format!("{base}{path}")).await;
            let response = response.expect("an answer");
            is_sent.recv().expect("all of it was sent");
            drop(response);
            assert_eq!(client.stats().idle, 1, "{path}");
        }
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn idle_connections_are_reaped_by_the_clock() {
    let server = answering(OK);
    let url = server.url("/");
    let (io_loop, clock) = turned();
    let client = AsyncHttpClient::new();
    let fetching = client.clone();
    let fetched = io_loop.run(async move { fetching.fetch(url).await.map(drop) });
    fetched.expect("ran").expect("an answer");
    assert_eq!(client.stats().idle, 1);
    let mut turned = 0;
    while client.stats().open > 0 {
        clock.advance(Duration::from_secs(1));
        io_loop.run(async {}).expect("the loop has seen the time");
        turned += 1;
    }
    assert!(turned >= 15, "reaped after {turned} s, before keep_idle");
    io_loop.stop();
}

#[test]
fn a_connection_gets_only_so_old() {
    let server = answering(OK);
    let url = server.url("/");
    let (io_loop, clock) = turned();
    let client = AsyncHttpClient::builder()
        .keep_idle(Duration::from_secs(3600))
        .max_age(Duration::from_secs(300))
        .build();
    // A tenth more or less, so that what was opened together is not closed together.
    for (seconds, reused) in [(0, false), (269, true), (62, false)] {
        clock.advance(Duration::from_secs(seconds));
        let (client, url) = (client.clone(), url.clone());
        let fetched = io_loop.run(async move { client.fetch(url).await });
        let response = fetched.expect("ran").expect("an answer");
        assert_eq!(response.reused(), reused, "after {seconds} s more");
    }
    assert_eq!(server.accepted(), 2);
    io_loop.stop();
}

#[test]
fn a_server_that_says_how_long_it_keeps_a_connection_is_believed() {
    for (told, kept, over) in [
        // Longer than keep_idle, and given up a second before the server does.
        ("timeout=60", 58, 59),
        ("max=100, timeout=20", 18, 19),
        // No server is worth more.
        ("timeout=3600", 89, 90),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: {told}\r\n\r\n");
        let server = Script::answering(MockReply::bytes(head).then("ok"));
        let url = server.url("/");
        let (io_loop, clock) = turned();
        let client = AsyncHttpClient::new();
        for (seconds, reused) in [(0, false), (kept, true), (over, false)] {
            clock.advance(Duration::from_secs(seconds));
            let (client, url) = (client.clone(), url.clone());
            let response = io_loop.run(async move {
                let mut response = client.fetch(url).await.expect("an answer");
                response.bytes().await.expect("a body");
                response
            });
            let again = response.expect("ran").reused();
            assert_eq!(again, reused, "{told}: after {seconds} s more");
        }
        io_loop.stop();
    }
}

#[test]
fn the_limits_of_a_request_are_not_the_next_ones() {
    let short = Duration::from_secs(1);
    for hasty in [
        HttpRequest::idle_timeout,
        HttpRequest::first_byte_timeout,
        HttpRequest::request_timeout,
    ] {
        let (asked, asks) = mpsc::channel();
        let latch = Latch::default();
        let opens = latch.clone();
        let server = script(move |_, mut peer| {
            peer.head();
            peer.write(OK);
            peer.head();
            let _ = asked.send(());
            opens.block();
            peer.write(OK);
            peer.is_closed();
        });
        let (io_loop, clock) = turned();
        let client = AsyncHttpClient::new();
        let fetch = |request: HttpRequest| {
            let client = client.clone();
            io_loop.spawn(async move {
                let mut response = client.fetch(request).await?;
                response.bytes().await?;
                Ok::<_, FetchError>(response.reused())
            })
        };
        let request = || HttpRequest::new(server.url("/"));
        let first = finished(&io_loop, fetch(hasty(request(), short)));
        assert!(!first.expect("an answer"));
        let second = fetch(request());
        asks.recv().expect("the second request");
        clock.advance(5 * short);
        io_loop.run(async {}).expect("the loop has seen the time");
        latch.open();
        assert!(finished(&io_loop, second).expect("an answer"));
        io_loop.stop();
    }
}
