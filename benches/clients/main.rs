//! `clients CLIENT URL [--count N] [--concurrency N] [--hosts N] [--ca FILE]`: GETs by one HTTP client.
//! `clients CLIENT URL --down BYTES | --up BYTES | --up-small BYTES | --file PATH`: one large body.
//!
//! Every measurement of the subjects `client` and `upload` is a process of its own,
//! with one thread for the client. Each answer's body is read to its end and its length
//! checked. Prints `FIGURE VALUE` lines.

mod load;
mod peers;
mod raw;
mod tls;
mod transfer;

use std::process::ExitCode;

use load::Load;
use transfer::Transfer;

const USAGE: &str =
    "usage: clients raw|squall|reqwest|hyper|awc URL [--count N] [--concurrency N] [--hosts N] [--ca FILE]
       clients squall|reqwest|hyper URL --down BYTES | --up BYTES | --up-small BYTES | --file PATH";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((client, task)) = parse(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // reqwest wants to know even where nothing is encrypted.
    tls::choose_ring();
    let figures = match (client, task) {
        ("raw", Task::Load(load)) => raw::raw(load),
        ("squall", Task::Load(load)) => peers::squall(load),
        ("reqwest", Task::Load(load)) => peers::reqwest(load),
        ("hyper", Task::Load(load)) => peers::hyper(load),
        ("awc", Task::Load(load)) => peers::awc(load),
        ("squall", Task::Transfer(url, what)) => transfer::squall(url, what),
        ("reqwest", Task::Transfer(url, what)) => transfer::reqwest(url, what),
        ("hyper", Task::Transfer(url, what)) => transfer::hyper(url, what),
        _ => Err("it is not asked for that".to_owned()),
    };
    match figures {
        Ok(figures) => {
            for (name, figure) in figures {
                println!("{name} {figure:.3}");
            }
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("clients: {client}: {reason}");
            ExitCode::FAILURE
        }
    }
}

enum Task {
    Load(Load),
    Transfer(String, Transfer),
}

fn parse(args: &[String]) -> Option<(&str, Task)> {
    let [client, url, options @ ..] = args else {
        return None;
    };
    if let [what, value] = options {
        let transfer = match what.as_str() {
            "--down" => Some(Transfer::Down(value.parse().ok()?)),
            "--up" => Some(Transfer::Up(value.parse().ok()?, 1 << 20)),
            "--up-small" => Some(Transfer::Up(value.parse().ok()?, 64 << 10)),
            "--file" => Some(Transfer::File(value.clone())),
            _ => None,
        };
        if let Some(transfer) = transfer {
            return Some((client, Task::Transfer(url.clone(), transfer)));
        }
    }
    let mut load = Load::new(url);
    for option in options.chunks(2) {
        let [name, value] = option else {
            return None;
        };
        match name.as_str() {
            "--count" => load.count = value.parse().ok()?,
            "--ca" => load.ca = Some(value.clone()),
            "--hosts" => load.hosts = value.parse().ok().filter(|n| *n > 0)?,
            "--concurrency" => load.concurrency = value.parse().ok().filter(|n| *n > 0)?,
            _ => return None,
        }
    }
    Some((client, Task::Load(load)))
}
