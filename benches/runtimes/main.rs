//! `runtimes RUNTIME CASE [--count N]`: one primitive of one runtime, once.
//!
//! Each cell of the subject `loop` is a process of its own, so that no runtime
//! inherits the other's threads, caches or heap. Prints `FIGURE UNIT` lines.

mod baton;
mod idle;
mod runtime;
mod stopwatch;
mod tasks;
mod timers;

use std::process::ExitCode;

use runtime::{Runtime, Smol, Squall, TokioMulti, TokioSingle};

/// What one case found: names and figures.
type Figures = Vec<(&'static str, f64)>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (runtime, case, count) = match args[..] {
        [runtime, case] => (runtime, case, None),
        [runtime, case, "--count", count] => (runtime, case, count.parse().ok()),
        _ => ("", "", None),
    };
    let figures = match runtime {
        "squall" => measure::<Squall>(case, count),
        "tokio-1" => measure::<TokioSingle>(case, count),
        "tokio" => measure::<TokioMulti>(case, count),
        "smol" => measure::<Smol>(case, count),
        _ => None,
    };
    let Some(figures) = figures else {
        eprintln!("usage: runtimes squall|tokio-1|tokio|smol CASE [--count N]");
        return ExitCode::from(2);
    };
    for (name, figure) in figures {
        println!("{name} {figure:.1}");
    }
    ExitCode::SUCCESS
}

fn measure<R: Runtime>(case: &str, count: Option<usize>) -> Option<Figures> {
    let or = |default| count.unwrap_or(default);
    let runtime = R::start();
    Some(match case {
        "spawn-one" => tasks::spawn_one(&runtime, or(300_000)),
        "spawn-1000" => tasks::spawn_many(&runtime, or(300_000)),
        "yield" => tasks::yields(&runtime, or(1_000_000)),
        "ping-pong" => tasks::ping_pong(&runtime, or(300_000)),
        "ping-pong-apart" => tasks::ping_pong_apart::<R>(runtime, or(30_000)),
        "wake-from-thread" => tasks::wake_from_thread(&runtime, or(30_000)),
        "sleeps-random" => timers::sleeps(&runtime, or(1_000_000), true),
        "sleeps-same" => timers::sleeps(&runtime, or(1_000_000), false),
        "sleeps-fire" => timers::fire(&runtime, or(1_000_000)),
        "calls-random" => timers::calls(&runtime, or(1_000_000), true)?,
        "calls-same" => timers::calls(&runtime, or(1_000_000), false)?,
        "idle" => idle::wakes(),
        "hand-off" => idle::hand_off(&runtime, or(500)),
        _ => return None,
    })
}
