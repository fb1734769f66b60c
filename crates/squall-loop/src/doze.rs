//! How a carrier falls asleep without missing a wake.
//!
//! The carrier says that it is about to sleep, **then** looks for work for the last
//! time. Whoever brings work puts it where the carrier looks, **then** looks at the
//! state. What the carrier looks at is behind a lock, and the lock orders the two: if
//! the carrier's look came first, the state is visible to whoever brings; if the work
//! came first, the look finds it.
//!
//! ```text
//!         about_to_stay_up       stay_up, in vain         park
//!   AWAKE ----------------> UP ------------------> DROWSY ------> PARKED
//!         ---------------------------------------> (about_to_sleep)
//!
//!   any of them ---- rouse, awake ----> AWAKE
//! ```
//!
//! A drowsy carrier waits in the reactor, or will. A lane without a socket has nothing
//! to wait for there: its carrier **parks**, which costs it and its wakers less. A carrier
//! that **stays up** looks at the state alone: whoever brings work has nobody to wake.

use std::time::Duration;

use crate::atomics::{AtomicU8, Bed, Ordering};

const AWAKE: u8 = 0;
const DROWSY: u8 = 1;
const PARKED: u8 = 2;
const UP: u8 = 3;

/// Whether a lane's carrier sleeps, or is about to.
#[derive(Debug, Default)]
pub(crate) struct Doze {
    state: AtomicU8,
    bed: Bed,
}

impl Doze {
    /// The calling thread is the one that parks from now on.
    pub(crate) fn man(&self) {
        self.bed.make();
    }

    /// The carrier will sleep unless its last look finds something.
    #[inline]
    pub(crate) fn about_to_sleep(&self) {
        self.state.store(DROWSY, Ordering::SeqCst);
    }

    /// The same, and for a moment it will stay up before it sleeps.
    pub(crate) fn about_to_stay_up(&self) {
        self.state.store(UP, Ordering::SeqCst);
    }

    /// Stays up for a moment. True: somebody has roused the carrier; else it is drowsy.
    pub(crate) fn stay_up(&self) -> bool {
        self.bed.sit(|| !self.is_asleep());
        let sleeps = (self.state).compare_exchange(UP, DROWSY, Ordering::SeqCst, Ordering::SeqCst);
        sleeps.is_err()
    }

    /// Sleeps outside of the reactor, unless somebody has roused the carrier meanwhile.
    pub(crate) fn park(&self, timeout: Option<Duration>) {
        let parks =
            (self.state).compare_exchange(DROWSY, PARKED, Ordering::SeqCst, Ordering::SeqCst);
        if parks.is_ok() {
            self.bed.lie(timeout);
        }
    }

    /// The carrier is up. True: somebody has roused it.
    #[inline]
    pub(crate) fn awake(&self) -> bool {
        self.state.swap(AWAKE, Ordering::SeqCst) == AWAKE
    }

    /// There is something to do. True: the caller must end the carrier's wait in the
    /// reactor; one of several callers is told so.
    #[inline]
    #[must_use]
    pub(crate) fn rouse(&self) -> bool {
        if !self.is_asleep() {
            return false;
        }
        match self.state.swap(AWAKE, Ordering::SeqCst) {
            PARKED => {
                self.bed.ring();
                false
            }
            before => before == DROWSY,
        }
    }

    /// Ends the parking of whoever parks, now or next.
    pub(crate) fn ring(&self) {
        self.bed.ring();
    }

    /// Whether the carrier sleeps, or is about to.
    #[inline]
    pub(crate) fn is_asleep(&self) -> bool {
        self.state.load(Ordering::SeqCst) != AWAKE
    }
}
