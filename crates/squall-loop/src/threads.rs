//! The process's threads: carriers, workers of the executor, and spares.
//!
//! One pool for all of them, capped as a whole. A thread that ends one job takes
//! the next, or waits as a spare; spares beyond the reserve end after a while.
//! A part of the cap is kept for carriers, so that work which is known to block
//! can never use up the threads that rescue lanes.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::carrier;
use crate::handoff::Claim;
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::sys;
use crate::tokio_compat;
use crate::watch::Watch;
use parking_lot::{Condvar, Mutex};

/// How long a spare beyond the reserve waits before it ends.
const LINGER: Duration = Duration::from_secs(10);
/// Spares kept warm for the next hand-off.
const RESERVE: usize = 2;

/// What a thread is given to do.
pub(crate) enum Job {
    /// Drive a lane until it is handed over.
    Drive(Arc<Lane>, Claim),
    /// Anything that may block.
    Work(Box<dyn FnOnce() + Send>),
}

pub(crate) struct Threads {
    cap: usize,
    kept_for_carriers: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spares: Vec<Arc<Slot>>,
    queued: VecDeque<Box<dyn FnOnce() + Send>>,
    carriers: usize,
    workers: usize,
    /// Threads that exist, whatever they do.
    total: usize,
    running: Vec<Arc<Slot>>,
}

/// One thread's letter box and what it shows of itself.
pub(crate) struct Slot {
    id: Mutex<u64>,
    job: Mutex<Option<Job>>,
    filled: Condvar,
    watched: Mutex<Option<(Arc<dyn Watch>, Instant)>>,
}

/// How many threads do what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) carriers: usize,
    pub(crate) workers: usize,
    pub(crate) spares: usize,
    pub(crate) cap: usize,
}

/// A spare that has been set aside for one job.
pub(crate) struct Reserved(Arc<Slot>);

impl Threads {
    pub(crate) fn new(cap: usize, lanes: usize) -> Self {
        // Half of the cap at most, and room for some hand-offs on every lane.
        let kept_for_carriers = (lanes * 8).min(cap / 2).max(lanes + 1);
        Self {
            cap,
            kept_for_carriers,
            state: Mutex::default(),
        }
    }

    /// Sets a thread aside. None at the cap, or when the system has none to give.
    pub(crate) fn reserve(&self, shared: &Weak<Shared>) -> Option<Reserved> {
        if let Some(slot) = self.state.lock().spares.pop() {
            return Some(Reserved(slot));
        }
        self.start(shared).ok().flatten().map(Reserved)
    }

    /// Gives a reserved thread its job.
    pub(crate) fn give(&self, thread: Reserved, job: Job) {
        let mut state = self.state.lock();
        match job {
            Job::Drive(..) => state.carriers += 1,
            Job::Work(_) => state.workers += 1,
        }
        drop(state);
        thread.0.put(job);
    }

    /// Puts a reserved thread back.
    pub(crate) fn give_back(&self, thread: Reserved) {
        self.state.lock().spares.push(thread.0);
    }

    /// Runs work on a thread of its own; at the cap it waits for one, in order.
    pub(crate) fn run(&self, shared: &Weak<Shared>, work: Box<dyn FnOnce() + Send>) {
        let mut state = self.state.lock();
        let room = self.cap.saturating_sub(self.kept_for_carriers);
        if state.workers >= room {
            state.queued.push_back(work);
            return;
        }
        state.workers += 1;
        let spare = state.spares.pop();
        drop(state);
        let thread = match spare {
            Some(slot) => Ok(Some(slot)),
            None => self.start(shared),
        };
        if let Ok(Some(slot)) = thread {
            return slot.put(Job::Work(work));
        }
        let mut state = self.state.lock();
        state.workers -= 1;
        state.queued.push_back(work);
    }

    /// Starts spares until the reserve is full.
    pub(crate) fn warm(&self, shared: &Weak<Shared>) {
        while self.state.lock().spares.len() < RESERVE {
            match self.start(shared) {
                Ok(Some(slot)) => self.state.lock().spares.push(slot),
                _ => return,
            }
        }
    }

    /// Starts work that waited for a thread, as far as there is room again.
    pub(crate) fn retry_queued(&self, shared: &Weak<Shared>) {
        let waiting = std::mem::take(&mut self.state.lock().queued);
        for work in waiting {
            self.run(shared, work);
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.state.lock();
        Counts {
            carriers: state.carriers,
            workers: state.workers,
            spares: state.spares.len(),
            cap: self.cap,
        }
    }

    /// Watched work that has been running for at least `least`.
    pub(crate) fn watched(&self, least: Duration) -> Vec<(Arc<dyn Watch>, Duration, u64)> {
        let running = self.state.lock().running.clone();
        (running.iter())
            .filter_map(|slot| {
                let watched = slot.watched.lock();
                let (watch, since) = watched.as_ref()?;
                let age = since.elapsed();
                (age >= least).then(|| (watch.clone(), age, *slot.id.lock()))
            })
            .collect()
    }

    /// Tells every spare to look whether the loop has stopped.
    pub(crate) fn stop(&self) {
        // A spare locks its letter box first, then the pool: never both here.
        let spares = self.state.lock().spares.clone();
        for slot in spares {
            let _job = slot.job.lock();
            slot.filled.notify_one();
        }
    }

    fn start(&self, shared: &Weak<Shared>) -> io::Result<Option<Arc<Slot>>> {
        {
            let mut state = self.state.lock();
            if state.total >= self.cap {
                return Ok(None);
            }
            state.total += 1;
        }
        let slot = Arc::new(Slot {
            id: Mutex::new(0),
            job: Mutex::default(),
            filled: Condvar::new(),
            watched: Mutex::default(),
        });
        let spawned = std::thread::Builder::new()
            .name("squall".to_owned())
            .spawn({
                let (slot, shared) = (slot.clone(), shared.clone());
                move || tokio_compat::inside(&shared, || slot.live(&shared))
            });
        match spawned {
            Ok(_) => {
                self.state.lock().running.push(slot.clone());
                Ok(Some(slot))
            }
            Err(error) => {
                self.state.lock().total -= 1;
                tracing::error!(target: "squall::loop", %error, "the system gives no more threads");
                Err(error)
            }
        }
    }

    /// A thread has ended a job: what next? None: it waits as a spare.
    fn next_work(&self, ended_drive: bool) -> Option<Job> {
        let mut state = self.state.lock();
        if ended_drive {
            state.carriers -= 1;
        } else {
            state.workers -= 1;
        }
        let room = self.cap.saturating_sub(self.kept_for_carriers);
        if state.workers < room
            && let Some(work) = state.queued.pop_front()
        {
            state.workers += 1;
            return Some(Job::Work(work));
        }
        None
    }

    /// Takes a spare that waited long enough off the books.
    fn retire(&self, slot: &Arc<Slot>, stopping: bool) -> bool {
        let mut state = self.state.lock();
        if state.spares.len() <= RESERVE && !stopping {
            return false;
        }
        let Some(place) = (state.spares.iter()).position(|spare| Arc::ptr_eq(spare, slot)) else {
            return false; // A job is on its way.
        };
        state.spares.remove(place);
        state.total -= 1;
        state.running.retain(|other| !Arc::ptr_eq(other, slot));
        true
    }
}

impl Slot {
    fn put(&self, job: Job) {
        *self.job.lock() = Some(job);
        self.filled.notify_one();
    }

    /// The thread's life.
    fn live(self: Arc<Self>, shared: &Weak<Shared>) {
        *self.id.lock() = sys::thread_id();
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
            let drives = matches!(job, Job::Drive(..));
            match job {
                Job::Drive(lane, claim) => carrier::drive(&shared, &lane, claim),
                Job::Work(work) => work(),
            }
            next = shared.threads.next_work(drives);
            if next.is_none() {
                shared.threads.state.lock().spares.push(self.clone());
            }
        }
    }

    /// Waits as a spare. None: not needed any more.
    fn wait(self: &Arc<Self>, shared: &Weak<Shared>) -> Option<Job> {
        let mut job = self.job.lock();
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
            timed_out = self.filled.wait_for(&mut job, LINGER).timed_out();
        }
    }
}

thread_local! {
    static THREAD: std::cell::RefCell<Option<Arc<Slot>>> = const { std::cell::RefCell::new(None) };
}

/// Shows, while it lives, what this thread of the pool is working on.
pub(crate) struct Shown;

impl Shown {
    pub(crate) fn new(watch: Arc<dyn Watch>) -> Self {
        THREAD.with_borrow(|slot| {
            if let Some(slot) = slot {
                *slot.watched.lock() = Some((watch, Instant::now()));
            }
        });
        Self
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        THREAD.with_borrow(|slot| {
            if let Some(slot) = slot {
                let shown = slot.watched.lock().take();
                drop(shown);
            }
        });
    }
}
