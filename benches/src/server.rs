//! Subject `server`: what one small request costs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::allocations::{self, Allocations};
use crate::cpu::{self, Sample};
use crate::instructions;
use crate::options::Options;
use crate::servers::Server;
use crate::spread::{Spread, cell};
use crate::syscalls::{self, Calls};
use crate::table::Table;

/// All figures of one server; what could not be measured is missing.
#[derive(Debug, Default)]
struct Cost {
    instructions: Option<f64>,
    calls: Option<Calls>,
    allocations: Option<Allocations>,
    /// One per round, in the order of the rounds.
    samples: Vec<Option<Sample>>,
}

impl Cost {
    fn cpu_us(&self) -> Vec<Option<f64>> {
        self.samples
            .iter()
            .map(|s| s.map(|s| s.cpu_us_per_request))
            .collect()
    }

    fn spread(&self, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(
            &self
                .samples
                .iter()
                .flatten()
                .map(figure)
                .collect::<Vec<_>>(),
        )
    }
}

pub(crate) fn run(servers: &[Server], options: &Options) -> Value {
    measure("server: GET /plaintext", servers, options)
}

/// What a request for `/plaintext` costs each of these.
pub(crate) fn measure(title: &str, servers: &[Server], options: &Options) -> Value {
    let mut costs: Vec<Cost> = servers.iter().map(|_| Cost::default()).collect();
    for (server, cost) in servers.iter().zip(&mut costs) {
        eprintln!("counting: {}", server.name);
        cost.instructions = or_say(server, "instructions", instructions::per_request(server));
        cost.calls = or_say(server, "system calls", syscalls::per_request(server));
        cost.allocations = or_say(server, "allocations", allocations::per_request(server));
    }
    let rounds = options.rounds(3, 7);
    let time = Duration::from_millis(if options.quick { 1_000 } else { 3_000 });
    for round in 0..rounds {
        eprintln!("CPU time, round {} of {rounds}", round + 1);
        for turn in 0..servers.len() {
            // Every round begins with another server.
            let at = (turn + round) % servers.len();
            let sample = or_say(&servers[at], "CPU time", cpu::sample(&servers[at], time));
            costs[at].samples.push(sample);
        }
    }
    println!(
        "\n## {title}, 1 lane; counts over {} connections, CPU over {} for {} s, {rounds} rounds\n\n{}",
        instructions::CONNECTIONS,
        cpu::CONNECTIONS,
        time.as_secs(),
        table(servers, &costs)
    );
    let figures = servers
        .iter()
        .zip(&costs)
        .map(|(server, cost)| (server.name.to_owned(), to_json(cost)));
    json!({ "rounds": rounds, "servers": figures.collect::<serde_json::Map<_, _>>() })
}

fn or_say<T>(server: &Server, what: &str, figure: Result<T, Reason>) -> Option<T> {
    figure
        .inspect_err(|reason| println!("skipped {what} of {}: {reason}", server.name))
        .ok()
}

fn table(servers: &[Server], costs: &[Cost]) -> Table {
    let mut table = Table::new(&[
        "server",
        "user instr",
        "x raw",
        "x best peer",
        "syscalls",
        "read",
        "write",
        "epoll",
        "other",
        "allocs",
        "alloc bytes",
        "CPU µs (min-max)",
        "x raw",
        "x best peer",
        "req/s",
    ]);
    let all = || servers.iter().zip(costs);
    let raw = all()
        .find(|(server, _)| server.name == "raw")
        .map(|(_, cost)| cost);
    let best_by = |figure: &dyn Fn(&Cost) -> Option<f64>| {
        let peers = all()
            .filter(|(server, _)| server.is_peer())
            .map(|(_, cost)| cost);
        peers.filter(|cost| figure(cost).is_some()).min_by(|a, b| {
            figure(a)
                .unwrap_or(f64::INFINITY)
                .total_cmp(&figure(b).unwrap_or(f64::INFINITY))
        })
    };
    let fewest = best_by(&|cost| cost.instructions);
    let cheapest = best_by(&|cost| cost.spread(|s| s.cpu_us_per_request).map(|s| s.median));
    for (server, cost) in all() {
        let of = |other: Option<&Cost>| {
            cost.instructions
                .zip(other.and_then(|o| o.instructions))
                .map(|(a, b)| a / b)
        };
        let cpu_of = |other: Option<&Cost>| Spread::paired_ratio(&cost.cpu_us(), &other?.cpu_us());
        let calls = |class: fn(Calls) -> f64| cell(cost.calls.map(class));
        table.row(vec![
            server.name.into(),
            cell(cost.instructions),
            cell(of(raw)),
            cell(of(fewest)),
            calls(Calls::sum),
            calls(|c| c.read),
            calls(|c| c.write),
            calls(|c| c.epoll),
            calls(|c| c.other),
            cell(cost.allocations.map(|a| a.count)),
            cell(cost.allocations.map(|a| a.bytes)),
            cost.spread(|s| s.cpu_us_per_request)
                .map_or("-".into(), |s| s.to_string()),
            cell(cpu_of(raw)),
            cell(cpu_of(cheapest)),
            cell(cost.spread(|s| s.requests_per_second).map(|s| s.median)),
        ]);
    }
    table
}

fn to_json(cost: &Cost) -> Value {
    let spread = |figure: fn(&Sample) -> f64| cost.spread(figure).map(Spread::to_json);
    json!({
        "instructions": cost.instructions,
        "syscalls": cost.calls.map(Calls::to_json),
        "allocations": cost.allocations.map(|a| json!({ "count": a.count, "bytes": a.bytes })),
        "cpu_us": spread(|s| s.cpu_us_per_request),
        "cpu_us_by_round": cost.cpu_us(),
        "requests_per_second": spread(|s| s.requests_per_second),
    })
}
