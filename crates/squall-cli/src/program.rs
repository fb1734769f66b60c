//! What the subcommands share: how they speak, and how they end.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// How long requests in flight have, once a server was asked to end.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Speaks to whoever waits for the program to be ready.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Says on one line of stderr what went wrong.
pub(crate) fn complain(what: impl Display) {
    let text = what.to_string();
    let line: Vec<_> = text.lines().map(str::trim).collect();
    eprintln!("squall: {}", line.join(" "));
}

pub(crate) fn seconds(text: &str) -> Result<Duration, &'static str> {
    (text.parse().ok())
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or("expected a number of seconds")
}

pub(crate) fn host_and_port(text: &str) -> Result<String, &'static str> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(text.to_owned())
        }
        _ => Err("expected HOST:PORT, such as 127.0.0.1:5000"),
    }
}
