//! Subject `slow`: thousands of clients that keep the server waiting.
//!
//! slowhttptest sends heads and bodies, and reads answers, a few bytes at a time.
//! Meanwhile a client that behaves asks on a new connection again and again, and the
//! server's sockets and memory are looked at. Squall has its default limits. The
//! attackers go on for longer than those allow.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::Reason;
use crate::bounded::installed;
use crate::client::Client;
use crate::memory::allowed;
use crate::options::Options;
use crate::process_tree::resident_bytes;
use crate::server_process::ServerProcess;
use crate::servers::squall_peer;
use crate::table::Table;

const LANES: usize = 2;
const PAUSE: Duration = Duration::from_millis(20);
/// Seconds that an attacker would go on.
const ATTACK: u64 = 150;

struct Attack {
    name: &'static str,
    path: &'static str,
    args: &'static [&'static str],
}

const ATTACKS: [Attack; 3] = [
    Attack {
        name: "heads, a field every 2 s",
        path: "/plaintext",
        args: &["-H", "-i", "2", "-x", "24"],
    },
    Attack {
        name: "bodies, 10 bytes every 2 s",
        path: "/echo",
        args: &["-B", "-i", "2", "-s", "8192", "-x", "10", "-t", "POST"],
    },
    Attack {
        name: "readers of 4 MiB, 32 bytes every 5 s",
        path: "/large",
        args: &[
            "-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "1",
        ],
    },
];

/// What one attack did.
struct Outcome {
    /// Of the client that behaves, in µs.
    answered: Histogram<u64>,
    failed: u64,
    most_connected: usize,
    /// From the first attacker's connection to the last one's end.
    gone_after: Option<Duration>,
    peak_memory: u64,
}

pub(crate) fn run(options: &Options) -> Result<Value, Reason> {
    if !installed("slowhttptest") {
        return Err("slowhttptest is not installed".into());
    }
    let attackers = allowed(if options.quick { 1_000 } else { 4_000 })?;
    let server = squall_peer()?;
    let mut table = Table::new(&[
        "attackers' slow",
        "at once",
        "gone after s",
        "asked",
        "failed",
        "p50 ms",
        "p99 ms",
        "max ms",
        "peak MiB",
    ]);
    let mut report = serde_json::Map::new();
    for attack in &ATTACKS {
        eprintln!("{attackers} attackers: {}", attack.name);
        let process = server.launch(LANES).start()?;
        let outcome = withstand(&process, attack, attackers)?;
        let ms = |quantile| outcome.answered.value_at_quantile(quantile) as f64 / 1e3;
        let gone = outcome.gone_after.map(|gone| gone.as_secs_f64());
        let peak = outcome.peak_memory as f64 / f64::from(1 << 20);
        table.row(vec![
            attack.name.into(),
            outcome.most_connected.to_string(),
            gone.map_or("never".into(), |gone| format!("{gone:.0}")),
            (outcome.answered.len() + outcome.failed).to_string(),
            outcome.failed.to_string(),
            format!("{:.1}", ms(0.5)),
            format!("{:.1}", ms(0.99)),
            format!("{:.1}", ms(1.0)),
            format!("{peak:.0}"),
        ]);
        report.insert(
            attack.name.into(),
            json!({
                "most_connected": outcome.most_connected,
                "gone_after_s": gone,
                "answered": outcome.answered.len(),
                "failed": outcome.failed,
                "p50_ms": ms(0.5),
                "p99_ms": ms(0.99),
                "max_ms": ms(1.0),
                "peak_mib": peak,
            }),
        );
    }
    println!("\n## slow: {attackers} attackers beside a client that behaves\n\n{table}");
    Ok(json!({ "attackers": attackers, "attacks": report }))
}

fn withstand(server: &ServerProcess, attack: &Attack, attackers: u64) -> Result<Outcome, Reason> {
    let at_rest = sockets(server);
    let _attack = start(server, attack, attackers)?;
    let begun = Instant::now();
    let mut outcome = Outcome {
        answered: Histogram::new(3).map_err(|e| e.to_string())?,
        failed: 0,
        most_connected: 0,
        gone_after: None,
        peak_memory: 0,
    };
    let mut first_came = None;
    while begun.elapsed() < Duration::from_secs(ATTACK) {
        let asked = Instant::now();
        match ask(server, asked + Duration::from_secs(5)) {
            Ok(()) => outcome
                .answered
                .saturating_record(asked.elapsed().as_micros() as u64),
            Err(_) => outcome.failed += 1,
        }
        outcome.peak_memory = outcome.peak_memory.max(resident_bytes(&server.tree()));
        let connected = sockets(server).saturating_sub(at_rest);
        outcome.most_connected = outcome.most_connected.max(connected);
        // Both counts leave room for the clients that behave: ours, and the attack's own.
        match first_came {
            None if connected > 10 => first_came = Some(Instant::now()),
            // Early in an attack a moment without attackers is not their end.
            Some(came) if connected <= 2 && outcome.most_connected as u64 > attackers / 2 => {
                outcome.gone_after = Some(came.elapsed());
                break;
            }
            _ => std::thread::sleep(PAUSE),
        }
    }
    Ok(outcome)
}

fn ask(server: &ServerProcess, deadline: Instant) -> std::io::Result<()> {
    let mut client = Client::connect(server.addr())?;
    client.get("/plaintext", deadline)?;
    client.reset_on_drop()
}

/// Sockets that the server has open.
fn sockets(server: &ServerProcess) -> usize {
    let folders =
        (server.tree().into_iter()).filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok());
    let files = folders.flatten().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// slowhttptest; dropping it ends it.
struct Running(Child);

fn start(server: &ServerProcess, attack: &Attack, attackers: u64) -> Result<Running, Reason> {
    let url = format!("http://{}{}", server.addr(), attack.path);
    let (attackers, seconds) = (attackers.to_string(), ATTACK.to_string());
    Command::new("slowhttptest")
        .args(attack.args)
        .args(["-c", &attackers, "-r", "1000", "-p", "30"])
        .args(["-l", &seconds, "-u", &url])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Running)
        .map_err(|e| format!("slowhttptest cannot be started: {e}"))
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
