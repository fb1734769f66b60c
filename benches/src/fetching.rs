//! Subject `client`: what one small fetch costs.
//!
//! Every client runs in a process of its own (`clients/`) on one thread, against one
//! nginx. What is counted is the client's share only.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::allocations::{self, Allocations};
use crate::bounded::output;
use crate::instructions;
use crate::options::Options;
use crate::servers;
use crate::spread::{Spread, cell};
use crate::syscalls::{self, Calls};
use crate::table::Table;
use crate::web_server::WebServer;

/// In the order of the table's rows.
pub(crate) const CLIENTS: [&str; 4] = ["squall", "reqwest", "hyper", "awc"];
const CONCURRENT: [usize; 3] = [1, 16, 256];
/// The requests of the two runs of a difference.
const REQUESTS: [usize; 2] = [2_048, 7_168];
const LIMIT: Duration = Duration::from_secs(300);

/// One client at one concurrency; what could not be measured is missing.
#[derive(Debug, Default)]
struct Cost {
    instructions: Option<f64>,
    calls: Option<Calls>,
    allocations: Option<Allocations>,
    /// One per round, in the order of the rounds.
    cpu_us: Vec<Option<f64>>,
}

/// A client, how much it is asked at once, and what that costs.
type Row = (&'static str, usize, Cost);

pub(crate) fn run(options: &Options) -> Result<Value, Reason> {
    let nginx = WebServer::start()?;
    let run = Run {
        program: servers::peer(Path::new(env!("CARGO_MANIFEST_DIR")), "clients")?,
        url: format!("http://{}/1k", nginx.addr),
    };
    let mut rows: Vec<Row> = Vec::new();
    for concurrency in CONCURRENT {
        for client in CLIENTS.into_iter().filter(|client| options.wants(client)) {
            eprintln!("counting: {client}, {concurrency} at once");
            rows.push((client, concurrency, run.counts(client, concurrency)));
        }
    }
    let rounds = options.rounds(3, 7);
    let requests = if options.quick { 5_120 } else { 51_200 };
    for round in 0..rounds {
        eprintln!("CPU time, round {} of {rounds}", round + 1);
        for turn in 0..rows.len() {
            // Every round begins with another row.
            let at = (turn + round) % rows.len();
            let (client, concurrency, cost) = &mut rows[at];
            cost.cpu_us.push(run.cpu_us(client, requests, *concurrency));
        }
    }
    println!(
        "\n## client: GET of 1 KiB from nginx over kept connections, one thread; CPU of {requests} requests, {rounds} rounds\n\n{}",
        table(&rows)
    );
    let json = rows.iter().map(to_json);
    Ok(json!({ "rounds": rounds, "rows": json.collect::<Vec<_>>() }))
}

/// How a client is run.
struct Run {
    program: String,
    url: String,
}

impl Run {
    fn line(&self, client: &str, requests: usize, concurrency: usize) -> Vec<String> {
        [
            &self.program,
            client,
            &self.url,
            "--count",
            &requests.to_string(),
            "--concurrency",
            &concurrency.to_string(),
        ]
        .map(String::from)
        .into()
    }

    fn counts(&self, client: &str, concurrency: usize) -> Cost {
        let [few, many] = REQUESTS.map(|requests| self.line(client, requests, concurrency));
        let per_request = (REQUESTS[1] - REQUESTS[0]) as f64;
        let said = |what: &str, reason: &Reason| println!("skipped {what} of {client}: {reason}");
        let instructions = || {
            let [few, many] = [instructions::of_run(&few)?, instructions::of_run(&many)?];
            Ok((many as f64 - few as f64) / per_request)
        };
        let calls = || {
            let [few, many] = [syscalls::of_run(&few)?, syscalls::of_run(&many)?];
            Ok(syscalls::difference(&few, &many, per_request))
        };
        let allocations = || {
            let [few, many] = [allocations::of_run(&few)?, allocations::of_run(&many)?];
            Ok(allocations::difference(few, many, per_request))
        };
        Cost {
            instructions: instructions()
                .inspect_err(|reason| said("instructions", reason))
                .ok(),
            calls: calls()
                .inspect_err(|reason| said("system calls", reason))
                .ok(),
            allocations: allocations()
                .inspect_err(|reason| said("allocations", reason))
                .ok(),
            cpu_us: Vec::new(),
        }
    }

    fn cpu_us(&self, client: &str, requests: usize, concurrency: usize) -> Option<f64> {
        let line = self.line(client, requests, concurrency);
        let printed = output(Command::new(&line[0]).args(&line[1..]), LIMIT)
            .inspect_err(|reason| println!("skipped CPU time of {client}: {reason}"))
            .ok()?;
        let figure = (printed.lines()).find_map(|line| line.strip_prefix("cpu_us "))?;
        figure.parse().ok()
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "at once",
        "client",
        "user instr",
        "x best peer",
        "syscalls",
        "read",
        "write",
        "epoll",
        "other",
        "allocs",
        "alloc bytes",
        "CPU µs (min-max)",
        "x best peer",
    ]);
    for (client, concurrency, cost) in rows {
        let peers = || {
            (rows.iter())
                .filter(|(name, among, _)| *name != "squall" && among == concurrency)
                .map(|(_, _, cost)| cost)
        };
        let fewest = peers()
            .filter_map(|cost| cost.instructions)
            .min_by(f64::total_cmp);
        let cheapest = peers()
            .filter_map(|cost| Some((cost, median(cost)?.median)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let calls = |class: fn(Calls) -> f64| cell(cost.calls.map(class));
        table.row(vec![
            concurrency.to_string(),
            (*client).into(),
            cell(cost.instructions),
            cell(cost.instructions.zip(fewest).map(|(a, b)| a / b)),
            calls(Calls::sum),
            calls(|c| c.read),
            calls(|c| c.write),
            calls(|c| c.epoll),
            calls(|c| c.other),
            cell(cost.allocations.map(|a| a.count)),
            cell(cost.allocations.map(|a| a.bytes)),
            median(cost).map_or("-".into(), |s| s.to_string()),
            cell(
                cheapest
                    .and_then(|(cheapest, _)| Spread::paired_ratio(&cost.cpu_us, &cheapest.cpu_us)),
            ),
        ]);
    }
    table
}

fn median(cost: &Cost) -> Option<Spread> {
    Spread::of(&cost.cpu_us.iter().flatten().copied().collect::<Vec<_>>())
}

fn to_json((client, concurrency, cost): &Row) -> Value {
    json!({
        "client": client,
        "concurrency": concurrency,
        "instructions": cost.instructions,
        "syscalls": cost.calls.map(Calls::to_json),
        "allocations": cost.allocations.map(|a| json!({ "count": a.count, "bytes": a.bytes })),
        "cpu_us_by_round": cost.cpu_us,
    })
}
