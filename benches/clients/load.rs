//! The load that every client is given, and what is found.

use std::fs;
use std::future::Future;

/// What one run found: names and figures.
pub(crate) type Figures = Result<Vec<(&'static str, f64)>, String>;

/// The length of the body that is asked for.
const BODY: usize = 1024;

/// So many GETs of one address, so many at a time.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) url: String,
    pub(crate) count: usize,
    pub(crate) concurrency: usize,
}

impl Load {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            count: 10_000,
            concurrency: 1,
        }
    }

    /// How often each of the workers asks.
    pub(crate) fn each(&self) -> usize {
        (self.count / self.concurrency).max(1)
    }

    pub(crate) fn figures(&self, cpu_ns: f64) -> Figures {
        let requests = self.each() * self.concurrency;
        Ok(vec![("cpu_us", cpu_ns / 1_000.0 / requests as f64)])
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
