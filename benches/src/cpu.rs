//! CPU microseconds per request, user and kernel, under load.
//!
//! One lane on the first CPU, the driver on the second: the scheduler then has
//! no say in it. The figure is the server's own on-CPU time from schedstat, so
//! it holds even where the driver is what limits the requests per second.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Reason;
use crate::bounded::installed;
use crate::driver::{Driver, Until};
use crate::open_loop::percentile_ms;
use crate::process_tree;
use crate::server_process::ServerProcess;
use crate::servers::Server;
use crate::shape::Shape;

pub(crate) const CONNECTIONS: usize = 64;
/// The CPU of what is measured.
const FIRST: &str = "0";
/// That of whatever is at the other end of it.
pub(crate) const SECOND: &str = "1";
const WARM_UP: Duration = Duration::from_millis(300);

/// What a sample is taken under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) shape: Shape,
    pub(crate) connections: usize,
    /// Where a proxy's requests arrive, if the driver is to answer them.
    pub(crate) upstream: Option<&'a TcpListener>,
}

impl fmt::Display for Load<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} over {} connections", self.shape, self.connections)
    }
}

impl Load<'_> {
    /// As much as there can be of that shape.
    pub(crate) fn full(shape: Shape) -> Self {
        Self {
            shape,
            connections: CONNECTIONS,
            upstream: None,
        }
    }

    /// A driver that can put it on that server. Call this where [`on_second`] does.
    pub(crate) fn open(self, addr: SocketAddr) -> Result<Driver, Reason> {
        Driver::open_before(self.upstream, addr, self.connections, self.shape)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) cpu_us_per_request: f64,
    pub(crate) requests_per_second: f64,
    /// From sending to the whole answer; of a batch, to the last one.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// The same of 50 ms, the middle one of those.
    pub(crate) sliced_p99_ms: f64,
}

/// What a request costs under that load.
pub(crate) fn sample(server: &Server, load: Load<'_>, time: Duration) -> Result<Sample, Reason> {
    let process = start_on_first(server, &[])?;
    let (tree, addr) = (process.tree(), process.addr());
    on_second(move || {
        let mut driver = load.open(addr)?;
        driver.run(Until::Elapsed(WARM_UP))?;
        let (begin, before) = (Instant::now(), process_tree::cpu_ns(&tree));
        let requests = driver.run(Until::Elapsed(time))? as f64;
        let used = process_tree::cpu_ns(&tree).saturating_sub(before) as f64;
        Ok(Sample {
            cpu_us_per_request: used / 1000.0 / requests,
            requests_per_second: requests / begin.elapsed().as_secs_f64(),
            p50_ms: percentile_ms(driver.latency(), 50.0),
            p99_ms: percentile_ms(driver.latency(), 99.0),
            sliced_p99_ms: driver.p99_of_slices() as f64 / 1000.0,
        })
    })
}

/// Starts it with one lane under that tool, on the first CPU where there are two.
pub(crate) fn start_on_first(server: &Server, tool: &[&str]) -> Result<ServerProcess, Reason> {
    let mut wrapper = kept_on(FIRST);
    wrapper.extend(tool);
    server.launch(1).under(&wrapper).start()
}

/// Runs the driver on the second CPU.
///
/// In a thread of its own, so that servers started later do not inherit the pin. Threads
/// that the driver starts do.
pub(crate) fn on_second<T: Send>(
    drive: impl FnOnce() -> Result<T, Reason> + Send,
) -> Result<T, Reason> {
    let pinned = || {
        if can_pin() {
            let mut second = CpuSet::new();
            second.set(1);
            // An unpinned driver measures too, with more noise.
            let _ = sched_setaffinity(None, &second);
        }
        drive()
    };
    let driven = std::thread::scope(|scope| scope.spawn(pinned).join());
    driven.map_err(|_| Reason::from("the driver failed"))?
}

/// A command line that runs on the first CPU where there are two.
pub(crate) fn command_on_first<T: AsRef<str>>(line: &[T]) -> Command {
    let pin = kept_on(FIRST);
    let mut whole = (pin.iter().copied()).chain(line.iter().map(AsRef::as_ref));
    let mut command = Command::new(whole.next().unwrap_or_default());
    command.args(whole);
    command
}

/// What comes before a command line that is to stay on that CPU; nothing where there is
/// but one, or no `taskset`.
pub(crate) fn kept_on(cpu: &'static str) -> Vec<&'static str> {
    if can_pin() {
        vec!["taskset", "-c", cpu]
    } else {
        Vec::new()
    }
}

fn can_pin() -> bool {
    installed("taskset") && std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1)
}
