//! How a loop is made: its settings, each with a name, a default and a reason.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use crate::blame::Blame;
use crate::executor::{Executor, MAX_WAITING};
use crate::gate::CHAIRS;
use crate::ioloop::{IoLoop, Shared};
use crate::lane::Lane;
use crate::monitor::Monitor;
use crate::slot::Job;
use crate::threads::{RESERVE, Threads};
use crate::time::{Clock, TestClock};
use crate::tokio_compat::Choice;

/// Settings of an [`IoLoop`], made by [`IoLoop::builder`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    lanes: Option<usize>,
    thread_cap: Option<usize>,
    executor_workers: Option<usize>,
    executor_queue: Option<usize>,
    clock: Option<TestClock>,
    tokio: Choice,
    blame: bool,
    unwatched: bool,
}

/// The most threads a loop starts: as many as tokio's blocking pool.
const THREAD_CAP: usize = 512;

impl Builder {
    /// How many lanes: default the cores this process may use, which counts its
    /// affinity mask and its cgroup's CPU quota. At least 1.
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes.max(1));
        self
    }

    /// The most threads, for carriers, executor and spares together: default 512.
    ///
    /// One is needed per lane and one per concurrent blocker. Near the cap the loop
    /// is under [`Pressure`](crate::Pressure), and a server sheds load; at the cap
    /// stuck lanes wait for a thread and executor work waits in order.
    pub fn thread_cap(mut self, threads: usize) -> Self {
        self.thread_cap = Some(threads);
        self
    }

    /// How much blocking work the loop's own executor runs at a time: default as
    /// much as the thread cap leaves beside the carriers.
    pub fn executor_workers(mut self, workers: usize) -> Self {
        self.executor_workers = Some(workers);
        self
    }

    /// How much work waits for the loop's own executor before it
    /// [is full](crate::Executor::is_full): default 512.
    pub fn executor_queue(mut self, waiting: usize) -> Self {
        self.executor_queue = Some(waiting);
        self
    }

    /// Whether the monitor watches the lanes: default true.
    ///
    /// Without it nothing is handed over but by [`blocking`](crate::blocking): a task that
    /// blocks stops its lane, and work that was refused a thread is not tried again. It is
    /// there so that what the monitor costs can be measured.
    pub fn monitor(mut self, watches: bool) -> Self {
        self.unwatched = !watches;
        self
    }

    /// Timers follow a clock that a test turns, instead of the system's.
    pub fn clock(mut self, clock: &TestClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Code in handlers that needs tokio finds this runtime, instead of one that the
    /// loop starts for it.
    ///
    /// It must outlive the loop. A current-thread runtime works for as long as some
    /// thread is inside its `block_on`: nobody else drives its sockets and timers.
    ///
    /// ```
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// let io_loop = squall_loop::IoLoop::builder()
    ///     .tokio(runtime.handle().clone())
    ///     .build()?;
    /// let sum = io_loop.run(async { tokio::spawn(async { 1 + 1 }).await })?;
    /// assert_eq!(sum?, 2);
    /// io_loop.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub fn tokio(mut self, handle: tokio::runtime::Handle) -> Self {
        self.tokio = Choice(Some(handle));
        self
    }

    /// Reports where a task blocked: the stack of the stuck thread, with file and
    /// line of the program's own code, once per label and kind (waiting, on CPU).
    /// Default false. With the feature `blame`, which brings an unwinder; on Linux,
    /// x86-64 and ARM64, elsewhere nothing is captured.
    ///
    /// The stack is in [`Stats::blamed`](crate::Stats::blamed), and in an event of
    /// `tracing` at the level "warn". Files and lines need debug information: in
    /// the release profile, `debug = "line-tables-only"`.
    ///
    /// # The price
    /// The stuck thread gets a signal, so the system call that it sits in is
    /// interrupted, once for each label and kind. Most calls go on by themselves,
    /// and the standard library repeats most of the others (sleeping, waiting for a
    /// process). What may be seen is `EINTR`
    /// ([`Interrupted`](io::ErrorKind::Interrupted)): from a single `read` or
    /// `write` of a socket with a timeout, and from C code that calls `nanosleep`,
    /// `poll`, `select` or `epoll_wait` and does not expect it. Naming the frames
    /// takes CPU on a thread of the pool and memory for the debug
    /// information; lanes and monitor never wait for it. One real-time signal is
    /// taken, the highest that is free, and never given back.
    #[cfg(feature = "blame")]
    pub fn blame(mut self, blame: bool) -> Self {
        self.blame = blame;
        self
    }

    /// Builds the loop and starts its threads.
    ///
    /// With the feature `tokio` one of them is a tokio runtime's, `squall-tokio`.
    ///
    /// # Errors
    /// When the system gives no reactor or no thread.
    pub fn build(self) -> io::Result<IoLoop> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let lanes = self.lanes.unwrap_or(cores);
        let cap = self.thread_cap.unwrap_or(THREAD_CAP).max(lanes * 2 + 2);
        let chairs = if self.unwatched { 0 } else { CHAIRS };
        let monitor = Monitor::new(Blame::new(self.blame))?;
        let gate = monitor.gate.clone();
        let mut made = Vec::with_capacity(lanes);
        let mut claims = Vec::with_capacity(lanes);
        for id in 0..lanes {
            let (lane, claim) = Lane::new(id, gate.clone())?;
            made.push(lane);
            claims.push(claim);
        }
        let clock = match &self.clock {
            Some(clock) => Clock::Turned(clock.clone()),
            None => Clock::system(),
        };
        let shared = Arc::new(Shared::new(
            made.into(),
            Threads::new(cap, lanes, chairs),
            monitor,
            clock,
            self.tokio.open()?,
            Executor::bounded(
                self.executor_workers.unwrap_or(cap),
                self.executor_queue.unwrap_or(MAX_WAITING),
            ),
        ));
        if let Some(clock) = &self.clock {
            clock.follow(&shared);
        }
        let weak = Arc::downgrade(&shared);
        let drive =
            (shared.lanes.iter().zip(claims)).map(|(lane, claim)| Job::Drive(lane.clone(), claim));
        for job in drive.chain((0..chairs).map(Job::Sit)) {
            let thread = (shared.threads)
                .reserve(&weak)
                .ok_or_else(|| io::Error::other("the system gives no thread for a lane"))?;
            shared.threads.give(thread, job);
        }
        shared.threads.warm(&weak, RESERVE);
        Ok(IoLoop::from_shared(shared))
    }
}
