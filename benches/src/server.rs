//! Subject `server`: what one small request costs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::allocations::{self, Allocations};
use crate::cpu::{self, Sample};
use crate::instructions;
use crate::options::Options;
use crate::servers::{Kind, Server};
use crate::shape::Shape;
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
    let mut figures = measure("server: GET /plaintext", servers, options);
    let routed: Vec<Server> = (servers.iter())
        .filter_map(|server| or_say(server, "the hundred routes", server.routed()).flatten())
        .collect();
    let native: Vec<Server> = (servers.iter())
        .filter(|server| server.kind == Kind::Rust)
        .cloned()
        .collect();
    let title = "a browser's request for one of a hundred routes, JSON";
    figures["browser"] = shaped(&routed, title, Shape::Browser, options);
    let title = "GET /plaintext, 16 pipelined";
    figures["pipelined"] = shaped(&native, title, Shape::Pipelined, options);
    figures
}

/// What a request for `/plaintext` costs each of these.
pub(crate) fn measure(title: &str, servers: &[Server], options: &Options) -> Value {
    let mut plain: Vec<Cost> = servers.iter().map(|_| Cost::default()).collect();
    count(servers, &mut plain, Shape::Plain);
    for (server, cost) in servers.iter().zip(&mut plain) {
        cost.calls = or_say(server, "system calls", syscalls::per_request(server));
    }
    let (rounds, time) = sample(servers, &mut plain, Shape::Plain, options);
    println!(
        "\n## {title}, 1 lane; counts over {} connections, CPU over {} for {} s, {rounds} rounds\n\n{}",
        instructions::CONNECTIONS,
        cpu::CONNECTIONS,
        time.as_secs(),
        table(servers, &plain)
    );
    json!({ "rounds": rounds, "servers": by_name(servers, &plain) })
}

/// A smaller table: what another kind of load costs.
fn shaped(servers: &[Server], title: &str, shape: Shape, options: &Options) -> Value {
    let mut costs: Vec<Cost> = servers.iter().map(|_| Cost::default()).collect();
    count(servers, &mut costs, shape);
    sample(servers, &mut costs, shape, options);
    println!("\n### server: {title}\n\n{}", short_table(servers, &costs));
    by_name(servers, &costs)
}

/// Fills in what is counted.
fn count(servers: &[Server], costs: &mut [Cost], shape: Shape) {
    for (server, cost) in servers.iter().zip(costs) {
        eprintln!("counting: {}, {shape:?}", server.name);
        let found = instructions::per_request(server, shape);
        cost.instructions = or_say(server, "instructions", found);
        let found = allocations::per_request(server, shape);
        cost.allocations = or_say(server, "allocations", found);
    }
}

/// Fills in what is timed.
fn sample(
    servers: &[Server],
    costs: &mut [Cost],
    shape: Shape,
    options: &Options,
) -> (usize, Duration) {
    let rounds = options.rounds(3, 7);
    let time = Duration::from_millis(if options.quick { 1_000 } else { 3_000 });
    for round in 0..rounds {
        eprintln!("CPU time, {shape:?}, round {} of {rounds}", round + 1);
        for turn in 0..servers.len() {
            // Every round begins with another server.
            let at = (turn + round) % servers.len();
            let found = cpu::sample(&servers[at], shape, time);
            costs[at]
                .samples
                .push(or_say(&servers[at], "CPU time", found));
        }
    }
    (rounds, time)
}

fn by_name(servers: &[Server], costs: &[Cost]) -> Value {
    let figures = servers
        .iter()
        .zip(costs)
        .map(|(server, cost)| (server.name.to_owned(), to_json(cost)));
    figures.collect::<serde_json::Map<_, _>>().into()
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
    let (fewest, cheapest) = best_peers(servers, costs);
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

fn short_table(servers: &[Server], costs: &[Cost]) -> Table {
    let mut table = Table::new(&[
        "server",
        "user instr",
        "x best peer",
        "allocs",
        "alloc bytes",
        "CPU µs (min-max)",
        "x best peer",
    ]);
    let (fewest, cheapest) = best_peers(servers, costs);
    for (server, cost) in servers.iter().zip(costs) {
        let best = fewest.and_then(|fewest| fewest.instructions);
        let ratio = cost.instructions.zip(best).map(|(ours, best)| ours / best);
        let paired = |cheapest: &Cost| Spread::paired_ratio(&cost.cpu_us(), &cheapest.cpu_us());
        table.row(vec![
            server.name.into(),
            cell(cost.instructions),
            cell(ratio),
            cell(cost.allocations.map(|a| a.count)),
            cell(cost.allocations.map(|a| a.bytes)),
            cost.spread(|s| s.cpu_us_per_request)
                .map_or("-".into(), |s| s.to_string()),
            cell(cheapest.and_then(paired)),
        ]);
    }
    table
}

/// The peers with the fewest instructions and with the least CPU time.
fn best_peers<'a>(servers: &[Server], costs: &'a [Cost]) -> (Option<&'a Cost>, Option<&'a Cost>) {
    let best_by = |figure: fn(&Cost) -> Option<f64>| {
        let peers = (servers.iter().zip(costs)).filter(|(server, _)| server.is_peer());
        let known = peers.filter_map(|(_, cost)| Some((figure(cost)?, cost)));
        known
            .min_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, cost)| cost)
    };
    let time = |cost: &Cost| cost.spread(|s| s.cpu_us_per_request).map(|s| s.median);
    (best_by(|cost| cost.instructions), best_by(time))
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
