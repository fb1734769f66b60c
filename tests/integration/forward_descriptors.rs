//! A forward in a process that is out of file descriptors: that is no fault of its upstreams.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use squall::forward::{Forward, HealthCheck, UpstreamState, Upstreams};
use squall::testing::{ExpectLog, TestServer};
use squall::{Application, any};
use squall_tests::until;

use super::client_script::answering;

/// Where the upstreams are, in the process that is out of descriptors.
const ALONE: &str = "SQUALL_FORWARD_TO";
const TEST: &str =
    "integration::forward_descriptors::an_upstream_is_not_left_alone_for_want_of_descriptors";
/// What that process may open.
const DESCRIPTORS: u32 = 64;

/// The status of an answer, on a connection that goes on.
fn ask(tcp: &mut TcpStream) -> String {
    tcp.write_all(b"GET /f/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        tcp.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let length = (head.lines()).find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.expect("a length").parse().expect("a number");
    tcp.read_exact(&mut vec![0; length]).expect("a body");
    head[9..12].to_owned()
}

fn forwards(addresses: &str) {
    let every = Duration::from_secs(10);
    let check = HealthCheck::get("/health").thresholds(1, 1).every(every);
    let upstreams = Upstreams::of(addresses.split(','))
        .retries(0)
        .health_check(check.timeout(every * 1000))
        .eject_after(1, every * 1000);
    let forward = Forward::to(upstreams);
    let application = Application::new().route("/f/{*path}", any(forward.clone()));
    let (server, clock) = TestServer::start_turned(application);
    let log = ExpectLog::on(&server);
    let mut tcp = server.connect();
    assert_eq!(ask(&mut tcp), "200");

    let mut held = Vec::new();
    until("there is none left", || {
        held.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
        ask(&mut tcp) == "502"
    });
    clock.advance(every);
    let line = log.expect("squall::forward", "could not be checked");
    let error = line.field("error").expect("why");
    assert!(error.contains("connecting: 127.0.0.1:"), "{error}");
    let states: Vec<_> = forward.stats().iter().map(|it| it.state).collect();
    assert_eq!(states, [UpstreamState::Up; 2]);

    drop(held);
    for _ in 0..4 {
        assert_eq!(ask(&mut tcp), "200");
    }
}

#[test]
fn an_upstream_is_not_left_alone_for_want_of_descriptors() {
    if let Ok(addresses) = std::env::var(ALONE) {
        return forwards(&addresses);
    }
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let (a, b) = (answering(answer), answering(answer));
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\""))
        .arg(program)
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(ALONE, [a.url(""), b.url("")].join(","))
        .stdin(Stdio::null())
        .output()
        .expect("this program again");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
