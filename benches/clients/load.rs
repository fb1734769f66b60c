//! The load that every client is given, and what is found.

use std::fs;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one run found: names and figures.
pub(crate) type Figures = Result<Vec<(&'static str, f64)>, String>;

/// The length of the body that is asked for.
pub(crate) const BODY: usize = 1024;

/// So many GETs, so many at a time, of one host or of several in turn.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    url: String,
    pub(crate) count: usize,
    pub(crate) concurrency: usize,
    pub(crate) hosts: usize,
    /// The PEM file of the certificate that https is checked against.
    pub(crate) ca: Option<String>,
    turn: Arc<AtomicUsize>,
}

impl Load {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            count: 10_000,
            concurrency: 1,
            hosts: 1,
            ca: None,
            turn: Arc::default(),
        }
    }

    /// One address per host. Several are loopback addresses in place of the first.
    pub(crate) fn urls(&self) -> Vec<String> {
        if self.hosts == 1 {
            return vec![self.url.clone()];
        }
        let host = |at: usize| format!("127.1.{}.{}", at / 250, at % 250 + 1);
        (0..self.hosts)
            .map(|at| self.url.replacen("127.0.0.1", &host(at), 1))
            .collect()
    }

    /// Which of them is asked next.
    pub(crate) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.hosts
    }

    /// How often each of them asks before anything is counted: of one host, until all
    /// connections are there, of which some clients make only a few at a time.
    pub(crate) fn warm_up(&self) -> usize {
        if self.hosts == 1 { 40 } else { 1 }
    }

    /// How often each of the workers asks.
    pub(crate) fn each(&self) -> usize {
        (self.count / self.concurrency).max(1)
    }

    /// How often each of them asks until every host has been asked, after once.
    pub(crate) fn other_hosts(&self) -> usize {
        self.hosts.div_ceil(self.concurrency) - 1
    }

    /// What the requests cost since the connections are there, and what each host holds
    /// beyond the first ones.
    pub(crate) fn figures(&self, first: Usage, idle: Usage) -> Figures {
        let requests = (self.each() * self.concurrency) as f64;
        let cpu_us = (Usage::now().cpu_ns - idle.cpu_ns) / 1_000.0 / requests;
        let others = self.other_hosts() * self.concurrency;
        let per_host = (idle.resident - first.resident) / others as f64;
        Ok(vec![("cpu_us", cpu_us), ("bytes_per_host", per_host)])
    }
}

/// One worker: asks, and asks again when it has the whole answer. `get` tells the
/// length of the body.
pub(crate) async fn work<F>(count: usize, get: impl Fn() -> F) -> Result<(), String>
where
    F: Future<Output = Result<usize, String>>,
{
    for _ in 0..count {
        let length = get().await?;
        if length != BODY {
            return Err(format!("a body of {length} bytes came instead of {BODY}"));
        }
    }
    Ok(())
}

/// What this process has used, and holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu_ns: f64,
    resident: f64,
}

impl Usage {
    pub(crate) fn now() -> Self {
        Self {
            cpu_ns: cpu_ns(),
            resident: resident() * 1024.0,
        }
    }
}

/// Nanoseconds on a CPU of all threads. (The faster clock does not run under valgrind.)
pub(crate) fn cpu_ns() -> f64 {
    let threads = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| {
            let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            schedstat.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum()
}

/// What is resident, in KiB: added up, for the figure in `status` lags behind by up to
/// some hundred KiB.
fn resident() -> f64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    (line.and_then(|line| line.split_whitespace().next()?.parse().ok())).unwrap_or(f64::NAN)
}

/// A figure of this process's status, in KiB.
pub(crate) fn status(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    (status.lines())
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(f64::NAN)
}
