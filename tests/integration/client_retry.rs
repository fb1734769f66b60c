//! Repeats by policy, and hedging: off, until they are asked for.

use std::sync::mpsc;
use std::time::Duration;

use squall::client::{AsyncHttpClient, HttpRequest, Proxy, RequestSent, Retry};
use squall::testing::TestServer;
use squall::{Application, get};
use squall_tests::{OK, finished, on_one_lane, turned, turned_until_finished};

use super::client_script::{Script, script, silent};

/// Is busy for the first `times` requests, each on a connection of its own.
fn busy(times: usize, head: &'static str) -> Script {
    script(move |number, mut peer| {
        peer.head();
        match number < times {
            true => peer.write(head),
            false => peer.write(OK),
        }
    })
}

const BUSY: &str = "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

#[test]
fn nothing_is_repeated_unless_it_is_asked_for() {
    let server = busy(1, BUSY);
    let url = server.url("/");
    let code =
        on_one_lane(async move { AsyncHttpClient::new().fetch(url).await.map(|r| r.code()) });
    assert_eq!(code.expect("an answer"), 503);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn what_may_be_repeated_is_repeated_so_often() {
    for (make, busy_for, code, connections) in [
        (HttpRequest::new as fn(String) -> HttpRequest, 2, 200, 3),
        (HttpRequest::new, 9, 503, 4),
        (HttpRequest::put, 1, 200, 2),
        // Whoever is busy may still have acted on it.
        (HttpRequest::post, 1, 503, 1),
    ] {
        let server = busy(busy_for, BUSY);
        let url = server.url("/");
        let (got, retries) = on_one_lane(async move {
            let client = AsyncHttpClient::builder().retry(Retry::times(3)).build();
            let response = client.fetch(make(url)).await.expect("an answer");
            (response.code(), response.retries())
        });
        assert_eq!((got, server.accepted()), (code, connections));
        assert_eq!(retries as usize, connections - 1);
    }
}

#[test]
fn a_connection_that_breaks_is_tried_anew_and_a_post_is_not() {
    for (method, repeated) in [("GET", true), ("POST", false)] {
        let server = script(|number, mut peer| {
            peer.head();
            if number > 0 {
                peer.write(OK);
            }
        });
        let url = server.url("/");
        let result = on_one_lane(async move {
            let request = HttpRequest::new(url).method(method.parse().expect("one"));
            AsyncHttpClient::new()
                .fetch(request.retry(Retry::times(1)))
                .await
        });
        match result {
            Ok(response) => assert!(repeated && response.retries() == 1),
            Err(error) => assert!(!repeated && error.request_sent() == RequestSent::Maybe),
        }
    }
}

#[test]
fn the_server_says_when_and_the_limit_says_how_long() {
    let later =
        "HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = busy(1, later);
    let (io_loop, clock) = turned();
    let url = server.url("/");
    let task = io_loop.spawn(async move {
        let begun = squall::IoLoop::current().now();
        // On the clock that is turned, the sockets may take as long as they like.
        let request = HttpRequest::new(url)
            .retry(Retry::times(1))
            .connect_timeout(Duration::ZERO)
            .request_timeout(Duration::ZERO)
            .idle_timeout(Duration::ZERO);
        let code = AsyncHttpClient::new()
            .fetch(request)
            .await
            .map(|r| r.code());
        (code, squall::IoLoop::current().now() - begun)
    });
    while !task.is_finished() {
        clock.advance(Duration::from_millis(100));
        io_loop.run(async {}).expect("the loop has seen the time");
    }
    let (code, time) = finished(&io_loop, task);
    assert_eq!(code.expect("an answer"), 200);
    assert!(time >= Duration::from_secs(3), "{time:?}");
    io_loop.stop();

    let server = busy(1, later);
    let url = server.url("/");
    let code = on_one_lane(async move {
        let retry = Retry::times(1).max_retry_after(Duration::from_secs(2));
        let request = HttpRequest::new(url).retry(retry);
        AsyncHttpClient::new()
            .fetch(request)
            .await
            .map(|r| r.code())
    });
    assert_eq!((code.expect("an answer"), server.accepted()), (429, 1));
}

#[test]
fn a_wait_that_is_longer_than_anybody_waits_ends_the_fetch() {
    for (status, after) in [
        ("503 Busy", "99999999999999999999"),
        ("502 Bad", "60"),
        ("503 Busy", "11"),
    ] {
        let server = script(move |_, mut peer| {
            peer.head();
            peer.write(format!(
                "HTTP/1.1 {status}\r\nRetry-After: {after}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ));
        });
        let request = HttpRequest::new(server.url("/")).retry(Retry::times(2));
        let answer = on_one_lane(async move { AsyncHttpClient::new().fetch(request).await });
        assert!(answer.expect("an answer").code() >= 502);
        assert_eq!(server.accepted(), 1, "{after}");
    }
}

#[test]
fn a_handlers_deadline_is_no_time_to_wait_in() {
    let later =
        "HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = busy(1, later);
    let url = server.url("/");
    let waits = move || {
        let request = HttpRequest::new(&url).retry(Retry::times(1));
        async move {
            let answer = AsyncHttpClient::new().fetch(request).await?;
            Ok::<_, squall::Error>(answer.code().to_string())
        }
    };
    let route = get(waits).timeout(Duration::from_secs(4));
    let server = TestServer::start(Application::new().route("/", route));
    assert_eq!(server.get("/").text(), "503");
}

#[test]
fn a_handshake_that_breaks_off_is_tried_again() {
    let server = script(|_, mut peer| {
        peer.read(1);
        peer.reset();
    });
    let url = format!("https://127.0.0.1:{}/", server.address().port());
    let error = on_one_lane(async move {
        let request = HttpRequest::new(url).retry(Retry::times(2));
        AsyncHttpClient::new().fetch(request).await.map(drop)
    });
    let error = error.expect_err("no handshake");
    assert!(error.is_tls(), "{error}");
    assert_eq!(server.accepted(), 3);
}

#[test]
fn a_hedge_has_no_time_of_its_own() {
    let server = silent(|_, _| {});
    let (io_loop, clock) = turned();
    let request = HttpRequest::new(server.url("/"))
        .connect_timeout(Duration::ZERO)
        .request_timeout(Duration::from_secs(1_000))
        .idle_timeout(Duration::ZERO)
        .hedge_after(Duration::from_secs(600));
    let task = io_loop.spawn(async move {
        let response = AsyncHttpClient::new().fetch(request).await;
        response.map(drop)
    });
    let (outcome, time) = turned_until_finished(&io_loop, &clock, task);
    assert!(outcome.expect_err("silent").is_timeout());
    assert!(time < Duration::from_secs(1_500), "{time:?}");
    assert_eq!(server.accepted(), 2);
    io_loop.stop();
}

#[test]
fn a_silent_server_is_asked_twice_where_that_is_wanted() {
    for (method, asked) in [("GET", 2), ("POST", 1)] {
        let (free, is_free) = mpsc::channel::<()>();
        let is_free = std::sync::Mutex::new(is_free);
        let server = script(move |number, mut peer| {
            let head = peer.head().expect("a head");
            if number == 0 && head.starts_with("GET") {
                // Silent, until the client gives it up.
                assert!(peer.is_closed());
                let _ = is_free.lock().expect("it").recv();
                return;
            }
            peer.write(OK);
        });
        let url = server.url("/");
        let code = on_one_lane(async move {
            let request = HttpRequest::new(url)
                .method(method.parse().expect("one"))
                .hedge_after(Duration::from_millis(1));
            AsyncHttpClient::new()
                .fetch(request)
                .await
                .map(|r| r.code())
        });
        drop(free);
        assert_eq!(code.expect("an answer"), 200);
        assert_eq!(server.accepted(), asked, "{method}");
    }
}

/// That a proxy finds no way to the host may pass; that it does not want to, will not.
#[test]
fn a_tunnel_is_asked_for_again_where_the_way_was_at_fault() {
    let server = script(|number, mut peer| {
        peer.head();
        let status = if number == 0 { "503 Busy" } else { "403 No" };
        peer.write(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
    });
    let proxy = Proxy::new(&server.url("")).expect("a proxy");
    let error = on_one_lane(async move {
        let client = AsyncHttpClient::builder().proxy(proxy).build();
        let request = HttpRequest::get("https://a.test/").retry(Retry::times(5));
        client.fetch(request).await.map(drop)
    });
    let error = error.expect_err("no tunnel");
    assert!(error.to_string().contains("403"), "{error}");
    assert_eq!(server.accepted(), 2);
}
