//! Subject `client`: what one small fetch costs.
//!
//! Every client runs in a process of its own (`clients/`) on one thread, against one
//! nginx on the other CPU. What is counted is the client's share only. A last table asks
//! two thousand hosts in turn: what a host costs whose connection is idle.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::allocations::{self, Allocations};
use crate::bounded::output;
use crate::cost::{COUNTED, counted};
use crate::cpu::command_on_first;
use crate::instructions;
use crate::memory;
use crate::options::Options;
use crate::servers;
use crate::spread::{Spread, cell};
use crate::syscalls::{self, Calls};
use crate::table::Table;
use crate::web_server::WebServer;

/// In the order of the table's rows.
pub(crate) const CLIENTS: [&str; 4] = ["squall", "reqwest", "hyper", "awc"];
/// The floor, before the others where there is no TLS.
const FLOOR: &str = "raw";
const CONCURRENT: [usize; 3] = [1, 16, 256];
/// The requests of the two runs of a difference.
const REQUESTS: [usize; 2] = [2_048, 7_168];
const HOSTS: u64 = 2_000;
/// How many of the hosts are asked at a time.
const HOSTS_AT_ONCE: usize = 16;
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

/// What is asked of a client.
#[derive(Debug, Clone, Copy)]
struct Task {
    client: &'static str,
    is_https: bool,
    concurrency: usize,
}

/// That, and what it costs.
type Row = (Task, Cost);

pub(crate) fn run(options: &Options) -> Result<Value, Reason> {
    let hosts = memory::allowed(HOSTS)?;
    let nginx = WebServer::start()?;
    let run = Run {
        program: servers::peer(Path::new(env!("CARGO_MANIFEST_DIR")), "clients")?,
        url: format!("http://{}/1k", nginx.addr),
        https: (nginx.tls.as_ref())
            .map(|(addr, ca)| (format!("https://{addr}/1k"), ca.display().to_string())),
    };
    let mut rows: Vec<Row> = Vec::new();
    for is_https in [false, true] {
        if is_https && run.https.is_none() {
            continue;
        }
        for concurrency in CONCURRENT {
            for client in clients(options, is_https) {
                let task = Task {
                    client,
                    is_https,
                    concurrency,
                };
                eprintln!(
                    "counting: {client}, {}, {concurrency} at once",
                    task.scheme()
                );
                rows.push((task, run.counts(task)));
            }
        }
    }
    let rounds = options.rounds(3, 7);
    let requests = if options.quick { 20_480 } else { 51_200 };
    for round in 0..rounds {
        eprintln!("CPU time, round {} of {rounds}", round + 1);
        for turn in 0..rows.len() {
            // Every round begins with another row.
            let at = (turn + round) % rows.len();
            let (task, cost) = &mut rows[at];
            cost.cpu_us.push(run.cpu_us(*task, requests));
        }
    }
    for is_https in [false, true] {
        let of_it: Vec<&Row> = (rows.iter())
            .filter(|(task, _)| task.is_https == is_https)
            .collect();
        if let Some((task, _)) = of_it.first() {
            println!(
                "\n## client: {} GET of 1 KiB from nginx over kept connections, one thread; CPU of {requests} requests, {rounds} rounds\n\n{}",
                task.scheme(),
                table(&of_it)
            );
        }
    }
    let crowd = run.crowd(options, hosts, rounds);
    println!(
        "\n## client: the same from each of {hosts} hosts in turn, {HOSTS_AT_ONCE} at once; CPU of 5 requests each\n\n{}",
        crowd_table(&crowd)
    );
    let json = rows.iter().map(to_json);
    let crowd = crowd.iter().map(|idle| {
        json!({
            "client": idle.client,
            "bytes_per_host": idle.bytes,
            "cpu_us_by_round": idle.cpu_us,
        })
    });
    Ok(json!({
        "rounds": rounds,
        "rows": json.collect::<Vec<_>>(),
        "hosts": crowd.collect::<Vec<_>>(),
    }))
}

/// Those that are asked for and can speak it, in the order of the rows.
fn clients(options: &Options, is_https: bool) -> impl Iterator<Item = &'static str> {
    let floor = (!is_https).then_some(FLOOR);
    (floor.into_iter().chain(CLIENTS)).filter(|client| options.wants(client))
}

/// What a client with many hosts holds and does, over the rounds.
struct Crowd {
    client: &'static str,
    bytes: Vec<f64>,
    cpu_us: Vec<Option<f64>>,
}

fn crowd_table(rows: &[Crowd]) -> Table {
    let mut table = Table::new(&["client", "bytes per idle host", "CPU µs (min-max)", "x raw"]);
    let floor = rows.iter().find(|row| row.client == FLOOR);
    for row in rows {
        let shown = |figures: &[f64]| Spread::of(figures).map_or("-".into(), |s| s.to_string());
        let cpu_us: Vec<f64> = row.cpu_us.iter().flatten().copied().collect();
        let ratio = floor.and_then(|floor| Spread::paired_ratio(&row.cpu_us, &floor.cpu_us));
        table.row(vec![
            row.client.into(),
            shown(&row.bytes),
            shown(&cpu_us),
            cell(ratio),
        ]);
    }
    table
}

impl Task {
    fn scheme(self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}

/// How a client is run.
struct Run {
    program: String,
    url: String,
    /// The address over TLS, and the file of what is trusted.
    https: Option<(String, String)>,
}

impl Run {
    fn line(&self, task: Task, requests: usize) -> Vec<String> {
        let (requests, concurrency) = (requests.to_string(), task.concurrency.to_string());
        let secured = self.https.as_ref().filter(|_| task.is_https);
        let url = secured.map_or(&self.url, |(url, _)| url);
        let mut line: Vec<&str> = vec![&self.program, task.client, url, "--count", &requests];
        line.extend(["--concurrency", &concurrency]);
        if let Some((_, ca)) = secured {
            line.extend(["--ca", ca]);
        }
        line.into_iter().map(String::from).collect()
    }

    fn counts(&self, task: Task) -> Cost {
        let client = task.client;
        let [few, many] = REQUESTS.map(|requests| self.line(task, requests));
        let per_request = (REQUESTS[1] - REQUESTS[0]) as f64;
        let said = |what: &str, reason: &Reason| println!("skipped {what} of {client}: {reason}");
        let instructions = || {
            let [few, many] = [instructions::of_run(&few)?, instructions::of_run(&many)?];
            Ok((many as f64 - few as f64) / per_request)
        };
        let calls = || {
            let runs = || Ok([syscalls::of_run(&few)?, syscalls::of_run(&many)?]);
            syscalls::middle_of_three(runs, per_request)
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

    fn cpu_us(&self, task: Task, requests: usize) -> Option<f64> {
        let printed = self.printed(task.client, self.line(task, requests))?;
        figure(&printed, "cpu_us ")
    }

    /// Every client in each round, with a connection to each host.
    fn crowd(&self, options: &Options, hosts: u64, rounds: usize) -> Vec<Crowd> {
        let mut rows: Vec<Crowd> = clients(options, false)
            .map(|client| Crowd {
                client,
                bytes: Vec::new(),
                cpu_us: Vec::new(),
            })
            .collect();
        let requests = usize::try_from(hosts).map_or(usize::MAX, |hosts| hosts * 5);
        for round in 0..rounds {
            eprintln!("{hosts} hosts, round {} of {rounds}", round + 1);
            for row in &mut rows {
                let task = Task {
                    client: row.client,
                    is_https: false,
                    concurrency: HOSTS_AT_ONCE,
                };
                let mut line = self.line(task, requests);
                line.extend(["--hosts".to_owned(), hosts.to_string()]);
                let printed = self.printed(row.client, line).unwrap_or_default();
                row.bytes.extend(figure(&printed, "bytes_per_host "));
                row.cpu_us.push(figure(&printed, "cpu_us "));
            }
        }
        rows
    }

    fn printed(&self, client: &str, line: Vec<String>) -> Option<String> {
        output(&mut command_on_first(&line), LIMIT)
            .inspect_err(|reason| println!("skipped CPU time of {client}: {reason}"))
            .ok()
    }
}

fn figure(printed: &str, name: &str) -> Option<f64> {
    let line = printed.lines().find_map(|line| line.strip_prefix(name))?;
    line.parse().ok()
}

fn table(rows: &[&Row]) -> Table {
    let mut table = Table::new(
        &[
            &["at once", "client", "user instr", "x best peer"][..],
            &COUNTED,
            &["CPU µs (min-max)", "x raw", "x best peer"],
        ]
        .concat(),
    );
    for (task, cost) in rows {
        let beside = || (rows.iter()).filter(|(peer, _)| peer.concurrency == task.concurrency);
        let peers = || {
            beside()
                .filter(|(peer, _)| !["squall", FLOOR].contains(&peer.client))
                .map(|(_, cost)| cost)
        };
        let floor = beside().find(|(peer, _)| peer.client == FLOOR);
        let ratio = |to: &Cost| Spread::paired_ratio(&cost.cpu_us, &to.cpu_us);
        let fewest = peers()
            .filter_map(|cost| cost.instructions)
            .min_by(f64::total_cmp);
        let cheapest = peers()
            .filter_map(|cost| Some((cost, median(cost)?.median)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let mut row = vec![
            task.concurrency.to_string(),
            task.client.into(),
            cell(cost.instructions),
            cell(cost.instructions.zip(fewest).map(|(a, b)| a / b)),
        ];
        row.extend(counted(cost.calls, cost.allocations));
        row.extend([
            median(cost).map_or("-".into(), |s| s.to_string()),
            cell(floor.and_then(|(_, floor)| ratio(floor))),
            cell(cheapest.and_then(|(cheapest, _)| ratio(cheapest))),
        ]);
        table.row(row);
    }
    table
}

fn median(cost: &Cost) -> Option<Spread> {
    Spread::of(&cost.cpu_us.iter().flatten().copied().collect::<Vec<_>>())
}

fn to_json((task, cost): &Row) -> Value {
    json!({
        "client": task.client,
        "scheme": task.scheme(),
        "concurrency": task.concurrency,
        "instructions": cost.instructions,
        "syscalls": cost.calls.map(Calls::to_json),
        "allocations": cost.allocations.map(|a| json!({ "count": a.count, "bytes": a.bytes })),
        "cpu_us_by_round": cost.cpu_us,
    })
}
