//! What a request costs each of several programs: counted once, timed in rounds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::allocations::{self, Allocations};
use crate::cpu::{self, Load, Sample};
use crate::instructions;
use crate::options::Options;
use crate::servers::Server;
use crate::shape::Shape;
use crate::spread::{Spread, cell};
use crate::syscalls::{self, Calls};

/// The columns of what is counted beside the instructions, see [`counted`].
pub(crate) const COUNTED: [&str; 7] = [
    "syscalls",
    "read",
    "write",
    "epoll",
    "other",
    "allocs",
    "alloc bytes",
];

/// A row's cells in the columns [`COUNTED`].
pub(crate) fn counted(calls: Option<Calls>, allocations: Option<Allocations>) -> [String; 7] {
    let called = |class: fn(Calls) -> f64| cell(calls.map(class));
    [
        called(Calls::sum),
        called(|calls| calls.read),
        called(|calls| calls.write),
        called(|calls| calls.epoll),
        called(|calls| calls.other),
        cell(allocations.map(|allocations| allocations.count)),
        cell(allocations.map(|allocations| allocations.bytes)),
    ]
}

/// All figures of one server; what could not be measured is missing.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    pub(crate) instructions: Option<f64>,
    pub(crate) calls: Option<Calls>,
    /// All of them, without a tracer and under the load of the samples.
    pub(crate) calls_at_full_speed: Option<f64>,
    pub(crate) allocations: Option<Allocations>,
    /// One per round, in the order of the rounds.
    samples: Vec<Option<Sample>>,
}

impl Cost {
    /// By round, for ratios within a round.
    pub(crate) fn by_round(&self, figure: fn(&Sample) -> f64) -> Vec<Option<f64>> {
        (self.samples.iter())
            .map(|sample| sample.as_ref().map(figure))
            .collect()
    }

    pub(crate) fn spread(&self, figure: fn(&Sample) -> f64) -> Option<Spread> {
        let figures = self.samples.iter().flatten().map(figure);
        Spread::of(&figures.collect::<Vec<_>>())
    }

    fn to_json(&self) -> Value {
        let spread = |figure: fn(&Sample) -> f64| self.spread(figure).map(Spread::to_json);
        json!({
            "instructions": self.instructions,
            "syscalls": self.calls.map(Calls::to_json),
            "syscalls_at_full_speed": self.calls_at_full_speed,
            "allocations": self.allocations.map(|a| json!({ "count": a.count, "bytes": a.bytes })),
            "cpu_us": spread(cpu_us),
            "cpu_us_by_round": self.by_round(cpu_us),
            "requests_per_second": spread(|s| s.requests_per_second),
            "p50_ms": spread(|s| s.p50_ms),
            "p99_ms": spread(|s| s.p99_ms),
            "sliced_p99_ms": spread(|s| s.sliced_p99_ms),
        })
    }
}

pub(crate) fn cpu_us(sample: &Sample) -> f64 {
    sample.cpu_us_per_request
}

/// Empty ones, to be filled in.
pub(crate) fn of(servers: &[Server]) -> Vec<Cost> {
    servers.iter().map(|_| Cost::default()).collect()
}

/// Fills in what is counted.
pub(crate) fn count(servers: &[Server], costs: &mut [Cost], shape: Shape) {
    for (server, cost) in servers.iter().zip(costs) {
        eprintln!("counting: {}, {shape:?}", server.name);
        let found = instructions::per_request(server, shape);
        cost.instructions = or_say(server, "instructions", found);
        let found = allocations::per_request(server, shape);
        cost.allocations = or_say(server, "allocations", found);
    }
}

/// Fills in the system calls of a plain request.
pub(crate) fn count_calls(servers: &[Server], costs: &mut [Cost]) {
    for (server, cost) in servers.iter().zip(costs) {
        cost.calls = or_say(server, "system calls", syscalls::per_request(server));
    }
}

/// Fills in how many system calls there are without a tracer.
pub(crate) fn count_calls_at_full_speed(servers: &[Server], costs: &mut [Cost], load: Load<'_>) {
    for (server, cost) in servers.iter().zip(costs) {
        let found = syscalls::at_full_speed(server, load);
        cost.calls_at_full_speed = or_say(server, "system calls at full speed", found);
    }
}

/// Fills in what is timed; says how many rounds of how long that was.
pub(crate) fn sample(
    servers: &[Server],
    costs: &mut [Cost],
    load: Load<'_>,
    options: &Options,
) -> (usize, Duration) {
    let rounds = options.rounds(3, 7);
    let time = Duration::from_millis(if options.quick { 1_000 } else { 3_000 });
    for round in 0..rounds {
        eprintln!("CPU time, {load}, round {} of {rounds}", round + 1);
        for turn in 0..servers.len() {
            // Every round begins with another server.
            let at = (turn + round) % servers.len();
            let found = cpu::sample(&servers[at], load, time);
            costs[at]
                .samples
                .push(or_say(&servers[at], "CPU time", found));
        }
    }
    (rounds, time)
}

/// The peer that has least of something.
pub(crate) fn best_peer<'a>(
    servers: &[Server],
    costs: &'a [Cost],
    figure: impl Fn(&Cost) -> Option<f64>,
) -> Option<&'a Cost> {
    let peers = (servers.iter().zip(costs)).filter(|(server, _)| server.is_peer());
    let known = peers.filter_map(|(_, cost)| Some((figure(cost)?, cost)));
    known
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, cost)| cost)
}

pub(crate) fn by_name(servers: &[Server], costs: &[Cost]) -> Value {
    let figures =
        (servers.iter().zip(costs)).map(|(server, cost)| (server.name.to_owned(), cost.to_json()));
    figures.collect::<serde_json::Map<_, _>>().into()
}

pub(crate) fn or_say<T>(server: &Server, what: &str, figure: Result<T, Reason>) -> Option<T> {
    figure
        .inspect_err(|reason| println!("skipped {what} of {}: {reason}", server.name))
        .ok()
}
