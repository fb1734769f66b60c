//! What every Rust peer does alike: its options, its jobs, its ready line.
//!
//! The peers differ in the server library only. The handlers below block on
//! purpose: the `blocking` subject asks what a server makes of that.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The body of `/plaintext` and `/sync`.
pub const IT_WORKS: &str = "It works";

/// How a peer was started: `--listen ADDR --lanes N`, Squall perhaps with `--monitor off`
/// or `--routes N`.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many worker threads drive event loops.
    pub lanes: usize,
    /// Whether Squall's monitor watches the lanes. The others have none.
    pub monitor: bool,
    /// How many routes with a parameter Squall has. The others have a hundred.
    pub routes: usize,
}

impl Options {
    /// Reads the program's arguments; wrong usage ends the program with status 2.
    pub fn from_args() -> Self {
        Self::parse(std::env::args().skip(1)).unwrap_or_else(|reason| {
            eprintln!("{reason}\nusage: PEER [--listen ADDR:PORT] [--lanes N] [--routes N]");
            std::process::exit(2)
        })
    }

    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            lanes: 2,
            monitor: true,
            routes: 100,
        };
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            let wrong = |e: &dyn std::fmt::Display| format!("{name} {value}: {e}");
            match name.as_str() {
                "--listen" => options.listen = value.parse().map_err(|e| wrong(&e))?,
                "--lanes" => options.lanes = value.parse().map_err(|e| wrong(&e))?,
                "--monitor" => options.monitor = value != "off",
                "--routes" => options.routes = value.parse().map_err(|e| wrong(&e))?,
                _ => return Err(format!("unknown option {name}")),
            }
        }
        options.lanes = options.lanes.max(1);
        Ok(options)
    }
}

/// Runs one of the proxies of a program: `PROXY UPSTREAM`, and the options of every peer.
pub fn run_proxy(
    run: impl FnOnce(&str, SocketAddr, Options) -> Result<(), String>,
) -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    let named = args.next().zip(args.next().and_then(|it| it.parse().ok()));
    let outcome = named
        .ok_or_else(|| "usage: PROXY ADDR:PORT [--listen ADDR:PORT] [--lanes N]".to_owned())
        .and_then(|(proxy, upstream)| run(&proxy, upstream, Options::parse(args)?));
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Where this server listens, for `/client/sync`.
static OWN: OnceLock<SocketAddr> = OnceLock::new();

/// Prints the ready line that the harness waits for.
pub fn ready(name: &str, addr: SocketAddr) {
    let _ = OWN.set(addr);
    let mut out = std::io::stdout().lock();
    // A harness that has gone away needs no ready line.
    let _ = writeln!(out, "{name} listening on http://{addr}").and_then(|()| out.flush());
}

/// An address that was free a moment ago, for programs that take no port 0 or do not say
/// which they took.
pub fn free_address(listen: SocketAddr) -> std::io::Result<SocketAddr> {
    TcpListener::bind(listen)?.local_addr()
}

/// Prints the ready line of such a program once it takes connections; false if it does not.
pub fn ready_when_connected(name: &str, addr: SocketAddr) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(addr).is_err() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    ready(name, addr);
    true
}

/// `/block/{ms}`: sleeps in the handler, as a synchronous driver would.
pub fn block(ms: u64) -> &'static str {
    std::thread::sleep(Duration::from_millis(ms));
    "blocked"
}

/// `/spin/{ms}`: burns CPU in the handler for that much wall time.
pub fn spin(ms: u64) -> &'static str {
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    "spun"
}

/// `/lock/{ms}`: holds the process's one mutex for that long.
pub fn lock(ms: u64) -> &'static str {
    static ONE: Mutex<()> = Mutex::new(());
    let _held = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::sleep(Duration::from_millis(ms));
    "unlocked"
}

/// `/sync`: runs the slow job and waits for it.
pub fn sync() -> &'static str {
    let ping = quiet("ping").args(["-c", "2", "127.0.0.1"]).status();
    if ping.is_err() {
        // No ping here: the job is `sleep 1`, which takes about as long.
        let _ = quiet("sleep").arg("1").status();
    }
    IT_WORKS
}

/// `/client/sync`: calls this very server with a blocking client.
pub fn call_self() -> &'static str {
    if fetch_plaintext().is_ok() {
        IT_WORKS
    } else {
        "no answer"
    }
}

fn fetch_plaintext() -> std::io::Result<()> {
    let own = OWN.get().ok_or(std::io::ErrorKind::NotConnected)?;
    let mut stream = TcpStream::connect(own)?;
    write!(stream, "GET /plaintext HTTP/1.1\r\nHost: {own}\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while !answer.ends_with(IT_WORKS.as_bytes()) {
        match stream.read(&mut chunk)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => answer.extend_from_slice(&chunk[..n]),
        }
    }
    Ok(())
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The paths of a hundred routes with one parameter, each as the framework writes it.
/// The measured one is in the middle.
pub fn hundred_paths() -> impl Iterator<Item = String> {
    const THINGS: [&str; 10] = [
        "users", "teams", "projects", "reviews", "orders", "products", "invoices", "tickets",
        "events", "messages",
    ];
    const PARTS: [&str; 10] = [
        "",
        "/comments",
        "/likes",
        "/files",
        "/history",
        "/tags",
        "/owner",
        "/links",
        "/notes",
        "/access",
    ];
    let path = |thing, part| format!("/api/{thing}/{{id}}{part}");
    (THINGS.iter()).flat_map(move |thing| PARTS.iter().map(move |part| path(thing, part)))
}

/// So many such paths, at most a thousand: the measured one is among the first ten.
pub fn paths(count: usize) -> impl Iterator<Item = String> {
    const AREAS: [&str; 10] = [
        "api", "shop", "admin", "mobile", "partner", "beta", "v1", "v2", "v3", "internal",
    ];
    let measured = 40;
    let begin = hundred_paths().skip(measured);
    let others = (AREAS.iter().skip(1))
        .flat_map(|area| hundred_paths().map(move |path| path.replacen("api", area, 1)));
    begin
        .chain(hundred_paths().take(measured))
        .chain(others)
        .take(count)
}

/// What each of those answers, as JSON.
#[derive(Debug, Serialize)]
pub struct Thing {
    id: u64,
    name: &'static str,
    state: &'static str,
    amount: f64,
    tags: [&'static str; 3],
}

impl Thing {
    /// The one with this number.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            name: "A thing of some kind",
            state: "shipped",
            amount: 129.95,
            tags: ["new", "fragile", "gift"],
        }
    }
}

/// The answer to a path for peers without a router of their own; `None` is a 404.
pub fn answer(path: &str) -> Option<&'static str> {
    match path {
        "/plaintext" => return Some(IT_WORKS),
        "/sync" => return Some(sync()),
        "/client/sync" => return Some(call_self()),
        _ => {}
    }
    let (job, ms) = path.strip_prefix('/')?.split_once('/')?;
    let ms = ms.parse().ok()?;
    match job {
        "block" => Some(block(ms)),
        "spin" => Some(spin(ms)),
        "lock" => Some(lock(ms)),
        _ => None,
    }
}
