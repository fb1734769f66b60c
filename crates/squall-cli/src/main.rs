//! The `squall` program: what Squall does, from the shell.

mod bench;
mod demo;
mod program;
mod serve;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use squall::Result;
use tracing_subscriber::EnvFilter;

/// Squall: an async web framework that blocking code cannot stall
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Options),
    Demo(demo::Options),
    Serve(serve::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            let lines = error.to_string();
            let line: Vec<_> = lines.lines().map(str::trim).collect();
            eprintln!("squall: {}", line.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    log_to_stderr(match &command {
        Command::Bench(_) => false,
        Command::Demo(options) => options.access_log,
        Command::Serve(options) => options.access_log,
    });
    match command {
        Command::Bench(options) => match options.fault() {
            Some(fault) => Cli::command()
                .error(ErrorKind::ValueValidation, fault)
                .exit(),
            None => bench::run(options),
        },
        Command::Demo(options) => demo::run(options).map(|()| ExitCode::SUCCESS),
        Command::Serve(options) => serve::run(options).map(|()| ExitCode::SUCCESS),
    }
}

/// Logs what `RUST_LOG` says; where it says nothing, everything from INFO, but no access lines:
/// what is behind a 5xx has a line of its own.
fn log_to_stderr(access_log: bool) {
    let usual = if access_log {
        "info"
    } else {
        "info,squall::access=off"
    };
    let said = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let wanted = if said.is_empty() { usual } else { &said };
    let (filter, wrong) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(usual), Some(error)),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    if let Some(error) = wrong {
        tracing::warn!(%error, "RUST_LOG is not understood; using {usual:?}");
    }
}
