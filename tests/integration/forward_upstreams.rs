//! Sets of upstreams: who gets a request, and what happens when one fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall::StatusCode;
use squall::forward::{Balance, Forward, UpstreamState, Upstreams};
use squall::testing::{ExpectLog, Nobody, TestServer};
use squall_tests::until;

use super::client_script::{Script, answering, script};
use super::forward::{proxy, raw};

/// An upstream that answers with its own name.
pub(crate) fn named(name: &'static str) -> Script {
    script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            peer.read(length.map_or(0, |length| length.parse().expect("a number")));
            peer.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}"
            ));
        }
    })
}

pub(crate) fn set<'a>(scripts: impl IntoIterator<Item = &'a Script>) -> Upstreams {
    Upstreams::of(scripts.into_iter().map(|script| script.url("")))
}

pub(crate) fn answers(server: &TestServer, times: usize) -> String {
    (0..times).map(|_| server.get("/f/x").text()).collect()
}

/// An upstream that answers a request when it is told to.
fn slow() -> (Script, Sender<()>) {
    let (open, opens) = mpsc::channel();
    let opens = Mutex::new(opens);
    let slow = script(move |_, mut peer| {
        peer.head();
        let leave = opens.lock().expect("no panic").recv();
        leave.expect("leave to answer");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    });
    (slow, open)
}

#[test]
fn each_upstream_has_its_turn() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    let forward = Forward::to(set([&a, &b, &c]).balance(Balance::round_robin()));
    assert_eq!(answers(&proxy(forward), 6), "abcabc");
}

#[test]
fn a_key_stays_with_its_upstream() {
    let scripts = [named("a"), named("b"), named("c"), named("d")];
    let by_user =
        Balance::hash(|request| request.headers().get_bytes("x-user").map(<[u8]>::to_vec));
    let server = proxy(Forward::to(set(&scripts).balance(by_user)));
    let mut seen = std::collections::HashSet::new();
    for user in 0..20 {
        let ask = || {
            let answer = server.send("GET", "/f/x", &[("X-User", &user.to_string())], b"");
            answer.text()
        };
        let first = ask();
        assert!((0..3).all(|_| ask() == first), "user {user}");
        seen.insert(first);
    }
    assert!(seen.len() > 1, "all users are with one of four");
}

#[test]
fn the_less_busy_one_gets_the_request() {
    let (slow, open) = slow();
    let fast = named("fast");
    let forward = Forward::to(set([&slow, &fast]));
    let server = proxy(forward.clone());
    std::thread::scope(|scope| {
        let mut waiting = Vec::new();
        // Until one of them is with the slow one.
        while forward.stats()[0].in_flight == 0 {
            waiting.push(scope.spawn(|| server.get("/f/x").text()));
            until("its fate", || {
                forward.stats()[0].in_flight == 1 || waiting.iter().all(|one| one.is_finished())
            });
        }
        assert_eq!(answers(&server, 10), "f".repeat(10));
        open.send(()).expect("the upstream waits");
    });
}

#[test]
fn a_request_that_was_not_sent_goes_to_another_upstream() {
    let (working, nobody) = (named("a"), Nobody::bind());
    let addresses = [nobody.url(""), working.url("")];
    for method in ["GET", "POST", "DELETE"] {
        let upstreams = Upstreams::of(&addresses);
        let forward = Forward::to(upstreams.balance(Balance::round_robin()));
        let server = proxy(forward);
        for _ in 0..4 {
            let answer = server.send(method, "/f/x", &[], b"body");
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, "a"),
                "{method}"
            );
        }
    }
    let forward = Forward::to(Upstreams::of(&addresses).retries(0));
    let server = proxy(forward);
    let failed = (0..20).filter(|_| server.get("/f/x").status == 502).count();
    assert!(failed > 0, "it was sent to another one");
}

#[test]
fn only_what_is_harmless_is_sent_twice() {
    // It takes the whole request, and closes without a word.
    let mute = script(|_, mut peer| {
        if let Some(head) = peer.head() {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            peer.read(length.map_or(0, |length| length.parse().expect("a number")));
        }
    });
    for (method, headers, status) in [
        ("GET", &[][..], 200),
        ("PUT", &[], 200),
        ("POST", &[], 502),
        ("POST", &[("Idempotency-Key", "1")], 200),
    ] {
        let working = named("a");
        let upstreams = set([&mute, &working]).balance(Balance::round_robin());
        let server = proxy(Forward::to(upstreams));
        let answer = server.send(method, "/f/x", headers, b"the body");
        assert_eq!(answer.status, status, "{method} {headers:?}");
    }
}

#[test]
fn a_status_that_declines_leads_to_another_upstream() {
    let declining = || {
        script(|_, mut peer| {
            while let Some(head) = peer.head() {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length: "));
                peer.read(length.map_or(0, |length| length.parse().expect("a number")));
                peer.write("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
            }
        })
    };
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (declines, working) = (declining(), named("a"));
    let both = || set([&declines, &working]).balance(Balance::round_robin());
    for (method, upstreams, expected) in [
        ("GET", both().retry_statuses([busy]), ["a", "a"]),
        ("PUT", both().retry_statuses([busy]), ["a", "a"]),
        // What may have been done is not done again.
        ("POST", both().retry_statuses([busy]), ["busy", "a"]),
        ("GET", both(), ["busy", "a"]),
        (
            "GET",
            both().retry_statuses([StatusCode::BAD_GATEWAY]),
            ["busy", "a"],
        ),
        (
            "GET",
            both().retry_statuses([busy]).retries(0),
            ["busy", "a"],
        ),
    ] {
        let server = proxy(Forward::to(upstreams));
        let answers = [(); 2].map(|()| server.send(method, "/f/x", &[], b"body").text());
        assert_eq!(answers, expected, "{method}");
    }
    // Where all decline, the last one's answer is passed on.
    let second = declining();
    let all = set([&declines, &second]).retry_statuses([busy]);
    let answer = proxy(Forward::to(all)).get("/f/x");
    assert_eq!((answer.status, answer.text().as_str()), (503, "busy"));
    assert_eq!(second.accepted(), 1);
    // It is a failure like others.
    let ejecting = both()
        .retry_statuses([busy])
        .eject_after(2, Duration::from_secs(3600));
    let forward = Forward::to(ejecting);
    let server = proxy(forward.clone());
    assert_eq!(answers(&server, 8), "a".repeat(8));
    assert_eq!(forward.stats()[0].state, UpstreamState::Ejected);
}

#[test]
fn a_body_of_which_nothing_was_sent_goes_elsewhere_although_none_is_kept() {
    let (working, nobody) = (named("a"), Nobody::bind());
    let upstreams = Upstreams::of([nobody.url(""), working.url("")]);
    let upstreams = upstreams.balance(Balance::round_robin());
    let server = proxy(Forward::to(upstreams).replay_buffer(0));
    for _ in 0..2 {
        let answer = server.send("POST", "/f/x", &[], b"body");
        assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    }
}

#[test]
fn a_408_for_an_idle_connection_is_not_the_answer() {
    let upstream = script(|number, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        if number == 0 && peer.head().is_some() {
            peer.write("HTTP/1.1 408 Late\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let server = proxy(Forward::to(upstream.url("")));
    for _ in 0..2 {
        assert_eq!(server.get("/f/x").status, 200);
    }
    assert_eq!(upstream.accepted(), 2);
}

#[test]
fn a_body_that_was_not_kept_is_not_sent_twice() {
    let early = || {
        script(|_, mut peer| {
            peer.head();
            peer.read(20 << 10);
        })
    };
    let put = |kept: usize| {
        let (mute, working) = (early(), named("a"));
        let upstreams = set([&mute, &working]).balance(Balance::round_robin());
        let server = proxy(Forward::to(upstreams).replay_buffer(kept));
        server
            .send("PUT", "/f/x", &[], &vec![b'x'; 20 << 10])
            .status
    };
    assert_eq!(put(64 << 10), 200);
    assert_eq!(put(16 << 10), 502);
    assert_eq!(put(0), 502);
}

#[test]
fn an_idle_connection_that_was_closed_is_replaced_for_a_body_too() {
    // Each connection answers once, says that it stays, and closes when the next request
    // has come, unread.
    let upstream = script(|_, mut peer| {
        let head = peer.head().expect("a head");
        peer.read(if head.starts_with("PUT") { 4 } else { 0 });
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        peer.head();
    });
    let server = proxy(Forward::to(upstream.url("")));
    for _ in 0..5 {
        assert_eq!(server.send("PUT", "/f/x", &[], b"body").status, 200);
    }
}

#[test]
fn a_body_that_was_not_kept_is_not_sent_again_on_another_connection() {
    // Each connection answers once, says that it stays, and closes in the middle of the
    // next request's body.
    let upstream = script(|_, mut peer| {
        peer.head().expect("a head");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        if peer.head().is_some() {
            peer.read(100 << 10);
        }
    });
    let server = proxy(Forward::to(upstream.url("")));
    assert_eq!(server.get("/f/x").status, 200);
    let answer = server.send("PUT", "/f/x", &[], &vec![b'x'; 300 << 10]);
    assert_eq!(
        answer.status, 502,
        "the rest of it would have been a body of its own"
    );
}

#[test]
fn an_upstream_that_is_full_gets_no_more() {
    let (slow, open) = slow();
    let forward = Forward::to(set([&slow]).max_in_flight(1));
    let server = proxy(forward.clone());
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.get("/f/x").text());
        until("the first request", || forward.stats()[0].in_flight == 1);
        let log = ExpectLog::on(&server);
        let second = server.get("/f/x");
        assert_eq!(
            (second.status, second.header("retry-after")),
            (503, Some("1"))
        );
        log.expect(
            "squall::web",
            "none of 1 upstreams is available: 0 down, 0 ejected, 1 full (max_in_flight)",
        );
        open.send(()).expect("the upstream waits");
        assert_eq!(first.join().expect("no panic"), "slow");
    });
    open.send(()).expect("the upstream waits");
    assert_eq!(server.get("/f/x").text(), "slow");
}

#[test]
fn a_retry_takes_no_turn_of_its_own() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let busy = script(move |_, mut peer| {
        while peer.head().is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            peer.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let working = named("a");
    let upstreams = set([&busy, &working])
        .balance(Balance::round_robin())
        .retry_statuses([StatusCode::SERVICE_UNAVAILABLE])
        .eject_after(0, Duration::from_secs(1));
    assert_eq!(answers(&proxy(Forward::to(upstreams)), 4), "aaaa");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "every other first try");
}

#[test]
fn a_body_that_is_sent_again_has_its_trailers_still() {
    let (seen, sees) = mpsc::channel();
    let declining = script(|_, mut peer| {
        peer.head();
        peer.read_until("\r\n\r\n");
        peer.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    });
    let working = script(move |_, mut peer| {
        let head = peer.head().expect("a head");
        assert!(
            head.contains("\r\nTransfer-Encoding: chunked\r\n"),
            "{head}"
        );
        seen.send(peer.read_until("\r\n\r\n")).expect("waited for");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let upstreams = set([&declining, &working])
        .balance(Balance::round_robin())
        .retry_statuses([StatusCode::SERVICE_UNAVAILABLE]);
    let answer = raw(
        &proxy(Forward::to(upstreams)),
        "PUT /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let body = sees.recv().expect("a body");
    assert_eq!(body, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
}

#[test]
fn beyond_the_first_ten_a_fifth_of_the_requests_is_sent_again() {
    const REQUESTS: usize = 110;
    let busy = || answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let (one, other) = (busy(), busy());
    let upstreams = set([&one, &other])
        .retry_statuses([StatusCode::SERVICE_UNAVAILABLE])
        .eject_after(0, Duration::from_secs(1));
    let server = proxy(Forward::to(upstreams));
    for _ in 0..REQUESTS {
        assert_eq!(server.get("/f/x").status, 503);
    }
    let asked = one.requests().len() + other.requests().len();
    assert_eq!(asked - REQUESTS, 10 + REQUESTS / 5);
}
