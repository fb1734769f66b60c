//! Subject `blocking`: how a cheap route fares while other handlers block.
//!
//! On 2 lanes, 200 requests per second go to `/plaintext` over 20 connections
//! while background clients call a route that blocks in the handler. The
//! background begins with the first request: nothing is learned beforehand,
//! except in the row that says so.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::bounded::output;
use crate::burst;
use crate::memory;
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
const CELLS: [(u32, &str); 7] = [
    (0, "/block/1000"),
    (5, "/block/1000"),
    (100, "/block/1000"),
    // More than Squall has threads: it sheds with 503 above 512.
    (1_000, "/block/1000"),
    (3, "/spin/1000"),
    (50, "/lock/200"),
    (50, SELF_CALL),
];
/// Calls the server that answers it, with a blocking client in the handler.
const SELF_CALL: &str = "/client/sync";
/// How long a route may take to be learned.
const WARM_UP: u64 = 3;

const FIGURES: [&str; 10] = [
    "p50",
    "p90",
    "p99",
    "p99.9",
    "max",
    "lost",
    "slow_done",
    "shed",
    "failed",
    "late_p99",
];

/// One run's figures in the order of `FIGURES`, times in milliseconds.
type Figures = [f64; 10];

/// A row of the tables: a server, and how it is run.
#[derive(Debug)]
struct Row<'a> {
    name: &'static str,
    server: &'a Server,
    args: &'static [&'static str],
    warm_up: Duration,
}

pub(crate) fn run(servers: &[Server], options: &Options) -> Result<Value, Reason> {
    let rows = rows(servers, options);
    let rounds = options.rounds(1, 3);
    let window = Duration::from_secs(if options.quick { 5 } else { 10 });
    let cells: Vec<(u32, &str)> = (CELLS.into_iter())
        .filter(|&(clients, path)| {
            (options.cell.as_ref()).is_none_or(|text| title(clients, path).contains(text))
        })
        .collect();
    let most = cells.iter().map(|(clients, _)| clients + CONNECTIONS).max();
    memory::allowed(most.unwrap_or(0).into())?;
    let mut runs = vec![vec![Vec::new(); rows.len()]; cells.len()];
    for round in 0..rounds {
        for (cell, &(clients, path)) in cells.iter().enumerate() {
            for turn in 0..rows.len() {
                // Every round begins with another server.
                let at = (turn + round) % rows.len();
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
                    warm_up: rows[at].warm_up,
                };
                let (name, title) = (rows[at].name, title(clients, path));
                eprintln!("round {} of {rounds}: {name}, {title}", round + 1);
                match one(&rows[at], &plan) {
                    Ok(outcome) => runs[cell][at].push(figures(&outcome)),
                    Err(reason) => println!("{name}, {title}: {reason}"),
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
    for (&(clients, path), runs) in cells.iter().zip(&runs) {
        let title = title(clients, path);
        println!("\n### {title}\n\n{}", table(&rows, runs, path == SELF_CALL));
        report.insert(title, to_json(&rows, runs));
    }
    let mut figures = json!({ "rate": RATE, "connections": CONNECTIONS, "lanes": LANES,
        "window_s": window.as_secs(), "rounds": rounds, "cells": report });
    if options.cell.is_none() {
        let once: Vec<&Server> = servers.iter().filter(|s| measured(s, options)).collect();
        figures["burst"] = burst::run(&once);
    }
    Ok(figures)
}

fn title(clients: u32, path: &str) -> String {
    match (clients, path) {
        (0, _) => "no background".into(),
        (_, SELF_CALL) => format!("self-call: {clients} clients on {path}"),
        _ => format!("{clients} clients on {path}"),
    }
}

/// The floor has no answer to blocking: it is measured only when it is named.
fn measured(server: &Server, options: &Options) -> bool {
    server.name != "raw" || options.named("raw")
}

/// Squall is there three times: from the first request on, once it has learned,
/// and where it may not learn.
fn rows<'a>(servers: &'a [Server], options: &Options) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for server in servers.iter().filter(|s| measured(s, options)) {
        let row = |name, args, warm_up| Row {
            name,
            server,
            args,
            warm_up: Duration::from_secs(warm_up),
        };
        rows.push(row(server.name, &[], 0));
        if server.name != "squall" {
            continue;
        }
        rows.push(row(
            "squall learned",
            &[],
            options.warm_up.unwrap_or(WARM_UP),
        ));
        let help = output(
            Command::new(&server.command[0]).args(["demo", "--help"]),
            Duration::from_secs(10),
        );
        if help.is_ok_and(|help| help.contains("--offload")) {
            rows.push(row("squall never learns", &["--offload", "never"], 0));
        } else {
            println!("skipped squall never learns: this program has no --offload");
        }
    }
    rows
}

fn one(row: &Row<'_>, plan: &Plan) -> Result<Outcome, Reason> {
    let mut launch = row.server.launch(LANES).args(row.args);
    if plan.background.path == SELF_CALL {
        launch = launch.calls_itself();
    }
    let process = launch.start()?;
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
        outcome.background.ok as f64,
        outcome.background.shed as f64,
        outcome.background.failed as f64,
        percentile_ms(&outcome.lateness, 99.0),
    ]
}

fn spread(runs: &[Figures], figure: usize) -> Option<Spread> {
    Spread::of(&runs.iter().map(|run| run[figure]).collect::<Vec<_>>())
}

fn table(rows: &[Row<'_>], runs: &[Vec<Figures>], may_deadlock: bool) -> Table {
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
        "shed",
        "failed",
        "late_p99",
    ]);
    let peers = (rows.iter().zip(runs)).filter(|(row, _)| row.server.is_peer());
    let best = peers
        .filter_map(|(_, runs)| Some(spread(runs, P99)?.median))
        .reduce(f64::min);
    for (row, runs) in rows.iter().zip(runs) {
        let mut row = vec![row.name.to_owned()];
        for (figure, name) in FIGURES.into_iter().enumerate() {
            let spread = spread(runs, figure);
            let median = spread.map(|s| s.median);
            match name {
                "p99" => {
                    row.push(spread.map_or("-".into(), |s| s.to_string()));
                    row.push(cell(median.zip(best).map(|(ours, best)| ours / best)));
                }
                "slow_done" if may_deadlock && median == Some(0.0) => {
                    row.push("0: deadlock".into());
                }
                "lost" | "slow_done" | "shed" | "failed" => {
                    row.push(median.map_or("-".into(), count));
                }
                _ => row.push(cell(median)),
            }
        }
        table.row(row);
    }
    table
}

fn to_json(rows: &[Row<'_>], runs: &[Vec<Figures>]) -> Value {
    let per_row = rows.iter().zip(runs).map(|(row, runs)| {
        let figures = FIGURES.iter().enumerate().map(|(at, name)| {
            (
                (*name).to_owned(),
                spread(runs, at).map_or(Value::Null, Spread::to_json),
            )
        });
        (row.name.to_owned(), Value::Object(figures.collect()))
    });
    Value::Object(per_row.collect())
}
