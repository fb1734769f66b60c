//! A lane: one core's reactor, run queue and timers. The thing that changes hands.
//!
//! Every part of it may be touched from any thread, at any time, under short
//! locks. What is exclusive is only the right to drive it, which is the claim on
//! its [`Post`].

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use mio::event::Source as Socket;
use slab::Slab;

use crate::atomics::{AtomicBool, Mutex};
use crate::doze::Doze;
use crate::gate::Gate;
use crate::handoff::Claim;
use crate::net::Pipes;
use crate::post::Post;
use crate::queue::Queue;
use crate::reactor::{Reactor, Source};
use crate::task::{Contained, JoinHandle, Meta, Runnable};
use crate::timer::{Due, Nanos, TimerKey, Timers};
use crate::watch::Watch;

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) id: usize,
    pub(crate) post: Post,
    pub(crate) queue: Queue<Runnable>,
    pub(crate) reactor: Reactor,
    pub(crate) timers: Timers,
    pub(crate) doze: Doze,
    /// The monitor has seen the carrier twice in the same poll.
    pub(crate) suspect: AtomicBool,
    pub(crate) polls_before: AtomicU64,
    /// When the reactor was last looked at.
    pub(crate) coarse_now: AtomicU64,
    pub(crate) handoffs: AtomicU64,
    pub(crate) stuck_micros: AtomicU64,
    /// Long-lived tasks placed here: connections.
    pub(crate) load: AtomicUsize,
    /// Between two of its sockets, or of one and another lane's.
    pub(crate) pipes: Pipes,
    /// Bytes that went into them.
    pub(crate) spliced: AtomicU64,
    pub(crate) stopping: AtomicBool,
    /// No carrier will come any more.
    drained: AtomicBool,
    watches: Mutex<Watches>,
    tasks: Mutex<Slab<Waker>>,
    gate: Arc<Gate>,
}

/// The watches of a lane's tasks, by the key in the task's `Meta`.
#[derive(Default)]
struct Watches(Slab<Arc<dyn Watch>>);

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} watches", self.0.len())
    }
}

impl Lane {
    pub(crate) fn new(id: usize, gate: Arc<Gate>) -> io::Result<(Arc<Self>, Claim)> {
        let (post, claim) = Post::new();
        let lane = Arc::new(Self {
            id,
            post,
            queue: Queue::default(),
            reactor: Reactor::new()?,
            timers: Timers::default(),
            doze: Doze::default(),
            suspect: AtomicBool::new(false),
            polls_before: AtomicU64::new(0),
            coarse_now: AtomicU64::new(0),
            handoffs: AtomicU64::new(0),
            stuck_micros: AtomicU64::new(0),
            load: AtomicUsize::new(0),
            pipes: Pipes::default(),
            spliced: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            watches: Mutex::default(),
            tasks: Mutex::default(),
            gate,
        });
        Ok((lane, claim))
    }

    /// Makes a task runnable, and wakes the carrier if it sleeps.
    pub(crate) fn push(&self, runnable: Runnable) {
        self.queue.push(runnable);
        self.rouse();
    }

    /// Makes a task runnable before all others.
    pub(crate) fn push_first(&self, runnable: Runnable) {
        self.queue.push_first(runnable);
        self.rouse();
    }

    /// Ends the carrier's sleep, if it sleeps.
    #[inline]
    pub(crate) fn rouse(&self) {
        if self.doze.rouse() {
            self.end_sleep();
        }
    }

    fn end_sleep(&self) {
        if self.drained.load(Ordering::SeqCst) {
            // Nobody sleeps here: who brings work after the end drops it.
            return self.drain();
        }
        self.reactor.wake();
    }

    /// Ends the wait of the carrier, wherever it waits, now or next.
    pub(crate) fn wake(&self) {
        self.reactor.wake();
        self.doze.ring();
    }

    /// Watches a socket. Returns its readiness and the key to forget it by.
    pub(crate) fn register(
        &self,
        socket: &mut impl Socket,
        source: Source,
    ) -> io::Result<(Arc<Source>, usize)> {
        let registered = self.reactor.register(socket, source);
        // A carrier that has parked does not wait for it.
        self.rouse();
        registered
    }

    /// The carrier is up. True: somebody has roused it.
    pub(crate) fn awake(&self, now: Nanos) -> bool {
        let roused = self.doze.awake();
        self.gate.carrier_woke(self.id, now);
        roused
    }

    pub(crate) fn arm(&self, deadline: Nanos, due: Due) -> TimerKey {
        let (key, earliest) = self.timers.arm(deadline, due);
        if earliest {
            self.rouse();
        }
        key
    }

    /// Starts a task whose home is this lane.
    pub(crate) fn spawn<F>(
        self: &Arc<Self>,
        future: F,
        watch: Option<Arc<dyn Watch>>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (runnable, handle) = self.task(future, watch);
        runnable.schedule();
        handle
    }

    /// Starts a task before all that waits here, and lets it go on unobserved.
    #[cold]
    pub(crate) fn spawn_first(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        let (runnable, handle) = self.task(future, None);
        drop(handle);
        self.push_first(runnable);
    }

    /// Makes a task without starting it.
    pub(crate) fn task<F>(
        self: &Arc<Self>,
        future: F,
        watch: Option<Arc<dyn Watch>>,
    ) -> (Runnable, JoinHandle<F::Output>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let lane = self.clone();
        self.task_elsewhere(future, watch, move |runnable| lane.push(runnable))
    }

    /// Makes a task that is polled where `schedule` says, and is dropped with this
    /// lane's tasks when the loop stops.
    pub(crate) fn task_elsewhere<F>(
        self: &Arc<Self>,
        future: F,
        watch: Option<Arc<dyn Watch>>,
        schedule: impl Fn(Runnable) + Send + Sync + 'static,
    ) -> (Runnable, JoinHandle<F::Output>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let watch = watch.map_or(0, |watch| self.watches.lock().0.insert(watch) as u64 + 1);
        let mut tasks = self.tasks.lock();
        let entry = tasks.vacant_entry();
        let registered = Registered {
            lane: self.clone(),
            key: entry.key(),
            watch,
        };
        let future = Contained::new(future, registered);
        let (runnable, task) = async_task::Builder::new()
            .metadata(Meta { watch })
            .spawn(move |_| future, schedule);
        entry.insert(runnable.waker());
        drop(tasks);
        (runnable, JoinHandle::new(task))
    }

    pub(crate) fn watch(&self, key: u64) -> Option<Arc<dyn Watch>> {
        let key = usize::try_from(key.checked_sub(1)?).ok()?;
        self.watches.lock().0.get(key).cloned()
    }

    /// Polls begun since the lane was made.
    pub(crate) fn polls(&self) -> u64 {
        self.polls_before.load(Ordering::Relaxed) + self.post.ownership.observe().polls()
    }

    /// Asks the carrier to drop every task and end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Drops every task, on the last carrier; later on whoever brings one.
    ///
    /// The lane is left as if its carrier slept, with the same last look, so that
    /// no task is left behind in it.
    pub(crate) fn drain(&self) {
        self.drained.store(true, Ordering::SeqCst);
        loop {
            self.drop_all();
            self.doze.about_to_sleep();
            // For a socket that came behind the last time: it has roused nobody.
            self.reactor.clear();
            if self.queue.is_empty() && self.timers.next().is_none() {
                return;
            }
            self.doze.awake();
        }
    }

    /// Behind a poll by a thread that does not drive the lane (any more): a drain that came
    /// after the task had left the queue, and before it was polled, has not dropped it.
    pub(crate) fn polled_beside(&self) {
        if self.drained.load(Ordering::SeqCst) {
            self.drain();
        }
    }

    fn drop_all(&self) {
        loop {
            // They stay in the books until their futures are gone.
            let wakers: Vec<Waker> = self.tasks.lock().iter().map(|(_, it)| it.clone()).collect();
            for waker in wakers {
                waker.wake();
            }
            self.timers.clear();
            self.reactor.clear();
            // Dropping a runnable drops its future, which may wake or spawn others.
            let mut dropped = 0;
            while let Some(runnable) = self.queue.pop() {
                drop(runnable);
                dropped += 1;
            }
            if dropped == 0 {
                return;
            }
        }
    }
}

/// Takes a task out of its lane's books when its future is gone.
struct Registered {
    lane: Arc<Lane>,
    key: usize,
    watch: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let waker = self.lane.tasks.lock().try_remove(self.key);
        drop(waker);
        if let Some(key) = self.watch.checked_sub(1) {
            let watch = self.lane.watches.lock().0.try_remove(key as usize);
            drop(watch);
        }
    }
}
