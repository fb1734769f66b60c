//! The thread pool for work that is known to block.
//!
//! Tornado's `run_on_executor`. Workers are threads of the loop's one pool, so
//! they share its cap with the carriers and the spares.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Weak};

use crate::budget;
use crate::carrier::Context;
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::slot::Shown;
use crate::task::{JoinHandle, Runnable};
use crate::watch::Watch;
use parking_lot::Mutex;

/// How much work waits for a worker before an executor is full.
pub(crate) const MAX_WAITING: usize = 512;

/// A bounded share of the loop's threads, for work that may block.
///
/// Work beyond `max_workers` waits in order. Cloning gives another handle to the
/// same executor.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

struct Inner {
    max_workers: usize,
    max_waiting: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Item>,
    workers: usize,
}

/// A runnable, and the loop and lane it belongs to.
struct Item {
    runnable: Runnable,
    shared: Weak<Shared>,
    lane: Arc<Lane>,
    watch: Option<Arc<dyn Watch>>,
}

impl Executor {
    /// An executor that runs at most `max_workers` pieces of work at a time.
    #[doc(alias = "ThreadPoolExecutor")]
    pub fn new(max_workers: usize) -> Self {
        Self::bounded(max_workers, MAX_WAITING)
    }

    /// An executor that [is full](Self::is_full) when `max_waiting` pieces of work
    /// wait for a worker: default 512.
    pub fn bounded(max_workers: usize, max_waiting: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                max_workers: max_workers.max(1),
                max_waiting: max_waiting.max(1),
                state: Mutex::default(),
            }),
        }
    }

    /// Whether as much work waits as should.
    ///
    /// Work is taken all the same: it is for whoever has the choice to refuse it, as
    /// a server does with 503.
    pub fn is_full(&self) -> bool {
        self.inner.state.lock().queue.len() >= self.inner.max_waiting
    }

    /// Runs a blocking function on a worker. The handle awaits its result.
    ///
    /// Dropping the handle lets the work go on: a blocking function cannot be
    /// stopped from outside.
    ///
    /// # Panics
    /// Outside of a loop's threads.
    pub fn submit<F, T>(&self, function: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn(async move { function() }, None)
    }

    /// Polls a whole future on this executor's workers instead of on a lane.
    ///
    /// # Panics
    /// Outside of a loop's threads.
    pub fn spawn<F>(&self, future: F, watch: Option<Arc<dyn Watch>>) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (shared, lane) = Context::with(|shared, lane| (Arc::downgrade(shared), lane.clone()))
            .expect("an executor is used from inside an IoLoop; see IoLoop::spawn");
        self.spawn_for(shared, lane, future, watch)
    }

    pub(crate) fn spawn_for<F>(
        &self,
        shared: Weak<Shared>,
        lane: Arc<Lane>,
        future: F,
        watch: Option<Arc<dyn Watch>>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let executor = self.inner.clone();
        let home = lane.clone();
        let schedule = move |runnable| {
            executor.push(Item {
                runnable,
                shared: shared.clone(),
                lane: home.clone(),
                watch: watch.clone(),
            });
        };
        let (runnable, handle) = lane.task_elsewhere(future, None, schedule);
        runnable.schedule();
        handle
    }
}

impl Inner {
    fn push(self: &Arc<Self>, item: Item) {
        let Some(shared) = item.shared.upgrade().filter(|it| !it.is_stopping()) else {
            return; // The loop is gone; so is the work.
        };
        let mut state = self.state.lock();
        state.queue.push_back(item);
        if state.workers >= self.max_workers {
            return;
        }
        state.workers += 1;
        drop(state);
        let inner = self.clone();
        let weak = Arc::downgrade(&shared);
        (shared.threads).run(&weak, Box::new(move || inner.work()));
    }

    /// A worker: runs what waits, then gives the thread back.
    fn work(&self) {
        loop {
            let item = {
                let mut state = self.state.lock();
                match state.queue.pop_front() {
                    Some(item) => item,
                    None => {
                        state.workers -= 1;
                        return;
                    }
                }
            };
            let Some(shared) = item.shared.upgrade().filter(|it| !it.is_stopping()) else {
                continue; // The work is dropped.
            };
            let _context = Context::enter(&shared, &item.lane);
            let _shown = item.watch.map(Shown::new);
            budget::renew();
            // Holding it, we are not the last who could wake the task: the last one
            // has its future dropped.
            let waker = item.runnable.waker();
            item.runnable.run();
            if shared.is_stopping() {
                waker.wake();
            }
        }
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.inner.state.lock();
        f.debug_struct("Executor")
            .field("max_workers", &self.inner.max_workers)
            .field("workers", &state.workers)
            .field("queued", &state.queue.len())
            .finish()
    }
}

/// Runs a blocking function on the loop's own executor.
///
/// # Panics
/// Outside of a loop's threads.
///
/// ```
/// # let io_loop = squall_loop::IoLoop::builder().lanes(1).build().unwrap();
/// # io_loop.run(async {
/// let listing = squall_loop::run_on_executor(|| std::fs::read_dir(".").unwrap().count()).await?;
/// # assert!(listing > 0);
/// # Ok::<(), squall_loop::JoinError>(())
/// # }).unwrap().unwrap();
/// # io_loop.stop();
/// ```
pub fn run_on_executor<F, T>(function: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    crate::IoLoop::current().executor().submit(function)
}
