//! How a carrier falls asleep without missing a wake.
//!
//! The carrier says that it is about to sleep, **then** looks for work for the last
//! time. Whoever brings work puts it where the carrier looks, **then** looks at the
//! flag. What the carrier looks at is behind a lock, and the lock orders the two: if
//! the carrier's look came first, the flag is visible to whoever brings; if the work
//! came first, the look finds it.

use crate::atomics::{AtomicBool, Ordering};

/// Whether a lane's carrier waits in the reactor, or is about to.
#[derive(Debug, Default)]
pub(crate) struct Doze(AtomicBool);

impl Doze {
    /// The carrier will sleep unless its last look finds something.
    #[inline]
    pub(crate) fn about_to_sleep(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// The carrier is up.
    #[inline]
    pub(crate) fn awake(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// There is something to do. True: the caller must end the carrier's sleep; one
    /// of several callers is told so.
    #[inline]
    #[must_use]
    pub(crate) fn rouse(&self) -> bool {
        self.is_asleep() && self.0.swap(false, Ordering::SeqCst)
    }

    /// Whether the carrier sleeps, or is about to.
    #[inline]
    pub(crate) fn is_asleep(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
