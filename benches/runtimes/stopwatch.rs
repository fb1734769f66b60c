//! Wall time and CPU time, of all threads together.

use std::ops::AddAssign;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Begun when it is made.
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: f64,
}

/// Nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Elapsed {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: process_cpu(),
        }
    }

    pub(crate) fn elapsed(&self) -> Elapsed {
        Elapsed {
            wall: self.wall.elapsed().as_nanos() as f64,
            cpu: process_cpu() - self.cpu,
        }
    }
}

impl AddAssign for Elapsed {
    fn add_assign(&mut self, more: Self) {
        self.wall += more.wall;
        self.cpu += more.cpu;
    }
}

fn process_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
