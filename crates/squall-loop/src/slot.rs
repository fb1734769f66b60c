//! One thread of the pool: what it is given to do, and its life from job to job.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{self, Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::carrier;
use crate::handoff::Claim;
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::monitor;
use crate::post::Post;
use crate::sys;
use crate::watch::Watch;
use parking_lot::Mutex;

/// How long a spare beyond the reserve waits before it ends.
const LINGER: Duration = Duration::from_secs(10);

/// What a thread is given to do.
pub(crate) enum Job {
    /// Drive a lane until it is handed over.
    Drive(Arc<Lane>, Claim),
    /// Poll what waits on a lane that is stuck.
    Relieve(Arc<Lane>),
    /// Anything that may block.
    Work(Box<dyn FnOnce() + Send>),
    /// Sit on a chair: be the monitor, or the next one.
    Sit(usize),
}

/// One thread's letter box and what it shows of itself.
pub(crate) struct Slot {
    id: AtomicU64,
    // The standard library's: parking_lot's condition variable goes through a table
    // that is cold by the time a spare is called.
    job: sync::Mutex<Option<Job>>,
    filled: sync::Condvar,
    /// Where it polls when it relieves a lane.
    pub(crate) post: Post,
    watched: Mutex<Option<(Arc<dyn Watch>, Instant)>>,
}

/// Which job a thread has ended.
#[derive(Clone, Copy)]
pub(crate) enum Ended {
    Drive,
    Relief,
    Work,
    Sitting(usize),
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            id: AtomicU64::new(0),
            job: sync::Mutex::default(),
            filled: sync::Condvar::new(),
            post: Post::new().0,
            watched: Mutex::default(),
        }
    }

    /// The watched work that it does, for how long, and the thread's id.
    pub(crate) fn watched(&self) -> Option<(Arc<dyn Watch>, Duration, u64)> {
        let watched = self.watched.lock();
        let (watch, since) = watched.as_ref()?;
        let thread = self.id.load(Ordering::Relaxed);
        Some((watch.clone(), since.elapsed(), thread))
    }

    fn job(&self) -> sync::MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, job: Job) {
        *self.job() = Some(job);
        self.filled.notify_one();
    }

    /// Has a waiting thread look whether it is still needed.
    pub(crate) fn look_up(&self) {
        let _job = self.job();
        self.filled.notify_one();
    }

    /// The thread's life.
    pub(crate) fn live(self: Arc<Self>, shared: &Weak<Shared>) {
        self.id.store(sys::thread_id(), Ordering::Relaxed);
        THREAD.set(Some(self.clone()));
        let mut next = None;
        loop {
            let job = match next.take() {
                Some(job) => job,
                None => match self.wait(shared) {
                    Some(job) => job,
                    None => return,
                },
            };
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let ended = match job {
                Job::Drive(lane, claim) => {
                    carrier::drive(&shared, &lane, claim);
                    Ended::Drive
                }
                Job::Relieve(lane) => {
                    carrier::relieve(&shared, &lane, &self.post);
                    Ended::Relief
                }
                Job::Work(work) => {
                    work();
                    Ended::Work
                }
                Job::Sit(chair) => match monitor::sit(&shared, chair) {
                    Some((lane, claim)) => {
                        next = Some(Job::Drive(lane, claim));
                        continue;
                    }
                    None => Ended::Sitting(chair),
                },
            };
            let stopping = shared.is_stopping();
            next = shared.threads.next_work(&self, ended, stopping);
        }
    }

    /// Waits as a spare. None: not needed any more.
    fn wait(self: &Arc<Self>, shared: &Weak<Shared>) -> Option<Job> {
        let mut job = self.job();
        let mut timed_out = false;
        loop {
            if let Some(job) = job.take() {
                return Some(job);
            }
            let shared = shared.upgrade()?;
            let stopping = shared.is_stopping();
            if (timed_out || stopping) && shared.threads.retire(self, stopping) {
                return None;
            }
            drop(shared);
            let waited = self.filled.wait_timeout(job, LINGER);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            (job, timed_out) = (guard, waited.timed_out());
        }
    }
}

thread_local! {
    static THREAD: RefCell<Option<Arc<Slot>>> = const { RefCell::new(None) };
}

/// This thread's slot in its pool.
pub(crate) fn this_thread<R>(f: impl FnOnce(&Slot) -> R) -> Option<R> {
    THREAD.with_borrow(|slot| slot.as_deref().map(f))
}

/// Shows, while it lives, what this thread of the pool is working on.
pub(crate) struct Shown;

impl Shown {
    pub(crate) fn new(watch: Arc<dyn Watch>) -> Self {
        this_thread(|slot| *slot.watched.lock() = Some((watch, Instant::now())));
        Self
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let shown = this_thread(|slot| slot.watched.lock().take());
        drop(shown);
    }
}
