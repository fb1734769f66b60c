//! The `squall` program: what Squall does, from the shell.

mod bench;
mod demo;
mod fetch;
mod new;
mod program;
mod serve;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use squall::Result;
use tracing_subscriber::EnvFilter;

/// Squall: an async web framework that blocking code cannot stall
#[derive(Debug, Parser)]
#[command(name = "squall", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Options),
    Demo(demo::Options),
    Fetch(fetch::Options),
    New(new::Options),
    Serve(serve::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            program::complain(error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let fault = match &command {
        Command::Bench(options) => options.fault(),
        Command::Fetch(options) => options.fault(),
        _ => None,
    };
    if let Some(fault) = fault {
        let error = Cli::command().error(ErrorKind::ValueValidation, fault);
        error.exit();
    }
    log_to_stderr(match &command {
        Command::Bench(_) | Command::New(_) => USUAL,
        // What is of interest to whoever fetches is said without the log.
        Command::Fetch(_) => "error",
        Command::Demo(demo::Options { access_log, .. })
        | Command::Serve(serve::Options { access_log, .. }) => match access_log {
            true => "info",
            false => USUAL,
        },
    });
    match command {
        Command::Bench(options) => bench::run(options),
        Command::Fetch(options) => fetch::run(options),
        Command::New(options) => new::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Demo(options) => demo::run(options).map(|()| ExitCode::SUCCESS),
        Command::Serve(options) => serve::run(options).map(|()| ExitCode::SUCCESS),
    }
}

/// Everything from INFO, but no access lines: what is behind a 5xx has a line of its own.
const USUAL: &str = "info,squall::access=off";

/// Logs what `RUST_LOG` says; where it says nothing, what is usual.
fn log_to_stderr(usual: &str) {
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
        // It would be said on stderr, whose loss is the error, and panic there.
        .log_internal_errors(false)
        .init();
    if let Some(error) = wrong {
        tracing::warn!(%error, "RUST_LOG is not understood; using {usual:?}");
    }
}
