//! A lane's timers, behind one short lock.
//!
//! An ordered map from (deadline, arming order) to what is to happen. Any thread
//! may arm or cancel; the lane's carrier of the moment fires what is due.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::atomics::Mutex;
use crate::task::Runnable;

/// Nanoseconds since the loop was built.
pub(crate) type Nanos = u64;

/// Where an armed timer is kept: its deadline, then its arming order.
pub(crate) type TimerKey = (Nanos, u64);

/// What happens at the deadline.
#[derive(Debug)]
pub(crate) enum Due {
    /// A sleeping future goes on.
    Wake(Waker),
    /// A callback's task becomes runnable.
    Run(Runnable),
}

/// The timers of one lane.
#[derive(Debug, Default)]
pub(crate) struct Timers(Mutex<Armed>);

#[derive(Debug, Default)]
struct Armed {
    entries: BTreeMap<TimerKey, Due>,
    order: u64,
}

impl Timers {
    /// Arms a timer. The flag says that it is now the earliest.
    pub(crate) fn arm(&self, deadline: Nanos, due: Due) -> (TimerKey, bool) {
        let mut armed = self.0.lock();
        armed.order += 1;
        let key = (deadline, armed.order);
        armed.entries.insert(key, due);
        let earliest = armed.entries.first_key_value().map(|(key, _)| *key) == Some(key);
        (key, earliest)
    }

    /// Gives an armed timer another waker. False: it has fired meanwhile.
    pub(crate) fn set_waker(&self, key: TimerKey, waker: &Waker) -> bool {
        match self.0.lock().entries.get_mut(&key) {
            Some(Due::Wake(old)) => {
                old.clone_from(waker);
                true
            }
            _ => false,
        }
    }

    /// Disarms a timer. None: it has fired already.
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Due> {
        self.0.lock().entries.remove(&key)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.0
            .lock()
            .entries
            .first_key_value()
            .map(|(key, _)| key.0)
    }

    /// Moves what is due at `now` into `out`, in order.
    pub(crate) fn take_due(&self, now: Nanos, out: &mut Vec<Due>) {
        let mut armed = self.0.lock();
        while let Some(entry) = armed.entries.first_entry() {
            if entry.key().0 > now {
                break;
            }
            out.push(entry.remove());
        }
    }

    /// Forgets every timer, for a loop that stops.
    pub(crate) fn clear(&self) {
        // Dropping an entry may run foreign code: not under the lock.
        let entries = std::mem::take(&mut self.0.lock().entries);
        drop(entries);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn fired(timers: &Timers, now: Nanos) -> usize {
        let mut out = Vec::new();
        timers.take_due(now, &mut out);
        out.len()
    }

    #[test]
    fn fires_in_order_of_time_and_never_early() {
        let timers = Timers::default();
        let wake = || Due::Wake(Waker::noop().clone());
        assert!(timers.arm(20, wake()).1);
        assert!(timers.arm(10, wake()).1, "a new earliest");
        let (late, earliest) = timers.arm(30, wake());
        assert!(!earliest);
        assert_eq!(timers.next(), Some(10));
        assert_eq!(fired(&timers, 9), 0);
        assert_eq!(fired(&timers, 20), 2);
        assert!(timers.cancel(late).is_some());
        assert!(timers.cancel(late).is_none(), "cancelled once");
        assert_eq!(fired(&timers, u64::MAX), 0);
    }
}
