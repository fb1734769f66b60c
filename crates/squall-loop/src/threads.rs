//! The process's threads: carriers, reliefs, workers of the executor, and spares.
//!
//! One pool for all of them, capped as a whole; the monitor and the next one come from it,
//! too, and are beside the cap. A thread that ends one job takes
//! the next, or waits as a spare; spares beyond the reserve end after a while.
//! A part of the cap is kept for carriers, so that work which is known to block
//! can never use up the threads that rescue lanes. How near the cap is, is told by
//! [`Pressure`].

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::gate::CHAIRS;
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::metrics::{BlockedNow, LOOKED_AT};
use crate::slot::{Ended, Job, Slot};
use crate::tokio_compat;
use parking_lot::Mutex;

/// Spares kept warm for the next hand-off.
pub(crate) const RESERVE: usize = 2;
/// Threads started in one go to have more spares.
const WARM_AT_ONCE: usize = 8;
/// How long no thread is started after the system refused one.
const REFUSED_FOR: Duration = Duration::from_millis(100);

/// How near a loop is to its thread cap.
///
/// Read it with [`IoLoop::pressure`](crate::IoLoop::pressure). A server sheds load
/// before the last threads are stuck, because a lane whose carrier is stuck then
/// waits until one comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pressure {
    /// There are threads for everybody.
    Easy,
    /// Few are left: work that is likely to block should be refused.
    Tight,
    /// About one per lane is left: everything that can wait should be refused.
    Exhausted,
}

pub(crate) struct Threads {
    cap: usize,
    lanes: usize,
    pressure: AtomicU8,
    /// Whether any thread relieves a lane, for the monitor.
    relieving: AtomicBool,
    stopping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spares: Vec<Arc<Slot>>,
    queued: VecDeque<Box<dyn FnOnce() + Send>>,
    carriers: usize,
    workers: usize,
    /// Threads that exist, whatever they do.
    running: Vec<Arc<Slot>>,
    /// Threads that are about to exist.
    starting: usize,
    reliefs: Vec<(Arc<Slot>, Arc<Lane>)>,
    /// On which chairs of the monitor's a thread sits. There are none without a monitor.
    chairs: Vec<bool>,
    /// The system gave no more threads than there are; it is asked again then.
    refused_until: Option<Instant>,
    /// Why, until it is reported.
    refusal: Option<io::Error>,
}

impl State {
    /// Threads under the cap: all but the monitor and the next one.
    fn total(&self) -> usize {
        (self.running.len() + self.starting).saturating_sub(self.sitting())
    }

    fn sitting(&self) -> usize {
        self.chairs.iter().filter(|taken| **taken).count()
    }
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
    pub(crate) fn new(cap: usize, lanes: usize, chairs: usize) -> Self {
        Self {
            cap,
            lanes,
            pressure: AtomicU8::new(Pressure::Easy as u8),
            relieving: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            state: Mutex::new(State {
                chairs: vec![false; chairs],
                ..State::default()
            }),
        }
    }

    pub(crate) fn pressure(&self) -> Pressure {
        match self.pressure.load(Ordering::Relaxed) {
            0 => Pressure::Easy,
            1 => Pressure::Tight,
            _ => Pressure::Exhausted,
        }
    }

    /// The most threads there may be: the cap, or as many as the system gives.
    fn most(&self, state: &State) -> usize {
        match state.refused_until {
            Some(_) => state.total(),
            None => self.cap,
        }
    }

    /// Of those, what the executor's work never gets: room for some hand-offs on every
    /// lane, but half of them at most.
    fn kept_for_carriers(&self, state: &State) -> usize {
        (self.lanes * 8)
            .min(self.most(state) / 2)
            .max(self.lanes + 1)
    }

    /// Threads that can be had.
    fn free(&self, state: &State) -> usize {
        self.most(state).saturating_sub(state.total()) + state.spares.len()
    }

    /// Whether work that is known to block may have one of so many threads. One piece
    /// of it always may, so that it never stops altogether.
    fn has_room_for_work(&self, state: &State, free: usize) -> bool {
        free > self.kept_for_carriers(state) || (state.workers == 0 && free > 0)
    }

    /// Tells how near the cap is, after any change.
    fn settle(&self, state: &State) {
        let free = self.free(state);
        let pressure = if free < self.lanes {
            Pressure::Exhausted
        } else if free < (self.kept_for_carriers(state) / 2).max(self.lanes + 1) {
            Pressure::Tight
        } else {
            Pressure::Easy
        };
        self.pressure.store(pressure as u8, Ordering::Relaxed);
    }

    /// Sets a thread aside. None at the cap, or when the system has none to give.
    pub(crate) fn reserve(&self, shared: &Weak<Shared>) -> Option<Reserved> {
        let mut state = self.state.lock();
        let spare = state.spares.pop();
        self.settle(&state);
        drop(state);
        spare.or_else(|| self.start(shared)).map(Reserved)
    }

    /// Gives a reserved thread its job.
    pub(crate) fn give(&self, thread: Reserved, job: Job) {
        let mut state = self.state.lock();
        match job {
            Job::Drive(..) => state.carriers += 1,
            Job::Relieve(ref lane) => {
                state.carriers += 1;
                state.reliefs.push((thread.0.clone(), lane.clone()));
                self.relieving.store(true, Ordering::Relaxed);
            }
            Job::Work(_) => state.workers += 1,
            Job::Sit(chair) => state.chairs[chair] = true,
        }
        drop(state);
        thread.0.put(job);
    }

    /// Puts a reserved thread back.
    pub(crate) fn give_back(&self, thread: Reserved) {
        let mut state = self.state.lock();
        state.spares.push(thread.0.clone());
        self.settle(&state);
        drop(state);
        if self.stopping.load(Ordering::SeqCst) {
            thread.0.look_up();
        }
    }

    /// Sets the monitor's own thread aside, where another one sits beside it and the cap
    /// is far enough.
    pub(crate) fn reserve_monitor(&self) -> bool {
        let mut state = self.state.lock();
        let may = state.sitting() == CHAIRS && state.total() < self.most(&state);
        if may {
            state.starting += 1;
        }
        may
    }

    /// The monitor stays after all.
    pub(crate) fn give_back_monitor(&self) {
        self.state.lock().starting -= 1;
    }

    /// The monitor leaves its chair to drive a lane.
    pub(crate) fn leave_chair(&self, chair: usize) {
        let mut state = self.state.lock();
        state.starting -= 1;
        state.chairs[chair] = false;
        state.carriers += 1;
        self.settle(&state);
    }

    /// Lets up to `width` threads poll what waits on a stuck lane, as far as threads
    /// are plenty.
    pub(crate) fn relieve(&self, shared: &Weak<Shared>, lane: &Arc<Lane>, width: usize) {
        for _ in 0..width {
            if self.pressure() != Pressure::Easy {
                return;
            }
            let Some(thread) = self.reserve(shared) else {
                return;
            };
            self.give(thread, Job::Relieve(lane.clone()));
        }
    }

    /// The threads that relieve a lane now, and which.
    pub(crate) fn reliefs(&self) -> Vec<(Arc<Slot>, Arc<Lane>)> {
        if !self.relieving.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.state.lock().reliefs.clone()
    }

    /// Runs work on a thread of its own; at the cap it waits for one, in order.
    pub(crate) fn run(&self, shared: &Weak<Shared>, work: Box<dyn FnOnce() + Send>) {
        let mut state = self.state.lock();
        if !self.has_room_for_work(&state, self.free(&state)) {
            state.queued.push_back(work);
            return;
        }
        state.workers += 1;
        let spare = state.spares.pop();
        self.settle(&state);
        drop(state);
        if let Some(slot) = spare.or_else(|| self.start(shared)) {
            return slot.put(Job::Work(work));
        }
        let mut state = self.state.lock();
        state.workers -= 1;
        state.queued.push_back(work);
    }

    /// Starts spares until `wanted` wait, some at a time.
    pub(crate) fn warm(&self, shared: &Weak<Shared>, wanted: usize) {
        for _ in 0..WARM_AT_ONCE {
            if self.state.lock().spares.len() >= wanted {
                return;
            }
            let Some(slot) = self.start(shared) else {
                return;
            };
            self.give_back(Reserved(slot));
        }
    }

    /// The monitor's regular look: asks the system again after a refusal, and starts
    /// work that waited for a thread. Returns a refusal that nobody has reported yet.
    pub(crate) fn recover(&self, shared: &Weak<Shared>) -> Option<io::Error> {
        let mut state = self.state.lock();
        if (state.refused_until).is_some_and(|until| Instant::now() >= until) {
            drop(state);
            // A thread tells; what is let in on trust alone could take the last one.
            if let Some(slot) = self.start_if(shared, |state| state.total() < self.cap) {
                self.give_back(Reserved(slot));
            }
            state = self.state.lock();
        }
        let refusal = state.refusal.take();
        if !state.queued.is_empty() && self.has_room_for_work(&state, self.free(&state)) {
            let waiting = std::mem::take(&mut state.queued);
            drop(state);
            for work in waiting {
                self.run(shared, work);
            }
        }
        refusal
    }

    /// Whether [`recover`](Self::recover) has something to do before anybody comes.
    pub(crate) fn is_to_recover(&self) -> bool {
        let state = self.state.lock();
        !state.queued.is_empty() || state.refused_until.is_some()
    }

    /// Whether the monitor's regular looks have nothing to do here.
    pub(crate) fn is_at_ease(&self) -> bool {
        let state = self.state.lock();
        self.pressure() == Pressure::Easy
            && state.queued.is_empty()
            && state.refused_until.is_none()
            && state.reliefs.is_empty()
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

    /// Watched work of the executor that has been running for at least `least`.
    pub(crate) fn blocked_now(&self, least: Duration) -> Vec<BlockedNow> {
        let running = self.state.lock().running.clone();
        (running.iter())
            .filter_map(|slot| {
                let (watch, lasts, thread) = slot.watched()?;
                (lasts >= least).then(|| (watch.label(), lasts, thread))
            })
            .enumerate()
            .map(|(place, (label, lasts, thread))| {
                let known = BlockedNow::unknown(label, lasts);
                if place < LOOKED_AT {
                    known.look(thread)
                } else {
                    known
                }
            })
            .collect()
    }

    /// Tells every spare to look whether the loop has stopped.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // A spare locks its letter box first, then the pool: never both here.
        let spares = self.state.lock().spares.clone();
        for slot in spares {
            slot.look_up();
        }
    }

    /// Starts a thread. None at the cap, or when the system gives none: then it is
    /// not asked again for a while.
    fn start(&self, shared: &Weak<Shared>) -> Option<Arc<Slot>> {
        self.start_if(shared, |state| state.total() < self.most(state))
    }

    #[cold]
    fn start_if(
        &self,
        shared: &Weak<Shared>,
        may: impl FnOnce(&State) -> bool,
    ) -> Option<Arc<Slot>> {
        {
            let mut state = self.state.lock();
            if !may(&state) {
                return None;
            }
            state.starting += 1;
        }
        let slot = Arc::new(Slot::new());
        let spawned = std::thread::Builder::new()
            .name("squall".to_owned())
            .spawn({
                let (slot, shared) = (slot.clone(), shared.clone());
                move || tokio_compat::inside(&shared, || slot.live(&shared))
            });
        let mut state = self.state.lock();
        state.starting -= 1;
        let started = match spawned {
            Ok(_) => {
                state.running.push(slot.clone());
                state.refused_until = None;
                Some(slot)
            }
            Err(error) => {
                state.refusal = Some(error);
                state.refused_until = Some(Instant::now() + REFUSED_FOR);
                None
            }
        };
        self.settle(&state);
        started
    }

    /// A thread has ended a job: what next? None: it waits as a spare.
    pub(crate) fn next_work(&self, slot: &Arc<Slot>, ended: Ended, stopping: bool) -> Option<Job> {
        let mut state = self.state.lock();
        match ended {
            Ended::Drive => state.carriers -= 1,
            Ended::Relief => {
                state.carriers -= 1;
                state.reliefs.retain(|(other, _)| !Arc::ptr_eq(other, slot));
                if state.reliefs.is_empty() {
                    self.relieving.store(false, Ordering::Relaxed);
                }
            }
            Ended::Work => state.workers -= 1,
            Ended::Sitting(chair) => state.chairs[chair] = false,
        }
        if self.has_room_for_work(&state, self.free(&state) + 1)
            && let Some(work) = state.queued.pop_front()
        {
            state.workers += 1;
            return Some(Job::Work(work));
        }
        let chair = state.chairs.iter().position(|taken| !taken);
        if let Some(chair) = chair.filter(|_| !stopping) {
            state.chairs[chair] = true;
            self.settle(&state);
            return Some(Job::Sit(chair));
        }
        state.spares.push(slot.clone());
        self.settle(&state);
        None
    }

    /// Takes a spare that waited long enough off the books.
    pub(crate) fn retire(&self, slot: &Arc<Slot>, stopping: bool) -> bool {
        let mut state = self.state.lock();
        if state.spares.len() <= RESERVE && !stopping {
            return false;
        }
        let Some(place) = (state.spares.iter()).position(|spare| Arc::ptr_eq(spare, slot)) else {
            return false; // A job is on its way.
        };
        state.spares.remove(place);
        state.running.retain(|other| !Arc::ptr_eq(other, slot));
        self.settle(&state);
        true
    }
}
