//! Upstreams that cannot be had in time: a connection that is not made, a client whose
//! connections are all in use.

use std::sync::mpsc;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use squall::client::AsyncHttpClient;
use squall::forward::{Balance, Forward, Upstreams};
use squall::testing::{TestClock, TestResponse, TestServer};
use squall::{Application, any};
use squall_tests::until;

use super::client_script::{script, silent};

/// A proxy by this client, and its clock. Nothing but the client's own has a limit.
fn turned(upstream: impl Into<Upstreams>, client: &AsyncHttpClient) -> (TestServer, TestClock) {
    let forward = Forward::to(upstream).client(client);
    let forward = forward.idle_timeout(Duration::ZERO);
    TestServer::start_turned(Application::new().route("/f/{*path}", any(forward)))
}

/// The answer that comes when the time has.
fn in_time(
    server: &TestServer,
    clock: &TestClock,
    answer: ScopedJoinHandle<'_, TestResponse>,
) -> TestResponse {
    until("the answer", || {
        clock.advance(Duration::from_secs(1));
        let seen = server.io_loop().run(async {});
        seen.expect("the loop has seen the time");
        answer.is_finished()
    });
    answer.join().expect("no panic")
}

#[test]
fn a_connection_that_is_not_made_in_time_is_a_504() {
    let (dialled, dials) = mpsc::channel();
    // A handshake is a part of it.
    let upstream = script(move |_, mut peer| {
        peer.read(1);
        let _ = dialled.send(());
        peer.hold();
    });
    let address = upstream.url("").replace("http:", "https:");
    let limit = Duration::from_secs(5);
    let client = AsyncHttpClient::builder().connect_timeout(limit).build();
    let (server, clock) = turned(address, &client);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| server.get("/f/x"));
        dials.recv().expect("a connection");
        let answer = in_time(&server, &clock, answer);
        answer.assert_status(504);
        let text = answer.text();
        assert!(text.contains("TLS handshake: timed out"), "{text}");
    });
}

/// Whoever stands in line for a connection to an upstream that is gone is no worse off than
/// whoever tries to make one.
#[test]
fn who_waits_for_a_turn_to_connect_is_served_elsewhere_in_the_end() {
    let (dialled, dials) = mpsc::channel();
    let mute = script(move |_, mut peer| {
        peer.read(1);
        let _ = dialled.send(());
        peer.hold();
    });
    let well = script(|_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
        peer.is_closed();
    });
    let mute = mute.url("").replace("http:", "https:");
    let limit = Duration::from_secs(5);
    let upstreams = Upstreams::of([mute, well.url("")]).balance(Balance::round_robin());
    let client = AsyncHttpClient::builder()
        .connect_timeout(limit)
        .max_dials_per_origin(1)
        .build();
    let (server, clock) = turned(upstreams, &client);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.get("/f/x"));
        dials.recv().expect("a connection");
        // This one's turn is the other upstream's.
        server.get("/f/x").assert_status(200);
        let in_line = scope.spawn(|| server.get("/f/x"));
        until("it is in line", || client.stats().waiting == 1);
        let waits = server.io_loop().run(async {});
        waits.expect("whoever is in line has a limit by now");
        // No further: what is asked elsewhere then has its time.
        clock.advance(limit);
        for answer in [first, in_line] {
            answer.join().expect("no panic").assert_status(200);
        }
    });
}

#[test]
fn a_client_whose_connections_are_all_in_use_is_a_503() {
    let (asked, asks) = mpsc::channel();
    let upstream = silent(move |_, _| {
        let _ = asked.send(());
    });
    let client = AsyncHttpClient::builder()
        .max_connections(1)
        .max_waiters(1)
        .pool_timeout(Duration::from_secs(5))
        .build();
    let (server, clock) = turned(upstream.url(""), &client);
    let busy = |answer: &TestResponse, why: &str| {
        answer.assert_status(503).assert_header("retry-after", "1");
        let text = answer.text();
        assert!(text.contains(why), "{text}");
    };
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| server.get("/f/x"));
        asks.recv().expect("the only connection is in use");
        let waiter = scope.spawn(|| server.get("/f/x"));
        until("it waits", || client.stats().waiting == 1);
        busy(&server.get("/f/x"), "too many are waiting");
        busy(&in_time(&server, &clock, waiter), "timed out");
        // The time of the handler is over.
        in_time(&server, &clock, holder).assert_status(504);
    });
}
