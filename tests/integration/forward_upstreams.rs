//! Sets of upstreams: who gets a request, and what happens when one fails.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall::client::{AsyncHttpClient, Proxy, Resolver, Resolving};
use squall::forward::{Balance, Forward, HealthCheck, UpstreamState, Upstreams};
use squall::testing::{ExpectLog, TestServer};
use squall::{Application, StatusCode, any};

use super::client_script::{Script, answering, script};
use super::forward::{proxy, raw, until};

/// An upstream that answers with its own name.
fn named(name: &'static str) -> Script {
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

fn set<'a>(scripts: impl IntoIterator<Item = &'a Script>) -> Upstreams {
    Upstreams::of(scripts.into_iter().map(|script| script.url("")))
}

/// An address at which nobody listens.
fn nobody() -> String {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    format!("http://{}", port.expect("a port"))
}

fn answers(server: &TestServer, times: usize) -> String {
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
    let (working, method) = (named("a"), ["GET", "POST", "DELETE"]);
    for method in method {
        let upstreams = Upstreams::of([nobody(), working.url("")]);
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
    let forward = Forward::to(Upstreams::of([nobody(), working.url("")]).retries(0));
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
    let working = named("a");
    let upstreams = Upstreams::of([nobody(), working.url("")]).balance(Balance::round_robin());
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
fn an_upstream_that_fails_is_left_alone_and_comes_back() {
    let works = Arc::new(AtomicBool::new(false));
    let (told, asked) = (works.clone(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let shaky = script(move |_, mut peer| {
        while peer.head().is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            if !told.load(Ordering::SeqCst) {
                return;
            }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ns");
        }
    });
    let working = named("a");
    let time = Duration::from_secs(10);
    let upstreams = set([&shaky, &working])
        .balance(Balance::round_robin())
        .eject_after(2, time);
    let forward = Forward::to(upstreams);
    let application = Application::new().route("/f/{*path}", any(forward.clone()));
    let (server, clock) = TestServer::start_turned(application);
    let log = ExpectLog::on(&server);
    assert_eq!(answers(&server, 20), "a".repeat(20));
    assert_eq!(asked.load(Ordering::SeqCst), 2, "twice, and then no more");
    assert_eq!(forward.stats()[0].state, UpstreamState::Ejected);
    assert_eq!(forward.stats()[0].address, shaky.url(""));
    log.expect("squall::forward", "left alone");

    // On probation one failure is enough, and the time is twice as long.
    clock.advance(time);
    assert_eq!(answers(&server, 20), "a".repeat(20));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    clock.advance(time);
    assert_eq!(forward.stats()[0].state, UpstreamState::Ejected);
    works.store(true, Ordering::SeqCst);
    clock.advance(time);
    assert_eq!(forward.stats()[0].state, UpstreamState::Up);
    assert!(answers(&server, 4).contains('s'));
    log.expect("squall::forward", "answers again");
}

#[test]
fn half_of_a_set_stays_in_it_and_one_alone_always() {
    let upstreams =
        Upstreams::of([nobody(), nobody(), nobody()]).eject_after(1, Duration::from_secs(10));
    let forward = Forward::to(upstreams);
    let server = proxy(forward.clone());
    for _ in 0..20 {
        assert_eq!(server.get("/f/x").status, 502);
    }
    let ejected = forward
        .stats()
        .iter()
        .filter(|it| it.state == UpstreamState::Ejected)
        .count();
    assert_eq!(ejected, 1);
    let forward = Forward::to(Upstreams::of([nobody()]).eject_after(1, Duration::from_secs(10)));
    let server = proxy(forward.clone());
    assert!((0..5).all(|_| server.get("/f/x").status == 502));
    assert_eq!(forward.stats()[0].state, UpstreamState::Up);
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
fn a_health_check_takes_an_upstream_out_and_back() {
    let (healthy, checks) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (told, count) = (healthy.clone(), checks.clone());
    let sick = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let is_check = head.starts_with("GET /health?deep HTTP/1.1\r\nHost: inner.test\r\n");
            let fails = is_check && !told.load(Ordering::SeqCst);
            let status = if fails { "503 No" } else { "200 OK" };
            peer.write(format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\ns"));
            count.fetch_add(usize::from(is_check), Ordering::SeqCst);
        }
    });
    let every = Duration::from_secs(10);
    // The clock is turned while answers are on their way: no check is late by that.
    let check = HealthCheck::get("/health?deep")
        .host("inner.test")
        .timeout(Duration::from_secs(3600))
        .every(every);
    let forward = Forward::to(set([&sick]).health_check(check));
    let application = Application::new().route("/f/{*path}", any(forward.clone()));
    let (mut server, clock) = TestServer::start_turned(application);
    let log = ExpectLog::on(&server);
    assert_eq!(
        server.get("/f/x").status,
        200,
        "it is up until it has failed three times"
    );
    // Each round of checks is over before the next one begins.
    let rounds = |until_state: UpstreamState| {
        for _ in 0..10 {
            let before = checks.load(Ordering::SeqCst);
            if forward.stats()[0].state == until_state {
                return;
            }
            clock.advance(every);
            until("a check", || {
                checks.load(Ordering::SeqCst) > before || forward.stats()[0].state == until_state
            });
        }
    };
    until("the first check", || checks.load(Ordering::SeqCst) > 0);
    rounds(UpstreamState::Down);
    until("the last check's end", || {
        forward.stats()[0].state == UpstreamState::Down
    });
    log.expect("squall::forward", "is down");
    let none = server.get("/f/x");
    assert_eq!(none.status, 503);
    assert!(
        none.text()
            .contains("no server for this request is available"),
        "{}",
        none.text()
    );

    healthy.store(true, Ordering::SeqCst);
    rounds(UpstreamState::Up);
    until("the last check's end", || {
        forward.stats()[0].state == UpstreamState::Up
    });
    assert_eq!(server.get("/f/x").status, 200);
    assert_eq!(server.shutdown(Duration::from_secs(5)), 0);
}

#[test]
fn a_health_check_does_not_stand_in_line_with_the_requests() {
    let checks = Arc::new(AtomicUsize::new(0));
    let count = checks.clone();
    let (free, is_free) = mpsc::channel::<()>();
    let is_free = Mutex::new(is_free);
    let upstream = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            match head.starts_with("GET /health ") {
                true => drop(count.fetch_add(1, Ordering::SeqCst)),
                false => drop(is_free.lock().expect("it").recv()),
            }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        }
    });
    let one = AsyncHttpClient::builder().max_per_origin(1).build();
    let check = HealthCheck::get("/health").every(Duration::from_millis(100));
    let forward = Forward::to(set([&upstream]).health_check(check)).client(&one);
    let server = proxy(forward.clone());
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| server.get("/f/x").status);
        until("a check beside the request", || {
            checks.load(Ordering::SeqCst) > 1
        });
        assert_eq!(forward.stats()[0].state, UpstreamState::Up);
        drop(free);
        assert_eq!(answer.join().expect("no panic"), 200);
    });
}

#[test]
fn what_is_down_counts_where_half_of_a_set_has_to_stay() {
    let sick = script(|_, mut peer| {
        while peer.head().is_some() {
            peer.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    // Well, as far as its checks go.
    let mute = script(|_, mut peer| {
        while (peer.head()).is_some_and(|head| head.starts_with("GET /health ")) {
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let check = HealthCheck::get("/health").thresholds(1, 1);
    let upstreams = set([&sick, &mute])
        .health_check(check)
        .eject_after(1, Duration::from_secs(3600))
        .retries(0);
    let forward = Forward::to(upstreams);
    let server = proxy(forward.clone());
    server.get("/f/x");
    let states = || {
        forward
            .stats()
            .iter()
            .map(|it| it.state)
            .collect::<Vec<_>>()
    };
    until("the check", || states()[0] == UpstreamState::Down);
    for _ in 0..5 {
        assert_eq!(server.get("/f/x").status, 502);
    }
    assert_eq!(states()[1], UpstreamState::Up);
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
fn the_addresses_of_a_name_are_not_believed_for_ever() {
    /// The name is where it is said to be.
    struct Moving(Arc<Mutex<IpAddr>>);
    impl Resolver for Moving {
        fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
            let at = *self.0.lock().expect("it");
            Box::pin(async move { Ok(vec![at]) })
        }
    }
    let upstream = named("a");
    let place = Arc::new(Mutex::new([127, 0, 0, 1].into()));
    let client = AsyncHttpClient::builder().resolver(Moving(place.clone()));
    let client = client.connect_timeout(Duration::ZERO).build();
    let name = format!("http://backend.test:{}", upstream.address().port());
    let forward = Forward::to(Upstreams::of_name(&name)).client(&client);
    let application = Application::new().route("/f/{*path}", any(forward));
    let (server, clock) = TestServer::start_turned(application);
    assert_eq!(server.get("/f/x").status, 200);
    *place.lock().expect("it") = [127, 0, 0, 2].into();
    clock.advance(Duration::from_secs(20));
    assert_eq!(server.get("/f/x").status, 200, "it may still be there");
    clock.advance(Duration::from_secs(600));
    assert_eq!(server.get("/f/x").status, 502, "it is not any more");
}

#[test]
fn a_name_is_asked_past_the_proxy_if_the_list_has_it() {
    let upstream = named("a");
    let proxy_there = Proxy::new(&nobody()).expect("an address");
    let name = format!("http://backend.test:{}", upstream.address().port());
    for (no_proxy, status) in [("backend.test", 200), ("other.test", 502)] {
        let client = AsyncHttpClient::builder()
            .host("backend.test", [[127, 0, 0, 1].into()])
            .proxy(proxy_there.clone().no_proxy(no_proxy))
            .build();
        let forward = Forward::to(Upstreams::of_name(&name)).client(&client);
        assert_eq!(proxy(forward).get("/f/x").status, status, "{no_proxy}");
    }
}

#[test]
fn every_address_of_a_name_is_an_upstream() {
    let listener = TcpListener::bind("127.0.0.2:0").expect("an address of the machine");
    let port = listener.local_addr().expect("an address").port();
    let second = TcpListener::bind(("127.0.0.3", port)).expect("the same port elsewhere");
    for (listener, name) in [(listener, 'a'), (second, 'b')] {
        std::thread::spawn(move || {
            for mut tcp in listener.incoming().map_while(Result::ok) {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if !matches!(tcp.read(&mut byte), Ok(1)) {
                        break;
                    }
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let host = head.contains("Host: backend.test:");
                let answer = if host { name } else { '?' };
                let _ = write!(
                    tcp,
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{answer}"
                );
            }
        });
    }
    let addresses = ["127.0.0.2", "127.0.0.3"].map(|ip| ip.parse().expect("an address"));
    let client = AsyncHttpClient::builder()
        .host("backend.test", addresses)
        .build();
    let upstreams = Upstreams::of_name(&format!("http://backend.test:{port}"));
    let forward = Forward::to(upstreams.balance(Balance::round_robin())).client(&client);
    let server = proxy(forward.clone());
    assert_eq!(answers(&server, 4), "abab");
    assert_eq!(forward.stats().len(), 2);

    let nowhere = AsyncHttpClient::builder().host("backend.test", []).build();
    let forward = Forward::to(Upstreams::of_name("http://backend.test")).client(&nowhere);
    assert_eq!(proxy(forward).get("/f/x").status, 503);
}

#[test]
fn addresses_that_are_none_are_a_500() {
    for upstreams in [
        Upstreams::of(Vec::<String>::new()),
        Upstreams::of(["http://a.test/x", "http://a.test/y"]),
        Upstreams::of(["ftp://a.test"]),
        Upstreams::of_name("nonsense"),
    ] {
        let server = proxy(Forward::to(upstreams));
        assert_eq!(server.get("/f/x").status, 500);
    }
    // A path that all have is one.
    let upstream = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let base = upstream.url("/base/");
    let answer = raw(
        &proxy(Forward::to(Upstreams::of([&base, &base]))),
        "GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.ends_with("ok"), "{answer}");
}
