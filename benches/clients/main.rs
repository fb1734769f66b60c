//! `clients CLIENT URL [--count N] [--concurrency N]`: GETs by one HTTP client.
//!
//! Every measurement of the subject `client` is a process of its own, with one
//! thread for the client. Each answer's body is read to its end and its length
//! checked. Prints `FIGURE VALUE` lines.

mod load;
mod peers;

use std::process::ExitCode;

use load::Load;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((client, load)) = parse(&args) else {
        eprintln!("usage: clients squall|reqwest|hyper|awc URL [--count N] [--concurrency N]");
        return ExitCode::from(2);
    };
    let figures = match client {
        "squall" => peers::squall(load),
        "reqwest" => peers::reqwest(load),
        "hyper" => peers::hyper(load),
        "awc" => peers::awc(load),
        _ => Err(format!("there is no client {client}")),
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

fn parse(args: &[String]) -> Option<(&str, Load)> {
    let [client, url, options @ ..] = args else {
        return None;
    };
    let mut load = Load::new(url);
    for option in options.chunks(2) {
        let [name, value] = option else {
            return None;
        };
        match name.as_str() {
            "--count" => load.count = value.parse().ok()?,
            "--concurrency" => load.concurrency = value.parse().ok().filter(|n| *n > 0)?,
            _ => return None,
        }
    }
    Some((client, load))
}
