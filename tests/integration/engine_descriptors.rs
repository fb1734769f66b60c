//! A process that is out of file descriptors, in a process of its own.
#![allow(clippy::print_stdout)] // The address is for the test that started it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use squall::testing::{TestResponse, TestServer};
use squall::{Application, Settings};
use squall_tests::PATIENCE;

const ALONE: &str = "SQUALL_FEW_DESCRIPTORS";
const TEST: &str =
    "integration::engine_descriptors::without_descriptors_the_server_waits_and_recovers";
/// What the server may open.
const DESCRIPTORS: u32 = 64;
/// How long heads that are not completed keep theirs.
const HELD: Duration = Duration::from_secs(2);

/// Serves until its standard input ends.
fn serve() {
    let mut settings = Settings::default();
    settings.server.header_timeout = HELD;
    let application = Application::new()
        .route("/", async || "here")
        .settings(settings);
    let server = TestServer::start(application);
    println!("\nlistening on {}", server.address());
    let _ = std::io::stdin().read(&mut [0]);
}

fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("the backlog has room");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
    tcp
}

/// A whole answer. A connection that idles before its head may have to give way: then
/// it is tried again.
fn answer(address: SocketAddr) -> TestResponse {
    let begun = Instant::now();
    loop {
        let (mut tcp, mut answer) = (connect(address), Vec::new());
        let sent = tcp.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let read = sent.and_then(|()| tcp.read_to_end(&mut answer));
        if read.is_ok() && !answer.is_empty() {
            return TestResponse::parse(&answer);
        }
        assert!(begun.elapsed() < PATIENCE, "no answer: {read:?}");
    }
}

/// CPU time that a process has used, in hundredths of a second.
fn cpu(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}

#[test]
fn without_descriptors_the_server_waits_and_recovers() {
    if std::env::var_os(ALONE).is_some() {
        return serve();
    }
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\""))
        .arg(program)
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this program again");
    let process = child.id();
    // Kept: a process that nobody listens to would fail to say that it has passed.
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let address = (output.by_ref().lines().map_while(Result::ok))
        .find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
        .expect("an address");

    // More idle connections than descriptors: the idlest give way.
    let mut idle = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        let mut tcp = connect(address);
        tcp.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            .expect("sent");
        let mut begin = [0; 15];
        tcp.read_exact(&mut begin).expect("an answer");
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
        idle.push(tcp);
    }
    drop(idle);

    // As many that are not idle: nothing gives way, and nothing spins.
    let (begun, used) = (Instant::now(), cpu(process));
    let held: Vec<TcpStream> = (0..2 * DESCRIPTORS)
        .map(|_| {
            let mut tcp = connect(address);
            tcp.write_all(b"GET / HTTP/1.1\r\nX: ").expect("sent");
            tcp
        })
        .collect();
    assert_eq!(answer(address).status, 200, "once the others are gone");
    let (lasted, used) = (begun.elapsed(), cpu(process) - used);
    assert!(lasted >= HELD, "they were held for {lasted:?}");
    let share = used as f64 / 100.0 / lasted.as_secs_f64();
    assert!(share < 0.5, "{used} hundredths in {lasted:?}");
    drop(held);

    drop(child.stdin.take());
    let mut said = String::new();
    output.read_to_string(&mut said).expect("text");
    assert!(child.wait().expect("an end").success(), "{said}");
}
