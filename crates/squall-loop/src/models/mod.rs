//! Loom runs the loop's protocols through every interleaving: one race per file.
//!
//! What runs is the code itself. Only the kernel is a stand-in (`reactor.rs`): a
//! wake is a bell, a wait lasts until it rings, and time stands still. A lost wake
//! thus shows as a deadlock. Each model names a change of the code that it catches.

mod gate;
mod ownership;
mod readiness;
mod released;
mod relief;
mod stop;
mod timer;
mod wake;

use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake};
use std::time::Duration;

use loom::thread::JoinHandle;

use crate::atomics::{Condvar, Mutex};
use crate::blame::Blame;
use crate::carrier;
use crate::executor::Executor;
use crate::gate::{CHAIRS, Gate};
use crate::handoff::Claim;
use crate::ioloop::{IoLoop, Shared};
use crate::lane::Lane;
use crate::monitor::Monitor;
use crate::task::Runnable;
use crate::threads::Threads;
use crate::time::{Clock, TestClock};
use crate::tokio_compat::Choice;

/// Explores a model; how far is bounded by `preemptions` unless
/// `LOOM_MAX_PREEMPTIONS` says otherwise.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(model);
}

/// A bell that stays rung until somebody hears it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock() = true;
        self.changed.notify_one();
    }

    /// Waits for the bell if `patient`; the bell is silent afterwards.
    pub(crate) fn hear(&self, patient: bool) {
        let mut rung = self.rung.lock();
        while patient && !*rung {
            self.changed.wait(&mut rung);
        }
        *rung = false;
    }
}

/// An alarm that goes off at once: time stands still.
#[derive(Debug)]
pub(crate) struct Alarm(Bell);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Bell::default()))
    }

    pub(crate) fn set(&self, _: Duration) {
        self.0.ring();
    }

    pub(crate) fn clear(&self) {
        self.0.hear(false);
    }

    pub(crate) fn wait(&self) {
        self.0.hear(true);
    }
}

/// Where a carrier parks.
#[derive(Debug, Default)]
pub(crate) struct Bed(Bell);

impl Bed {
    pub(crate) fn make(&self) {}

    /// One look: time stands still.
    pub(crate) fn sit(&self, over: impl Fn() -> bool) {
        let _ = over();
    }

    pub(crate) fn lie(&self, timeout: Option<Duration>) {
        self.0.hear(timeout.is_none());
    }

    pub(crate) fn ring(&self) {
        self.0.ring();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// A lane that nobody drives, and the gate of its monitor.
fn lane() -> (Arc<Lane>, Arc<Gate>) {
    let gate = Arc::new(Gate::new().expect("a gate"));
    let (lane, _claim) = Lane::new(0, gate.clone()).expect("a lane");
    (lane, gate)
}

/// A clock that stands still: deadline 0 is due, every other one is far.
fn clock() -> Clock {
    Clock::Turned(TestClock::new())
}

/// A loop of one lane, and no thread that drives it yet.
fn io_loop() -> (IoLoop, Arc<Lane>, Claim) {
    let monitor = Monitor::new(Blame::default()).expect("a monitor");
    let (lane, claim) = Lane::new(0, monitor.gate.clone()).expect("a lane");
    let shared = Shared::new(
        [lane.clone()].into(),
        Threads::new(8, 1, CHAIRS),
        monitor,
        clock(),
        Choice::default().open().expect("no runtime"),
        Executor::new(1),
    );
    (IoLoop::from_shared(Arc::new(shared)), lane, claim)
}

/// The id of a thread of the model.
pub(crate) fn thread_id() -> u64 {
    let mut hasher = DefaultHasher::new();
    loom::thread::current().id().hash(&mut hasher);
    hasher.finish()
}

/// A carrier of its own thread.
fn carrier(io_loop: &IoLoop, lane: &Arc<Lane>, claim: Claim) -> JoinHandle<()> {
    let (shared, lane) = (io_loop.shared().clone(), lane.clone());
    loom::thread::spawn(move || carrier::drive(&shared, &lane, claim))
}

/// What became of a task.
#[derive(Debug, Default)]
struct Fate {
    polls: AtomicUsize,
    drops: AtomicUsize,
}

impl Fate {
    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::Relaxed)
    }
}

struct Counted(Arc<Fate>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task that is done at once, or never.
fn task(lane: &Arc<Lane>, done: bool) -> (Runnable, Arc<Fate>) {
    let fate = Arc::<Fate>::default();
    let counted = Counted(fate.clone());
    let (runnable, handle) = lane.task(
        poll_fn(move |_| {
            assert_eq!(counted.0.drops(), 0, "a poll after the end");
            counted.0.polls.fetch_add(1, Ordering::Relaxed);
            if done { Poll::Ready(()) } else { Poll::Pending }
        }),
        None,
    );
    drop(handle);
    (runnable, fate)
}
