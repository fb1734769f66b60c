//! The handle to a loop, in Tornado's words.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::carrier::Context;
use crate::config::Builder;
use crate::executor::Executor;
use crate::lane::Lane;
use crate::metrics::{LaneStats, Stats, ThreadStats};
use crate::monitor::{self, Monitor};
use crate::task::{JoinError, JoinHandle};
use crate::threads::{Pressure, Threads};
use crate::time::Clock;
use crate::timer::{Due, TimerKey};
use crate::tokio_compat::Tokio;
use crate::watch::{Named, Watch};

/// Watched executor work counts as blocked from here on.
const BLOCKED_FROM: Duration = Duration::from_millis(4);

/// A handle to an event loop. Cloning gives another handle to the same loop.
///
/// ```
/// use std::time::Duration;
/// use squall_loop::IoLoop;
///
/// let io_loop = IoLoop::builder().lanes(1).build()?;
/// io_loop.run(async {
///     let io_loop = IoLoop::current();
///     let timeout = io_loop.call_later(Duration::from_secs(60), || unreachable!());
///     timeout.cancel();
///     let sum = io_loop.spawn(async { 1 + 1 }).await?;
///     assert_eq!(sum, 2);
///     Ok::<(), squall_loop::JoinError>(())
/// })??;
/// io_loop.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "IOLoop")]
pub struct IoLoop {
    shared: Arc<Shared>,
}

/// Two handles to the same loop are equal.
impl PartialEq for IoLoop {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for IoLoop {}

/// Everything the lanes of one loop share.
pub(crate) struct Shared {
    pub(crate) lanes: Arc<[Arc<Lane>]>,
    pub(crate) threads: Threads,
    pub(crate) monitor: Monitor,
    pub(crate) clock: Clock,
    pub(crate) tokio: Tokio,
    executor: Executor,
    stopping: AtomicBool,
    started: Instant,
    next_lane: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(
        lanes: Arc<[Arc<Lane>]>,
        threads: Threads,
        monitor: Monitor,
        clock: Clock,
        tokio: Tokio,
        executor: Executor,
    ) -> Self {
        Self {
            lanes,
            threads,
            monitor,
            clock,
            tokio,
            executor,
            stopping: AtomicBool::new(false),
            started: Instant::now(),
            next_lane: AtomicUsize::new(0),
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(crate) fn all_asleep(&self) -> bool {
        self.lanes.iter().all(|lane| monitor::asleep(lane))
    }

    /// The lane with the fewest connections among those that move; the current one
    /// when they are equal.
    pub(crate) fn least_loaded(self: &Arc<Self>) -> Arc<Lane> {
        let here = Context::with(|shared, lane| Arc::ptr_eq(shared, self).then_some(lane.id));
        let here = here.flatten();
        let turn = here
            .unwrap_or_else(|| self.next_lane.fetch_add(1, Ordering::Relaxed) % self.lanes.len());
        let best = (self.lanes.iter()).min_by_key(|lane| {
            // Whoever asks moves again, though the monitor may not have seen it yet: after
            // a pause a whole backlog is accepted in that moment.
            let stuck = lane.suspect.load(Ordering::Relaxed) && here != Some(lane.id);
            (stuck, lane.load.load(Ordering::Relaxed), lane.id != turn)
        });
        // A loop has at least one lane.
        best.unwrap_or(&self.lanes[0]).clone()
    }

    /// The current lane if this thread drives one of ours, else the least loaded.
    fn lane(self: &Arc<Self>) -> Arc<Lane> {
        Context::with(|shared, lane| Arc::ptr_eq(shared, self).then(|| lane.clone()))
            .flatten()
            .unwrap_or_else(|| self.least_loaded())
    }
}

impl IoLoop {
    /// Settings for a new loop.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The loop whose task or callback runs on this thread.
    ///
    /// # Panics
    /// Outside of any loop; see [`try_current`](Self::try_current).
    #[track_caller]
    pub fn current() -> Self {
        Self::try_current().expect("no IoLoop on this thread: call this from a task or a callback")
    }

    /// The loop whose task or callback runs on this thread, if any.
    pub fn try_current() -> Option<Self> {
        Context::with(|shared, _| Self {
            shared: shared.clone(),
        })
    }

    /// Runs a future to its end while this thread waits.
    ///
    /// # Errors
    /// When the future panicked, or the loop stopped before it was done.
    pub fn run<F>(&self, future: F) -> Result<F::Output, JoinError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (done, output) = mpsc::sync_channel(1);
        let task = self.spawn(future);
        let sent = self.spawn(async move {
            let _ = done.send(task.await);
        });
        let output = output.recv().unwrap_or(Err(JoinError::Cancelled));
        drop(sent);
        output
    }

    /// Starts a task on the current lane, or on the least loaded one.
    ///
    /// A panic in it is logged and given to whoever awaits it.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared.lane().spawn(future, None)
    }

    /// Starts a task whose owner is told when it blocks its lane.
    pub fn spawn_watched<F>(&self, future: F, watch: Arc<dyn Watch>) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared.lane().spawn(future, Some(watch))
    }

    /// Starts a task that reports on blocking code call by this name.
    ///
    /// Other tasks are called "a task" there.
    pub fn spawn_named<F>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_watched(future, Arc::new(Named(name.into())))
    }

    /// How near the loop is to its thread cap. Costs one load.
    pub fn pressure(&self) -> Pressure {
        self.shared.threads.pressure()
    }

    /// Starts an async callback that nobody awaits.
    #[doc(alias = "add_future")]
    pub fn spawn_callback<F, Fut>(&self, callback: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        drop(self.spawn(async move { callback().await }));
    }

    /// Calls a function from the loop, soon. Works from any thread.
    #[doc(alias = "add_callback_from_signal")]
    pub fn add_callback(&self, callback: impl FnOnce() + Send + 'static) {
        drop(self.spawn(async move { callback() }));
    }

    /// Calls a function from the loop after `delay`.
    #[doc(alias = "add_timeout")]
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + Send + 'static) -> Timeout {
        let deadline = self.shared.clock.after(delay);
        self.call_at_nanos(deadline, callback)
    }

    /// Calls a function from the loop at `when`, on the loop's clock.
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + Send + 'static) -> Timeout {
        let deadline = self.shared.clock.at(when);
        self.call_at_nanos(deadline, callback)
    }

    fn call_at_nanos(&self, deadline: u64, callback: impl FnOnce() + Send + 'static) -> Timeout {
        let lane = self.shared.lane();
        let key = lane.arm(deadline, Due::Call(Box::new(callback)));
        Timeout { lane, key }
    }

    /// The loop's own executor, for work that is known to block.
    pub fn executor(&self) -> Executor {
        self.shared.executor.clone()
    }

    /// Runs a blocking function on the loop's executor; works from any thread.
    pub fn run_on_executor<F, T>(&self, function: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.shared.executor.spawn_for(
            Arc::downgrade(&self.shared),
            self.shared.lane(),
            async move { function() },
            None,
        )
    }

    /// The loop's time: the system's, or a test's.
    pub fn now(&self) -> Instant {
        self.shared.clock.instant()
    }

    /// The moment that [`time::coarse_nanos`](crate::time::coarse_nanos) counted.
    pub fn instant_of(&self, nanos: u64) -> Instant {
        self.shared.clock.start() + Duration::from_nanos(nanos)
    }

    /// How many lanes there are.
    pub fn lanes(&self) -> usize {
        self.shared.lanes.len()
    }

    /// The loop's own figures.
    pub fn stats(&self) -> Stats {
        let counts = self.shared.threads.counts();
        let mut blocked_now = self.shared.monitor.stuck.blocked_now();
        blocked_now.extend(self.shared.threads.blocked_now(BLOCKED_FROM));
        Stats {
            lanes: (self.shared.lanes.iter())
                .map(|lane| LaneStats {
                    id: lane.id,
                    connections: lane.load.load(Ordering::Relaxed),
                    polls: lane.polls(),
                    handoffs: lane.handoffs.load(Ordering::Relaxed),
                    stuck: Duration::from_micros(lane.stuck_micros.load(Ordering::Relaxed)),
                    queued: lane.queue.len(),
                    spliced: lane.spliced.load(Ordering::Relaxed),
                })
                .collect(),
            threads: ThreadStats {
                carriers: counts.carriers,
                spares: counts.spares,
                executor: counts.workers,
                cap: counts.cap,
            },
            blocked_now,
            blamed: self.shared.monitor.blame.blamed(),
            uptime: self.shared.started.elapsed(),
        }
    }

    /// Stops the loop: every task is dropped, every thread ends.
    ///
    /// Threads that are stuck in blocking code end when that code returns.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for lane in self.shared.lanes.iter() {
            lane.stop();
        }
        self.shared.monitor.gate.open();
        self.shared.threads.stop();
        self.shared.tokio.stop();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl std::fmt::Debug for IoLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoLoop")
            .field("lanes", &self.lanes())
            .finish()
    }
}

/// A callback that is due later. Dropping this handle leaves it armed.
#[derive(Debug)]
pub struct Timeout {
    lane: Arc<Lane>,
    key: TimerKey,
}

impl Timeout {
    /// Disarms the callback. False: it has been called, or is being called.
    #[doc(alias = "remove_timeout")]
    pub fn cancel(self) -> bool {
        self.lane.timers.cancel(self.key).is_some()
    }
}

/// The error of using the loop where there is none.
pub(crate) fn no_loop() -> io::Error {
    io::Error::other("no IoLoop on this thread: call this from a task or a callback")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "miri has no timer descriptors")]
    fn a_suspect_is_avoided_by_others_but_not_by_itself() {
        let io_loop = (IoLoop::builder().lanes(2).monitor(false).build()).expect("a loop");
        let placed = io_loop.run(async {
            let shared = IoLoop::current().shared().clone();
            let here = Context::with(|_, lane| lane.id).expect("on a lane");
            let suspect = |id: usize| &shared.lanes[id].suspect;
            suspect(here).store(true, Ordering::Relaxed);
            let by_itself = shared.least_loaded().id;
            let there = shared.clone();
            let outside = std::thread::spawn(move || there.least_loaded().id);
            let by_others = outside.join().expect("no panic");
            suspect(here).store(false, Ordering::Relaxed);
            suspect(1 - here).store(true, Ordering::Relaxed);
            shared.lanes[here].load.store(1, Ordering::Relaxed);
            let beside_a_suspect = shared.least_loaded().id;
            [by_itself, by_others, beside_a_suspect].map(|id| id == here)
        });
        assert_eq!(placed.expect("ran"), [true, false, true]);
        io_loop.stop();
    }
}
