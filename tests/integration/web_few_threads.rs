//! A system that gives no more threads long before the cap: load is shed, nothing ends.
//!
//! In a process of its own, under the limit of a user of its own (`RLIMIT_NPROC`); so
//! it must be root who runs the tests.
#![allow(clippy::print_stdout)] // The address is for the test that started it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use squall::testing::TestServer;
use squall::{AppHandle, Application, IoLoop, Json, Offload, Pressure, State, get};
use squall_tests::until;

use super::asked::{answer, begin};
use super::latch::Latch;

const ALONE: &str = "SQUALL_FEW_THREADS";
const TEST: &str = "integration::web_few_threads::a_system_without_threads_has_load_shed";
/// Users that nobody is: this one, and one for each process.
const USERS: u32 = 1_000_000;
/// What such a user may have. The cap of the loop is far away.
const THREADS: u32 = 20;
/// So many take longer than it takes the loop to ask for a thread again, and again.
const SHED: u64 = 300;

#[derive(Default)]
struct Stuck {
    latch: Latch,
    begun: AtomicU64,
}

async fn blocks(State(stuck): State<Stuck>) -> &'static str {
    stuck.begun.fetch_add(1, Ordering::SeqCst);
    stuck.latch.block();
    "done"
}

async fn opens(State(stuck): State<Stuck>) -> &'static str {
    stuck.latch.open();
    "open"
}

async fn figures(State(stuck): State<Stuck>, app: AppHandle) -> Json<Value> {
    let begun = stuck.begun.load(Ordering::SeqCst);
    let easy = IoLoop::current().pressure() == Pressure::Easy;
    Json(json!({ "begun": begun, "shed": app.stats().shed, "easy": easy }))
}

/// Serves until its standard input ends.
fn serve() {
    let application = Application::new()
        .route("/block", get(blocks).offload(Offload::Never))
        .route("/open", get(opens).never_shed())
        .route("/figures", get(figures).never_shed())
        .state(Stuck::default());
    let server = TestServer::start(application);
    println!("\nlistening on {}", server.address());
    let _ = std::io::stdin().read(&mut [0]);
}

fn figure(address: SocketAddr, name: &str) -> Value {
    answer(begin(address, "/figures")).json()[name].clone()
}

fn count(address: SocketAddr, name: &str) -> u64 {
    figure(address, name).as_u64().expect("a number")
}

#[test]
fn a_system_without_threads_has_load_shed() {
    if std::env::var_os(ALONE).is_some() {
        return serve();
    }
    let this = std::fs::metadata("/proc/self").expect("a process");
    if this.uid() != 0 {
        eprintln!("skipped: only root can become a user with a limit of its own");
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let user = USERS + std::process::id();
    let spawned = Command::new("prlimit")
        .arg(format!("--nproc={THREADS}:{THREADS}"))
        .arg(program)
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .current_dir("/")
        .uid(user)
        .gid(user)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return eprintln!("skipped: prlimit as user {user}: {error}"),
    };
    // Kept: a process that nobody listens to would fail to say that it has passed.
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let address = (output.by_ref().lines().map_while(Result::ok))
        .find_map(|line| line.strip_prefix("listening on ")?.parse().ok());
    let Some(address) = address else {
        return eprintln!("skipped: user {user} cannot run this program");
    };

    let mut begun = Vec::new();
    let mut shed = 0;
    while shed < SHED {
        begun.push(begin(address, "/block"));
        let mut stuck = 0;
        // The server tells, all the time.
        until("the request has come", || {
            shed = count(address, "shed");
            stuck = count(address, "begun");
            stuck + shed >= begun.len() as u64
        });
        if stuck > u64::from(THREADS) {
            answer(begin(address, "/open"));
            return eprintln!("skipped: this system gives a user more threads than the limit");
        }
        assert!(
            begun.len() < 2 * SHED as usize,
            "no end of threads: {shed} shed"
        );
    }
    assert_eq!(answer(begin(address, "/open")).text(), "open");
    let mut done = 0;
    let clients = begun.len();
    for tcp in begun {
        let answer = answer(tcp);
        match answer.status {
            200 => done += 1,
            503 => assert_eq!(answer.header("retry-after"), Some("1")),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(
        (4..=THREADS as usize).contains(&done),
        "{done} of {clients}"
    );
    until("threads come back", || figure(address, "easy") == true);
    assert_eq!(answer(begin(address, "/block")).text(), "done");

    drop(child.stdin.take());
    let mut said = String::new();
    output.read_to_string(&mut said).expect("text");
    assert!(child.wait().expect("an end").success(), "{said}");
}
