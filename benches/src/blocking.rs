//! Subject `blocking`: how a cheap route fares while other handlers block.
//!
//! On 2 lanes, 200 requests per second go to `/plaintext` over 20 connections
//! while background clients call a route that blocks in the handler. The
//! background begins with the first request: nothing is learned beforehand.

use std::time::Duration;

use serde_json::{Value, json};

use crate::burst;
use crate::open_loop::{Background, Outcome, Plan, percentile_ms};
use crate::options::Options;
use crate::servers::Server;
use crate::spread::{Spread, cell, count};
use crate::table::Table;

pub(crate) const LANES: usize = 2;
const RATE: u32 = 200;
const CONNECTIONS: u32 = 20;
const DRAIN: Duration = Duration::from_secs(5);
/// After a cell a server may still sit in 100 blocked handlers; its end is not measured.
const GRACE: Duration = Duration::from_secs(2);

/// Background clients and their route; the first cell is the undisturbed one.
const CELLS: [(u32, &str); 5] = [
    (0, "/block/1000"),
    (5, "/block/1000"),
    (100, "/block/1000"),
    (3, "/spin/1000"),
    (50, "/lock/200"),
];

const FIGURES: [&str; 8] = [
    "p50",
    "p90",
    "p99",
    "p99.9",
    "max",
    "lost",
    "slow_done",
    "late_p99",
];

/// One run's figures in the order of `FIGURES`, times in milliseconds.
type Figures = [f64; 8];

pub(crate) fn run(servers: &[Server], options: &Options) -> Value {
    // The floor has no answer to blocking: it is measured only when it is named.
    let servers: Vec<&Server> = servers
        .iter()
        .filter(|s| s.name != "raw" || options.named("raw"))
        .collect();
    let rounds = options.rounds(1, 3);
    let window = Duration::from_secs(if options.quick { 5 } else { 10 });
    let mut runs = vec![vec![Vec::new(); servers.len()]; CELLS.len()];
    for round in 0..rounds {
        for (cell, (clients, path)) in CELLS.into_iter().enumerate() {
            for turn in 0..servers.len() {
                // Every round begins with another server.
                let at = (turn + round) % servers.len();
                let background = Background {
                    clients,
                    path: path.into(),
                };
                let plan = Plan {
                    rate: RATE,
                    connections: CONNECTIONS,
                    window,
                    drain: DRAIN,
                    background,
                };
                eprintln!(
                    "round {} of {rounds}: {} with {clients} clients on {path}",
                    round + 1,
                    servers[at].name
                );
                match one(servers[at], &plan) {
                    Ok(outcome) => runs[cell][at].push(figures(&outcome)),
                    Err(reason) => println!(
                        "{} with {clients} clients on {path}: {reason}",
                        servers[at].name
                    ),
                }
            }
        }
    }
    println!(
        "\n## blocking: /plaintext at {RATE}/s over {CONNECTIONS} connections for {} s, {LANES} lanes; \
         ms from due to answered, median of {rounds}",
        window.as_secs()
    );
    let mut report = serde_json::Map::new();
    for ((clients, path), runs) in CELLS.into_iter().zip(&runs) {
        let title = if clients == 0 {
            "no background".into()
        } else {
            format!("{clients} clients on {path}")
        };
        println!("\n### {title}\n\n{}", table(&servers, runs));
        report.insert(title, to_json(&servers, runs));
    }
    let burst = burst::run(&servers);
    json!({ "rate": RATE, "connections": CONNECTIONS, "lanes": LANES, "window_s": window.as_secs(),
            "rounds": rounds, "cells": report, "burst": burst })
}

fn one(server: &Server, plan: &Plan) -> Result<Outcome, String> {
    let process = server.launch(LANES).start()?;
    let outcome = plan.run(process.addr());
    process.stop(GRACE);
    outcome
}

fn figures(outcome: &Outcome) -> Figures {
    let latency = |percentile| percentile_ms(&outcome.latency, percentile);
    [
        latency(50.0),
        latency(90.0),
        latency(99.0),
        latency(99.9),
        latency(100.0),
        outcome.lost as f64,
        outcome.slow_done as f64,
        percentile_ms(&outcome.lateness, 99.0),
    ]
}

fn spread(runs: &[Figures], figure: usize) -> Option<Spread> {
    Spread::of(&runs.iter().map(|run| run[figure]).collect::<Vec<_>>())
}

fn table(servers: &[&Server], runs: &[Vec<Figures>]) -> Table {
    const P99: usize = 2;
    let mut table = Table::new(&[
        "server",
        "p50",
        "p90",
        "p99 (min-max)",
        "p99 x best peer",
        "p99.9",
        "max",
        "lost",
        "slow_done",
        "late_p99",
    ]);
    let peers = servers
        .iter()
        .zip(runs)
        .filter(|(server, _)| server.is_peer());
    let best = peers
        .filter_map(|(_, runs)| Some(spread(runs, P99)?.median))
        .reduce(f64::min);
    for (server, runs) in servers.iter().zip(runs) {
        let mut row = vec![server.name.to_owned()];
        for (figure, name) in FIGURES.into_iter().enumerate() {
            let spread = spread(runs, figure);
            let median = spread.map(|s| s.median);
            match name {
                "p99" => {
                    row.push(spread.map_or("-".into(), |s| s.to_string()));
                    row.push(cell(median.zip(best).map(|(ours, best)| ours / best)));
                }
                "lost" | "slow_done" => row.push(median.map_or("-".into(), count)),
                _ => row.push(cell(median)),
            }
        }
        table.row(row);
    }
    table
}

fn to_json(servers: &[&Server], runs: &[Vec<Figures>]) -> Value {
    let per_server = servers.iter().zip(runs).map(|(server, runs)| {
        let figures = FIGURES.iter().enumerate().map(|(at, name)| {
            (
                (*name).to_owned(),
                spread(runs, at).map_or(Value::Null, Spread::to_json),
            )
        });
        (server.name.to_owned(), Value::Object(figures.collect()))
    });
    Value::Object(per_server.collect())
}
