//! Where the monitor sleeps while every lane sleeps.
//!
//! The monitor announces that it parks, then looks at the lanes once more; a
//! carrier clears its lane's sleeping flag, then looks at the announcement. Both
//! pairs are sequentially consistent, so at least one of the two sees the other.
//!
//! A carrier that wakes does not wake the monitor, it only sets its alarm: most
//! wakes come to nothing, and should not cost two thread switches.

use std::io;
use std::time::{Duration, Instant};

use crate::atomics::{AtomicBool, Mutex, Ordering};
use crate::sys::Alarm;

/// The monitor's bed and its alarm clock.
#[derive(Debug)]
pub(crate) struct Gate {
    parked: AtomicBool,
    alarm: Alarm,
    wake: Mutex<Wake>,
}

#[derive(Debug, Default)]
struct Wake {
    /// From a carrier's wake to the alarm.
    delay: Duration,
    /// The lane that woke first, and when.
    first: Option<(usize, Instant)>,
}

impl Gate {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            parked: AtomicBool::new(false),
            alarm: Alarm::new()?,
            wake: Mutex::default(),
        })
    }

    /// The carrier of a lane woke up: the monitor must look before long.
    #[inline]
    pub(crate) fn carrier_woke(&self, lane: usize) {
        if self.parked.load(Ordering::SeqCst) {
            self.set_alarm(lane);
        }
    }

    #[cold]
    fn set_alarm(&self, lane: usize) {
        // The first one only: later ones would put the alarm off.
        if self.parked.swap(false, Ordering::SeqCst) {
            let mut wake = self.wake.lock();
            wake.first = Some((lane, Instant::now()));
            self.alarm.set(wake.delay);
        }
    }

    /// Wakes the monitor if it is parked, now or next.
    pub(crate) fn open(&self) {
        self.alarm.set(Duration::ZERO);
    }

    /// Parks the monitor until `delay` after a carrier's wake, unless `still_idle` says
    /// no. Returns which lane woke first, and when.
    pub(crate) fn park(
        &self,
        delay: Duration,
        still_idle: impl Fn() -> bool,
    ) -> Option<(usize, Instant)> {
        *self.wake.lock() = Wake { delay, first: None };
        self.parked.store(true, Ordering::SeqCst);
        if still_idle() {
            self.alarm.wait();
        }
        self.parked.store(false, Ordering::SeqCst);
        self.wake.lock().first.take()
    }
}
