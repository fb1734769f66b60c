//! slowhttptest: clients that keep the server waiting, in heads, bodies and answers.
//!
//! Beside the attack a client that behaves asks again and again. It is always answered,
//! and when the limits have passed no attacker is connected any more.

use std::process::Stdio;
use std::time::{Duration, Instant};

use squall::testing::TestServer;
use squall::{Application, Settings, any};

use super::{echo, program};

/// Attackers at once; by hand it is run with thousands.
const CONNECTIONS: usize = 200;
/// How long the server puts up with each of them.
const LIMIT: Duration = Duration::from_secs(3);
/// How long they would go on, in seconds.
const ATTACK: &str = "60";

/// A server that waits for nobody longer than [`LIMIT`].
fn server() -> TestServer {
    let mut settings = Settings::default();
    settings.server.header_timeout = LIMIT;
    settings.server.body_timeout = LIMIT;
    settings.server.write_timeout = LIMIT;
    settings.server.idle_timeout = LIMIT;
    TestServer::start(
        Application::new()
            .route("/", any(echo))
            .route("/alive", async || "alive")
            .route("/large", async || vec![b'a'; 4 << 20])
            .settings(settings),
    )
}

/// The attack on a server, and a client that behaves beside it, until the attackers have
/// all been there and have all gone.
fn survives(attack: &[&str], path: &str) {
    let Some(mut slow) = program("slowhttptest", &["-h"]) else {
        return;
    };
    let server = server();
    let url = format!("http://{}{path}", server.address());
    slow.args(attack);
    slow.args(["-c", &CONNECTIONS.to_string(), "-r", "1000", "-p", "30"]);
    slow.args(["-l", ATTACK, "-u", &url]);
    slow.stdout(Stdio::null()).stderr(Stdio::null());
    let mut attack = slow.spawn().expect("a process");
    let connected = || {
        assert_eq!(server.get("/alive").text(), "alive");
        let lanes = server.io_loop().stats().lanes;
        lanes.iter().map(|lane| lane.connections).sum::<usize>()
    };
    // Two may be those of the clients that behave: ours, and the program's own.
    waits("the attackers come", || connected() >= CONNECTIONS / 2);
    waits("the attackers are gone", || connected() <= 2);
    // What a slow reader still has in its socket keeps it busy.
    let _ = attack.kill();
    attack.wait().expect("an end");
}

#[track_caller]
fn waits(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(50), "never: {what}");
    }
}

#[test]
fn slow_heads() {
    survives(&["-H", "-i", "1", "-x", "24"], "/");
}

#[test]
fn slow_bodies() {
    survives(
        &["-B", "-i", "1", "-s", "8192", "-x", "10", "-t", "POST"],
        "/",
    );
}

#[test]
fn slow_readers() {
    let reads = [
        "-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "8", "-k", "1",
    ];
    survives(&reads, "/large");
}
