//! Subject `memory`: resident bytes per idle keep-alive connection.
//!
//! Each connection makes one request and then idles, as most connections of a
//! real service do. The server's memory before and after is compared; the
//! kernel's socket buffers are not in it.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::Reason;
use crate::client::Client;
use crate::options::Options;
use crate::process_tree::resident_bytes;
use crate::servers::Server;
use crate::spread::{Spread, cell};
use crate::table::Table;

const LANES: usize = 2;
/// Files that the harness and the servers need besides the connections.
const OTHER_FILES: u64 = 200;
const SETTLE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy)]
struct Sample {
    idle_kb: f64,
    bytes_per_connection: f64,
}

pub(crate) fn run(servers: &[Server], options: &Options) -> Result<Value, Reason> {
    let wanted = if options.quick { 1_000 } else { 10_000 };
    let connections = allowed(wanted)?;
    let rounds = options.rounds(2, 3);
    let mut samples: Vec<Vec<Sample>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (server, samples) in servers.iter().zip(&mut samples) {
            eprintln!("round {} of {rounds}: {}", round + 1, server.name);
            match sample(server, connections) {
                Ok(sample) => samples.push(sample),
                Err(reason) => println!("skipped {}: {reason}", server.name),
            }
        }
    }
    let spread = |samples: &[Sample], figure: fn(&Sample) -> f64| {
        Spread::of(&samples.iter().map(figure).collect::<Vec<_>>())
    };
    let per_connection: Vec<Option<Spread>> = samples
        .iter()
        .map(|s| spread(s, |s| s.bytes_per_connection))
        .collect();
    let median_of = |name: &str| {
        let at = servers.iter().position(|server| server.name == name)?;
        Some(per_connection[at]?.median)
    };
    let peers = servers
        .iter()
        .zip(&per_connection)
        .filter(|(server, _)| server.is_peer());
    let best = peers
        .filter_map(|(_, spread)| Some((*spread)?.median))
        .reduce(f64::min);
    let mut table = Table::new(&[
        "server",
        "at rest, kB",
        "bytes per connection (min-max)",
        "x raw",
        "x best peer",
    ]);
    let mut report = serde_json::Map::new();
    for ((server, samples), bytes) in servers.iter().zip(&samples).zip(&per_connection) {
        let idle = spread(samples, |s| s.idle_kb);
        let ratio = |to: Option<f64>| cell(bytes.zip(to).map(|(ours, to)| ours.median / to));
        table.row(vec![
            server.name.into(),
            cell(idle.map(|s| s.median)),
            bytes.map_or("-".into(), |s| s.to_string()),
            ratio(median_of("raw")),
            ratio(best),
        ]);
        let figures = json!({
            "idle_kb": idle.map(Spread::to_json),
            "bytes_per_connection": bytes.map(Spread::to_json),
        });
        report.insert(server.name.into(), figures);
    }
    println!(
        "\n## memory: {connections} idle keep-alive connections, {LANES} lanes, {rounds} rounds\n\n{table}"
    );
    Ok(json!({ "connections": connections, "rounds": rounds, "servers": report }))
}

/// Raises the limit of open files, for us and the servers we start.
pub(crate) fn allowed(wanted: u64) -> Result<u64, Reason> {
    let limit = getrlimit(Resource::Nofile);
    let needed = wanted + OTHER_FILES;
    let granted = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    if limit.current.is_some_and(|current| current < granted) {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(granted),
                maximum: limit.maximum,
            },
        )
        .map_err(|e| format!("raising the limit of open files: {e}"))?;
    }
    if granted < needed {
        println!("the limit of open files allows {granted}: fewer connections than {wanted}");
    }
    Ok(granted.saturating_sub(OTHER_FILES))
}

fn sample(server: &Server, connections: u64) -> Result<Sample, Reason> {
    let process = server.launch(LANES).start()?;
    let request = |_| {
        let mut client = Client::connect(process.addr())?;
        client.get("/plaintext", Instant::now() + Duration::from_secs(10))?;
        client.reset_on_drop()?;
        Ok(client)
    };
    let open = |count: u64| (0..count).map(request).collect::<std::io::Result<Vec<_>>>();
    let failed = |e: std::io::Error| format!("a connection failed: {e}");
    // Every lane has done everything once before the memory counts.
    drop(open(20).map_err(failed)?);
    std::thread::sleep(SETTLE);
    let before = resident_bytes(&process.tree()) as f64;
    let clients = open(connections).map_err(failed)?;
    std::thread::sleep(SETTLE);
    let after = resident_bytes(&process.tree()) as f64;
    drop(clients);
    Ok(Sample {
        idle_kb: before / 1024.0,
        bytes_per_connection: (after - before) / connections as f64,
    })
}
