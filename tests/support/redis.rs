//! `RedisServer`: a `redis-server` of a test's own.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::TempDir;

/// A `redis-server` on a Unix socket, without persistence, until it is dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    dir: TempDir,
    /// Kept open, so that it may go on writing its log.
    _log: BufReader<ChildStdout>,
}

impl RedisServer {
    /// Starts one and waits until it accepts. None, and a line that says why, where
    /// the program is not installed.
    ///
    /// # Panics
    /// When it ends instead of accepting.
    #[track_caller]
    pub fn start() -> Option<Self> {
        let dir = TempDir::create();
        let started = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "socket", "--save", ""])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) => {
                eprintln!("skipped: redis-server does not start: {error}");
                return None;
            }
        };
        let mut log = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            let read = log.read_line(&mut said).expect("a log of text");
            assert!(read > 0, "redis-server ended: {said}");
        }
        Some(Self {
            process,
            dir,
            _log: log,
        })
    }

    /// Its address, as the crate `redis` writes it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.dir.path().join("socket").display())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
