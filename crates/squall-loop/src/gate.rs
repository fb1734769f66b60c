//! Where the monitor sleeps while every lane sleeps.
//!
//! The monitor announces that it parks, then looks at the lanes once more; a
//! carrier clears its lane's sleeping flag, then looks at the announcement. Both
//! pairs are sequentially consistent, so at least one of the two sees the other.

use crate::atomics::{AtomicBool, Condvar, Mutex, Ordering};

/// The monitor's bed and its alarm clock.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    parked: AtomicBool,
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// A carrier woke up: the monitor must be up too.
    #[inline]
    pub(crate) fn carrier_woke(&self) {
        if self.parked.load(Ordering::SeqCst) {
            self.open();
        }
    }

    /// Wakes the monitor, whatever it does.
    #[cold]
    pub(crate) fn open(&self) {
        *self.open.lock() = true;
        self.changed.notify_one();
    }

    /// Parks the monitor until a carrier wakes, unless `still_idle` says no.
    pub(crate) fn park(&self, still_idle: impl Fn() -> bool) {
        self.parked.store(true, Ordering::SeqCst);
        if still_idle() {
            let mut open = self.open.lock();
            while !*open {
                self.changed.wait(&mut open);
            }
        }
        self.parked.store(false, Ordering::SeqCst);
        *self.open.lock() = false;
    }
}
