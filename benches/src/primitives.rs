//! Subject `loop`: what the loop's primitives cost beside other runtimes.
//!
//! Every cell is a process of its own (`runtimes/`), in rounds: no runtime
//! inherits another's heap or threads, and a noisy minute hits all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::bounded::output;
use crate::options::Options;
use crate::servers;
use crate::spread::{Spread, cell};
use crate::table::Table;

/// In the order of the table's columns.
pub(crate) const RUNTIMES: [&str; 4] = ["squall", "tokio-1", "tokio", "smol"];
/// Those that use more than one core, as Squall does.
const MULTI_CORE: [&str; 2] = ["tokio", "smol"];
/// What the others do not have.
const OURS: [&str; 1] = ["calls-random"];
const LIMIT: Duration = Duration::from_secs(120);

/// Case, the part of its work that `--quick` does (none: all), and its rows:
/// figure and title.
type Case = (&'static str, usize, &'static [(&'static str, &'static str)]);

const CASES: [Case; 11] = [
    (
        "spawn-one",
        100_000,
        &[
            ("ns", "spawn an empty task and await it, ns"),
            ("cpu_ns", "… CPU ns"),
        ],
    ),
    (
        "spawn-1000",
        100_000,
        &[
            ("ns", "spawn 1,000, then await all: each, ns"),
            ("cpu_ns", "… CPU ns"),
        ],
    ),
    (
        "yield",
        300_000,
        &[("ns", "yield, ns"), ("cpu_ns", "… CPU ns")],
    ),
    (
        "ping-pong",
        100_000,
        &[
            ("ns", "two tasks wake each other, there and back, ns"),
            ("cpu_ns", "… CPU ns"),
        ],
    ),
    (
        "ping-pong-apart",
        10_000,
        &[
            ("ns", "… on different threads, there and back, ns"),
            ("cpu_ns", "… CPU ns"),
        ],
    ),
    (
        "wake-from-thread",
        10_000,
        &[
            ("ns", "a plain thread wakes a task, is unparked by it, ns"),
            ("cpu_ns", "… CPU ns"),
        ],
    ),
    (
        "sleeps-random",
        1_000_000,
        &[
            ("arm_ns", "1,000,000 sleeps, random deadlines: arm, ns"),
            ("arm_cpu_ns", "… CPU ns"),
            ("bytes", "… bytes each, with the future"),
            ("cancel_ns", "… cancel every second one, ns"),
            ("cancel_cpu_ns", "… CPU ns"),
        ],
    ),
    (
        "calls-random",
        1_000_000,
        &[
            ("arm_ns", "1,000,000 call_later, random: arm, ns"),
            ("arm_cpu_ns", "… CPU ns"),
            ("bytes", "… bytes each, with handle and callback"),
        ],
    ),
    (
        "sleeps-fire",
        1_000_000,
        &[
            (
                "late_p50_ms",
                "500,000 of them fire within 4 s: late by, p50 ms",
            ),
            ("late_p99.9_ms", "… p99.9 ms"),
            ("late_max_ms", "… max ms"),
            (
                "floor_p50_ms",
                "… a thread that only sleeps to them meanwhile: p50 ms",
            ),
            ("floor_p99.9_ms", "… … p99.9 ms"),
            ("floor_max_ms", "… … max ms"),
            ("disorder", "… fired after a later one"),
        ],
    ),
    (
        "hand-off",
        100,
        &[
            ("cpu_us", "take a lane from a blocked thread, CPU µs"),
            (
                "offload_cpu_us",
                "the same call on a thread for such calls, CPU µs",
            ),
            (
                "floor_cpu_us",
                "… the thread switches in either, by plain threads",
            ),
            ("sleep_cpu_us", "… for comparison, one sleep of a thread"),
        ],
    ),
    ("idle", 0, &[("wakes_per_s", "idle: wakes per second")]),
];

/// What one process printed.
type Figures = BTreeMap<String, f64>;

/// Per case and runtime the figures of each round.
type Runs = BTreeMap<(&'static str, &'static str), Vec<Option<Figures>>>;

pub(crate) fn run(options: &Options) -> Result<Value, Reason> {
    let program = servers::peer(Path::new(env!("CARGO_MANIFEST_DIR")), "runtimes")?;
    let rounds = options.rounds(3, 7);
    let mut runs = Runs::new();
    for round in 0..rounds {
        eprintln!("primitives, round {} of {rounds}", round + 1);
        for (case, few, _) in CASES {
            for turn in 0..RUNTIMES.len() {
                // Every round begins with another runtime.
                let runtime = RUNTIMES[(turn + round) % RUNTIMES.len()];
                if !options.wants(runtime) || (OURS.contains(&case) && runtime != "squall") {
                    continue;
                }
                let mut command = Command::new(&program);
                command.args([runtime, case]).env("SMOL_THREADS", "2");
                if options.quick {
                    command.args(["--count", &few.to_string()]);
                }
                let figures = output(&mut command, LIMIT)
                    .inspect_err(|reason| println!("{case} of {runtime}: {reason}"))
                    .ok()
                    .map(|text| parse(&text));
                runs.entry((case, runtime)).or_default().push(figures);
            }
        }
    }
    println!(
        "\n## loop: median of {rounds} (min-max), 2 threads\n\n{}",
        table(&runs)
    );
    let json = runs.iter().map(
        |((case, runtime), rounds)| json!({ "case": case, "runtime": runtime, "rounds": rounds }),
    );
    Ok(json!({ "rounds": rounds, "runs": json.collect::<Vec<_>>() }))
}

/// `NAME FIGURE` lines.
fn parse(text: &str) -> Figures {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter_map(|(name, figure)| Some((name.to_owned(), figure.parse().ok()?)))
        .collect()
}

fn table(runs: &Runs) -> Table {
    let mut header = vec!["per operation"];
    header.extend(RUNTIMES);
    header.push("x best of tokio, smol");
    let mut table = Table::new(&header);
    for (case, _, rows) in CASES {
        for (figure, title) in rows {
            let by_round = |runtime: &str| -> Vec<Option<f64>> {
                let rounds = (runs.iter())
                    .find(|((c, r), _)| *c == case && *r == runtime)
                    .map(|(_, rounds)| rounds.as_slice())
                    .unwrap_or_default();
                (rounds.iter())
                    .map(|round| round.as_ref()?.get(*figure).copied())
                    .collect()
            };
            let spread = |runtime: &str| {
                Spread::of(&by_round(runtime).into_iter().flatten().collect::<Vec<_>>())
            };
            let mut row = vec![(*title).to_owned()];
            row.extend(
                RUNTIMES.map(|runtime| spread(runtime).map_or("-".into(), |s| s.to_string())),
            );
            let best = (MULTI_CORE.into_iter())
                .filter_map(|runtime| Some((runtime, spread(runtime)?.median)))
                .min_by(|a, b| a.1.total_cmp(&b.1));
            // A ratio of counts that may be 0 says nothing.
            let ratio = best
                .filter(|_| !["disorder", "wakes_per_s"].contains(figure))
                .and_then(|(best, _)| Spread::paired_ratio(&by_round("squall"), &by_round(best)));
            row.push(cell(ratio));
            table.row(row);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_name() {
        let figures = parse("ns 12.5\nlate_p99.9_ms 3\n\nnot a figure\n");
        assert_eq!(figures.len(), 2);
        assert_eq!(figures["late_p99.9_ms"], 3.0);
    }

    #[test]
    fn the_ratio_is_to_the_best_of_the_multi_core_ones() {
        let mut runs = Runs::new();
        for (runtime, ns) in [
            ("squall", 5.0),
            ("tokio-1", 1.0),
            ("tokio", 10.0),
            ("smol", 20.0),
        ] {
            let figures = [("ns".to_owned(), ns)].into();
            runs.insert(("yield", runtime), vec![Some(figures)]);
        }
        let table = table(&runs).to_string();
        let row = table
            .lines()
            .find(|line| line.contains("| yield, ns"))
            .unwrap();
        assert!(row.trim_end().ends_with("0.500 |"), "{row}");
    }
}
