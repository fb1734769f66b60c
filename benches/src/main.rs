//! `squall-benches SUBJECT`: Squall beside its peers, in one run.
//!
//! Every subject starts the programs one after the other, in rounds, so that a
//! noisy minute of the machine hits all of them. What can be counted is
//! counted (instructions, system calls, allocations, bytes); what must be
//! timed is given as median and range. See README.md for what to distrust.

mod allocations;
mod blocking;
mod bounded;
mod burst;
mod client;
mod cost;
mod cpu;
mod driver;
mod far_side;
mod fetching;
mod forwarding;
mod instructions;
mod memory;
mod noise;
mod open_loop;
mod options;
mod primitives;
mod process_tree;
mod rebuild;
mod relayed;
mod server;
mod server_process;
mod servers;
mod shape;
mod slow;
mod spread;
mod syscalls;
mod table;
mod upload;
mod upstream;
mod web_server;
mod wire;

use std::process::ExitCode;

use options::{Options, Subject};
use serde_json::{Value, json};

/// Why something was skipped or failed, in a sentence for the reader.
type Reason = String;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("{reason}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("squall-benches: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Says why a subject was not measured; it has no figures.
fn skipped(subject: &str) -> impl FnOnce(Reason) -> Value {
    move |reason| {
        println!("skipped {subject}: {reason}");
        Value::Null
    }
}

fn run(options: &Options) -> Result<(), Reason> {
    if let Some(path) = &options.json {
        // Better to fail now than after all the measuring.
        std::fs::write(path, "").map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let mut servers = Vec::new();
    let mut left_out = Vec::new();
    if (options.subjects().iter()).any(|subject| subject.is_of_servers()) {
        (servers, left_out) = servers::prepare(options)?;
        for (name, reason) in &left_out {
            println!("skipped {name}: {reason}");
        }
        if servers.is_empty() {
            return Err("no server is left to measure".into());
        }
    }
    println!("peers: {}", servers::versions());
    let mut subjects = serde_json::Map::new();
    for subject in options.subjects() {
        let before = noise::Noise::sample();
        let (name, figures) = match subject {
            Subject::Blocking => ("blocking", blocking::run(&servers, options)?),
            Subject::Server => ("server", server::run(&servers, options)),
            Subject::Client => (
                "client",
                fetching::run(options).unwrap_or_else(skipped("client")),
            ),
            Subject::Upload => ("upload", upload::run(options)?),
            Subject::Forward => (
                "forward",
                forwarding::run(options).unwrap_or_else(skipped("forward")),
            ),
            Subject::Memory => ("memory", memory::run(&servers, options)?),
            Subject::Loop => ("loop", primitives::run(options)?),
            Subject::Slow => ("slow", slow::run(options).unwrap_or_else(skipped("slow"))),
            Subject::Rebuild => ("rebuild", rebuild::run(options)?),
        };
        let noise = before.until_now();
        println!("\n{noise}");
        subjects.insert(
            name.into(),
            json!({ "figures": figures, "noise": noise.to_json() }),
        );
    }
    let Some(path) = &options.json else {
        return Ok(());
    };
    let report = json!({
        "quick": options.quick,
        "peers": servers::versions(),
        "skipped": left_out.iter().map(|(name, reason)| (name.to_string(), Value::from(reason.as_str())))
            .collect::<serde_json::Map<_, _>>(),
        "subjects": subjects,
    });
    let text = serde_json::to_string_pretty(&report).map_err(|e| e.to_string())?;
    std::fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))
}
