//! The slow job: a command that is run and waited for, blocking.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use serde::Serialize;
use squall::{Error, Result};

/// A command of the system's shell.
#[derive(Debug, Clone)]
pub(super) struct Job {
    command: String,
}

/// How a job went that ended with status 0.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Done {
    greeting: &'static str,
    status: i32,
    ms: u64,
}

impl Job {
    pub(super) fn new(command: Option<String>) -> Self {
        let usual = || {
            let usual = if on_the_path("ping") {
                "ping -c 2 127.0.0.1"
            } else {
                "sleep 1"
            };
            usual.to_owned()
        };
        Self {
            command: command.unwrap_or_else(usual),
        }
    }

    /// Runs the command and waits for it. **Blocks** the thread, which is the point.
    ///
    /// # Errors
    /// 502 with the status, when it is another than 0; 500 when it cannot be started.
    pub(super) fn run(&self) -> Result<Done> {
        let begun = Instant::now();
        let status = shell(&self.command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(Error::bad_gateway(format!(
                "the job ended with {}",
                named(status)
            )));
        }
        Ok(Done {
            greeting: "hello",
            status: 0,
            ms: millis(begun),
        })
    }
}

/// `status 3`, or the signal that ended it.
fn named(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("status {code}"),
        None => status.to_string(),
    }
}

fn shell(command: &str) -> Command {
    let (shell, flag) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("/bin/sh", "-c")
    };
    let mut shell = Command::new(shell);
    shell.arg(flag).arg(command);
    shell
}

fn on_the_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

/// Milliseconds since then.
pub(super) fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
