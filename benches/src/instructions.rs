//! User instructions per request, by callgrind.
//!
//! The steadiest figure of all: it does not depend on what else the machine
//! does. Two runs with different numbers of requests are subtracted, so that
//! start-up, connecting and ending cancel out. The kernel's work is not in it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Reason;
use crate::bounded::output;
use crate::driver::{Driver, Until};
use crate::server_process::ServerProcess;
use crate::servers::{self, Kind, Server};
use crate::shape::Shape;
use crate::spread::Spread;

pub(crate) const CONNECTIONS: usize = 8;
/// A start under a tool is so slow that a server may take it for blocking code, and look
/// closely for a while. That is over then.
const CALM: Duration = Duration::from_millis(1_500);
const GRACE: Duration = Duration::from_secs(30);
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// The requests of the two runs of a difference.
pub(crate) fn requests(kind: Kind) -> [u64; 2] {
    match kind {
        Kind::Rust | Kind::Go => [2_000, 12_000],
        // An interpreter under a simulator is slow.
        Kind::Python => [200, 1_200],
    }
}

pub(crate) fn per_request(server: &Server, shape: Shape) -> Result<f64, Reason> {
    if server.kind == Kind::Go {
        return Err("callgrind does not follow Go's goroutines".into());
    }
    if !crate::bounded::installed("valgrind") {
        return Err("valgrind is not installed".into());
    }
    let folder = servers::scratch()?.join("callgrind");
    let [few, many] = requests(server.kind);
    let total = |requests| total(server, shape, requests, &folder);
    // A program that the simulator slows down can look blocked to itself, and do something
    // about it: the middle one of three differences.
    let difference = || Ok::<_, Reason>(total(many)? as f64 - total(few)? as f64);
    let differences = [difference()?, difference()?, difference()?];
    let middle = Spread::of(&differences)
        .ok_or("nothing was counted")?
        .median;
    Ok(middle / (many - few) as f64)
}

fn total(server: &Server, shape: Shape, requests: u64, folder: &Path) -> Result<u64, Reason> {
    let tool = tool(folder)?;
    let tool: Vec<&str> = tool.iter().map(String::as_str).collect();
    let process = server.launch(1).under(&tool).start()?;
    load(&process, shape, CONNECTIONS, requests)?;
    process.stop(GRACE);
    sum(folder)
}

/// All user instructions of a program that ends by itself.
pub(crate) fn of_run(line: &[String]) -> Result<u64, Reason> {
    if !crate::bounded::installed("valgrind") {
        return Err("valgrind is not installed".into());
    }
    let folder = servers::scratch()?.join("callgrind");
    let tool = tool(&folder)?;
    output(
        Command::new(&tool[0]).args(&tool[1..]).args(line),
        RUN_LIMIT,
    )?;
    sum(&folder)
}

/// Callgrind's command line, and a fresh folder for what it finds: a program that
/// forks leaves one file per process.
fn tool(folder: &Path) -> Result<Vec<String>, Reason> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let out = format!("--callgrind-out-file={}/%p", folder.display());
    let tool = [
        "valgrind",
        "--tool=callgrind",
        "--trace-children=yes",
        "--quiet",
        &out,
    ];
    Ok(tool.map(str::to_owned).into())
}

fn sum(folder: &Path) -> Result<u64, Reason> {
    let files = fs::read_dir(folder).map_err(|e| e.to_string())?.flatten();
    let totals: Vec<u64> = files
        .filter_map(|file| totals(&fs::read_to_string(file.path()).ok()?))
        .collect();
    if totals.is_empty() {
        return Err("callgrind wrote no totals".into());
    }
    Ok(totals.iter().sum())
}

/// Exactly so many answers over so many keep-alive connections.
pub(crate) fn load(
    process: &ServerProcess,
    shape: Shape,
    connections: usize,
    requests: u64,
) -> Result<u64, Reason> {
    let mut load = Driver::open(process.addr(), connections, shape)?;
    std::thread::sleep(CALM);
    load.run(Until::Answers(requests, Duration::from_secs(120)))
}

/// The sum in callgrind's file: `totals: 1234`, or several parts of it.
fn totals(file: &str) -> Option<u64> {
    let parts = file.lines().filter_map(|line| line.strip_prefix("totals:"));
    let parts: Vec<u64> = parts
        .filter_map(|part| part.split_whitespace().next()?.parse().ok())
        .collect();
    (!parts.is_empty()).then(|| parts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrinds_totals() {
        let file = "version: 1\nevents: Ir\nsummary: 99\n\nfn=(1) main\n16 3\n\ntotals: 4200\n";
        assert_eq!(totals(file), Some(4200));
        assert_eq!(
            totals(&format!("{file}part: 2\ntotals: 800 7\n")),
            Some(5000)
        );
        assert_eq!(totals("version: 1\nevents: Ir\n"), None);
    }
}
