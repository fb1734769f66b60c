//! One running server: started, found ready, ended.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::Reason;
use crate::bounded::installed;
use crate::process_tree;
use crate::servers::Server;

/// Squall's own grace period is 10 s.
const GRACE: Duration = Duration::from_secs(12);

/// How a server is to be started.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    server: &'a Server,
    lanes: usize,
    args: Vec<String>,
    calls_itself: bool,
    wrapper: Vec<String>,
    env: Vec<(&'static str, String)>,
    ready_within: Duration,
}

impl Server {
    pub(crate) fn launch(&self, lanes: usize) -> Launch<'_> {
        Launch {
            server: self,
            lanes,
            args: Vec::new(),
            calls_itself: false,
            wrapper: Vec::new(),
            env: Vec::new(),
            ready_within: Duration::from_secs(20),
        }
    }
}

impl Launch<'_> {
    /// Runs the server under a tool: `wrapper` and its options come first.
    pub(crate) fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|part| (*part).to_owned()).collect();
        self.ready_within = Duration::from_secs(90);
        self
    }

    /// More arguments for the server's program.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// `/client/sync` is to call the very process that answers it.
    pub(crate) fn calls_itself(mut self) -> Self {
        self.calls_itself = true;
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: String) -> Self {
        self.env.push((name, value));
        self
    }

    /// Starts it and waits for its ready line.
    ///
    /// Call this from the main thread: the server is to end with the thread
    /// that started it, so that an interrupted harness leaves nothing behind.
    pub(crate) fn start(self) -> Result<ServerProcess, Reason> {
        let name = self.server.name;
        let mut line: Vec<String> = Vec::new();
        if installed("setpriv") {
            line.extend(["setpriv", "--pdeathsig", "KILL", "--"].map(str::to_owned));
        }
        line.extend(self.wrapper);
        line.extend(self.server.command.iter().cloned());
        if self.server.is_demo() && !self.calls_itself {
            // Nothing listens on the discard port; the other routes call no third
            // party. Without this the demo answers as the third party itself.
            line.extend(["--third-party", "127.0.0.1:9"].map(str::to_owned));
        }
        line.extend(self.args);
        line.extend(
            [
                "--listen",
                "127.0.0.1:0",
                "--lanes",
                &self.lanes.to_string(),
            ]
            .map(str::to_owned),
        );
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .envs(self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .map_err(|e| format!("{} cannot be started: {e}", line[0]))?;
        let stdout = child.stdout.take().ok_or("no pipe to stdout")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            // Reads on after the ready line, so that a full pipe never blocks the server.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(addr) = ready_addr(&line) {
                    let _ = sender.send(addr);
                }
            }
        });
        let mut process = ServerProcess {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        process.addr = receiver
            .recv_timeout(self.ready_within)
            .map_err(|e| match e {
                mpsc::RecvTimeoutError::Timeout => format!("{name} printed no ready line in time"),
                mpsc::RecvTimeoutError::Disconnected => {
                    format!("{name} ended without a ready line")
                }
            })?;
        Ok(process)
    }
}

/// The address in `NAME listening on http://ADDR`, with a NAME of one word:
/// Squall's demo names its third party in a line of its own.
fn ready_addr(line: &str) -> Option<SocketAddr> {
    let (name, addr) = line.split_once(" listening on http://")?;
    if name.contains(' ') {
        return None;
    }
    addr.trim().trim_end_matches('/').parse().ok()
}

/// A server that answers. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    addr: SocketAddr,
}

impl ServerProcess {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The server's processes, without the tool that started them.
    pub(crate) fn tree(&self) -> Vec<u32> {
        let mut tree = process_tree::of(self.child.id());
        let is_tool = |name: String| ["strace", "perf"].contains(&name.as_str());
        tree.retain(|&pid| !process_tree::name(pid).is_some_and(is_tool));
        tree
    }

    /// SIGTERM, and SIGKILL for what has not ended within its grace period.
    pub(crate) fn stop(mut self, grace: Duration) {
        self.end(grace);
    }

    fn end(&mut self, grace: Duration) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let all = process_tree::of(self.child.id());
        for pid in self.tree() {
            process_tree::signal(pid, Signal::TERM);
        }
        let end = Instant::now() + grace;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            for pid in all {
                process_tree::signal(pid, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end(GRACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_of_any_name() {
        assert_eq!(
            ready_addr("squall listening on http://127.0.0.1:80"),
            Some(([127, 0, 0, 1], 80).into())
        );
        assert_eq!(
            ready_addr("axum listening on http://127.0.0.1:5000/"),
            Some(([127, 0, 0, 1], 5000).into())
        );
        assert_eq!(
            ready_addr("third party listening on http://127.0.0.1:80"),
            None
        );
        assert_eq!(ready_addr("listening"), None);
    }
}
