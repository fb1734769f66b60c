//! Which upstreams of a set are left alone: those that failed, and those whose checks fail.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use squall::client::AsyncHttpClient;
use squall::forward::{Balance, Forward, HealthCheck, UpstreamState, Upstreams};
use squall::testing::{ExpectLog, Nobody, TestClock, TestServer};
use squall::{Application, any};
use squall_tests::until;

use super::asked::begin;
use super::client_script::{Script, script};
use super::forward::proxy;
use super::forward_upstreams::{answers, named, set};

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

/// An upstream that answers what is not asked for at `/f/slow` only if it works, and that
/// when it is told to; how often it was asked.
fn slow_or_shaky(works: &Arc<AtomicBool>) -> (Script, Arc<AtomicUsize>, mpsc::Sender<()>) {
    let (works, asked) = (works.clone(), Arc::new(AtomicUsize::new(0)));
    let (go, goes) = mpsc::channel();
    let (count, goes) = (asked.clone(), Mutex::new(goes));
    let upstream = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            count.fetch_add(1, Ordering::SeqCst);
            if head.starts_with("GET /f/slow ") {
                let told = goes.lock().expect("no panic").recv();
                told.expect("leave to answer");
            } else if !works.load(Ordering::SeqCst) {
                return;
            }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ns");
        }
    });
    (upstream, asked, go)
}

/// Two upstreams by turns, of which one failure takes one out for so long.
fn by_turns(shaky: &Script, steady: &Script, time: Duration) -> (Forward, TestServer, TestClock) {
    let upstreams = set([shaky, steady])
        .balance(Balance::round_robin())
        .eject_after(1, time);
    // What goes on for long is no silence: the clock is turned meanwhile.
    let forward = Forward::to(upstreams).idle_timeout(Duration::ZERO);
    let application = Application::new().route("/f/{*path}", any(forward.clone()));
    let (server, clock) = TestServer::start_turned(application);
    (forward, server, clock)
}

#[test]
fn late_answers_bring_nobody_back_and_one_request_tries_at_a_time() {
    let works = Arc::new(AtomicBool::new(false));
    let (shaky, asked, go) = slow_or_shaky(&works);
    let (steady, time) = (named("a"), Duration::from_secs(10));
    let (forward, server, clock) = by_turns(&shaky, &steady, time);
    let state = || forward.stats()[0].state;
    let begin_slow = |count: usize| {
        let (address, host) = (server.address(), "Host: a\r\nConnection: close\r\n\r\n");
        let mut tcp = TcpStream::connect(address).expect("a connection");
        let request = format!("GET /f/slow HTTP/1.1\r\n{host}");
        tcp.write_all(request.as_bytes()).expect("sent");
        until("the slow request", || asked.load(Ordering::SeqCst) == count);
        tcp
    };
    let end_slow = |mut tcp: TcpStream| {
        go.send(()).expect("it waits");
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("\r\n\r\ns"), "{answer}");
    };

    let late = begin_slow(1);
    // The second one is tried at the shaky one first.
    assert_eq!(answers(&server, 2), "aa");
    assert_eq!(
        (asked.load(Ordering::SeqCst), state()),
        (2, UpstreamState::Ejected)
    );
    end_slow(late);
    assert_eq!(state(), UpstreamState::Ejected, "that was asked before");

    clock.advance(time);
    works.store(true, Ordering::SeqCst);
    assert_eq!(answers(&server, 1), "a", "whose turn it is");
    let probe = begin_slow(3);
    assert_eq!(answers(&server, 4), "aaaa");
    end_slow(probe);
    assert!(answers(&server, 4).contains('s'));
}

/// An answer that goes on for long keeps nobody from trying its upstream another time.
#[test]
fn an_upstream_is_tried_although_an_earlier_trial_still_goes_on() {
    let works = Arc::new(AtomicBool::new(false));
    let told = works.clone();
    let shaky = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            if !told.load(Ordering::SeqCst) {
                return;
            }
            if head.starts_with("GET /f/long ") {
                peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nl");
                peer.is_closed();
                return;
            }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ns");
        }
    });
    let (steady, time) = (named("a"), Duration::from_secs(10));
    let (forward, server, clock) = by_turns(&shaky, &steady, time);
    let is_out = || forward.stats()[0].state == UpstreamState::Ejected;
    let fail = || {
        works.store(false, Ordering::SeqCst);
        until("it is ejected", || {
            assert_eq!(server.get("/f/x").text(), "a");
            is_out()
        });
        works.store(true, Ordering::SeqCst);
    };
    fail();
    clock.advance(time);
    let long = loop {
        let mut tcp = begin(server.address(), "/f/long");
        let mut answer = Vec::new();
        while !answer.windows(5).any(|it| it.starts_with(b"\r\n\r\n")) {
            let mut piece = [0; 512];
            let read = tcp.read(&mut piece).expect("an answer");
            answer.extend_from_slice(&piece[..read]);
        }
        if answer.ends_with(b"l") {
            break tcp;
        }
    };
    fail();
    clock.advance(time);
    until("it is tried", || server.get("/f/x").text() == "s");
    drop(long);
}

/// What was begun before the upstream was ejected fails when it is back: that is old.
#[test]
fn a_late_failure_takes_nobody_out_who_is_back() {
    let (fail, fails) = mpsc::channel::<()>();
    let fails = Mutex::new(fails);
    let works = Arc::new(AtomicBool::new(false));
    let (told, asked) = (works.clone(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let shaky = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            count.fetch_add(1, Ordering::SeqCst);
            if head.starts_with("POST ") {
                let _ = fails.lock().expect("no panic").recv();
                return;
            }
            if !told.load(Ordering::SeqCst) {
                return;
            }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ns");
        }
    });
    let (steady, time) = (named("a"), Duration::from_secs(10));
    let (forward, server, clock) = by_turns(&shaky, &steady, time);
    let state = || forward.stats()[0].state;

    let mut late = server.connect();
    let request =
        b"POST /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    late.write_all(request).expect("sent");
    until("the late one", || asked.load(Ordering::SeqCst) == 1);
    assert_eq!(answers(&server, 2), "aa");
    assert_eq!(state(), UpstreamState::Ejected);
    clock.advance(time);
    works.store(true, Ordering::SeqCst);
    assert!(answers(&server, 4).contains('s'));
    drop(fail);
    let mut answer = String::new();
    late.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(state(), UpstreamState::Up);
}

/// Where there is no IPv6 at all that is an error of its own kind, and still the upstream's.
#[test]
fn an_upstream_at_an_address_that_cannot_be_reached_is_left_alone() {
    let working = named("a");
    // For as long as there is, which is no mistake in a sum.
    let upstreams = Upstreams::of(["http://[::1]:1".to_owned(), working.url("")])
        .balance(Balance::round_robin())
        .eject_after(1, Duration::MAX);
    let forward = Forward::to(upstreams);
    let server = proxy(forward.clone());
    assert_eq!(answers(&server, 4), "aaaa");
    assert_eq!(forward.stats()[0].state, UpstreamState::Ejected);
}

#[test]
fn a_probe_whose_client_leaves_makes_room_for_another() {
    let works = Arc::new(AtomicBool::new(false));
    let (shaky, asked, _go) = slow_or_shaky(&works);
    let (steady, time) = (named("a"), Duration::from_secs(10));
    let (forward, server, clock) = by_turns(&shaky, &steady, time);
    assert_eq!(answers(&server, 2), "aa");
    assert_eq!(forward.stats()[0].state, UpstreamState::Ejected);
    clock.advance(time);
    works.store(true, Ordering::SeqCst);
    let mut tcp = server.connect();
    tcp.write_all(b"GET /f/slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    until("the slow request", || asked.load(Ordering::SeqCst) == 2);
    drop(tcp);
    until("its end", || forward.stats()[0].in_flight == 0);
    assert!(answers(&server, 2).contains('s'));
}

/// What the handler's deadline has cut short says nothing of the upstream; one that was silent
/// for about as long as it may be has failed.
#[test]
fn our_own_deadline_says_nothing_of_the_upstream_unless_that_had_its_time() {
    for (limit, state) in [(10, UpstreamState::Up), (60, UpstreamState::Ejected)] {
        let (asked, asks) = mpsc::channel();
        let slow = script(move |_, mut peer| {
            peer.head();
            let _ = asked.send(());
            peer.is_closed();
        });
        let other = named("a");
        let upstreams = set([&slow, &other])
            .balance(Balance::round_robin())
            .eject_after(1, Duration::from_secs(3600));
        let forward = Forward::to(upstreams);
        let limit = Duration::from_secs(limit);
        let report = any(forward.clone()).timeout(limit);
        let application = Application::new().route("/f/{*path}", report);
        let (server, clock) = TestServer::start_turned(application);
        let (answered, answers) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| answered.send(server.get("/f/x").status));
            asks.recv().expect("forwarded");
            // The timers are set before the clock goes on.
            (server.io_loop().run(async {})).expect("the lane goes on");
            // Behind the time for the upstream, and before the end of the handler's.
            clock.advance(limit - Duration::from_millis(50));
            let soon = Duration::from_millis(100);
            let status = std::iter::repeat_with(|| answers.recv_timeout(soon))
                .find_map(|answer| answer.inspect_err(|_| clock.advance(limit)).ok());
            assert_eq!(status, Some(504));
        });
        assert_eq!(forward.stats()[0].state, state, "{limit:?}");
    }
}

#[test]
fn a_check_that_cannot_be_sent_is_a_500() {
    let upstream = named("a");
    for check in [
        HealthCheck::get("health"),
        HealthCheck::get(""),
        HealthCheck::get("/health check"),
        HealthCheck::get("/health\r\nX-User: ann"),
        HealthCheck::get("/health").host("inner.test\r\nX-User: ann"),
        HealthCheck::get("/health").host(""),
    ] {
        let what = format!("{check:?}");
        let server = proxy(Forward::to(set([&upstream]).health_check(check)));
        assert_eq!(server.get("/f/x").status, 500, "{what}");
    }
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn half_of_a_set_stays_in_it_and_one_alone_always() {
    let nobody = [Nobody::bind(), Nobody::bind(), Nobody::bind()];
    let (all, time) = (
        nobody.each_ref().map(|one| one.url("")),
        Duration::from_secs(10),
    );
    let forward = Forward::to(Upstreams::of(&all).eject_after(1, time));
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
    let forward = Forward::to(Upstreams::of(&all[..1]).eject_after(1, time));
    let server = proxy(forward.clone());
    assert!((0..5).all(|_| server.get("/f/x").status == 502));
    assert_eq!(forward.stats()[0].state, UpstreamState::Up);
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
fn what_the_client_forbids_is_no_failure_of_an_upstream() {
    let upstreams = [named("a"), named("b")];
    let guarded = AsyncHttpClient::builder().public_only(true).build();
    let check = HealthCheck::get("/health").thresholds(1, 1);
    let strict = set(&upstreams)
        .health_check(check)
        .eject_after(1, Duration::from_secs(3600));
    let forward = Forward::to(strict).client(&guarded);
    let server = proxy(forward.clone());
    let log = ExpectLog::on(&server);
    for _ in 0..4 {
        assert_eq!(server.get("/f/x").status, 502);
    }
    log.expect("squall::forward", "could not be checked");
    let states: Vec<_> = forward.stats().iter().map(|it| it.state).collect();
    assert_eq!(states, [UpstreamState::Up; 2]);
    assert!(upstreams.iter().all(|it| it.accepted() == 0));
}
