//! CPU microseconds per request, user and kernel, under load.
//!
//! One lane on the first CPU, the driver on the second: the scheduler then has
//! no say in it. The figure is the server's own on-CPU time from schedstat, so
//! it holds even where the driver is what limits the requests per second.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Reason;
use crate::bounded::installed;
use crate::closed_loop::{ClosedLoop, Until};
use crate::process_tree;
use crate::servers::Server;
use crate::shape::Shape;

pub(crate) const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) cpu_us_per_request: f64,
    pub(crate) requests_per_second: f64,
}

pub(crate) fn sample(server: &Server, shape: Shape, time: Duration) -> Result<Sample, Reason> {
    let pin = installed("taskset")
        && std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
    let launch = server.launch(1);
    let process = if pin {
        launch.under(&["taskset", "-c", "0"])
    } else {
        launch
    }
    .start()?;
    let (tree, addr) = (process.tree(), process.addr());
    // A thread of its own, so that servers started later do not inherit the pin.
    let driver = std::thread::spawn(move || {
        if pin {
            let mut second = CpuSet::new();
            second.set(1);
            // An unpinned driver measures too, with more noise.
            let _ = sched_setaffinity(None, &second);
        }
        let mut load = ClosedLoop::open(addr, CONNECTIONS, shape)?;
        load.run(Until::Elapsed(WARM_UP))?;
        let (begin, before) = (Instant::now(), process_tree::cpu_ns(&tree));
        let requests = load.run(Until::Elapsed(time))? as f64;
        let used = process_tree::cpu_ns(&tree).saturating_sub(before) as f64;
        Ok(Sample {
            cpu_us_per_request: used / 1000.0 / requests,
            requests_per_second: requests / begin.elapsed().as_secs_f64(),
        })
    });
    driver
        .join()
        .map_err(|_| Reason::from("the driver failed"))?
}
