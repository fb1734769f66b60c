//! A timer that another thread arms while the carrier decides how long to sleep.

use std::task::Waker;

use loom::thread;

use super::{check, clock, lane};
use crate::carrier;
use crate::timer::Due;
use crate::vigil::Vigil;

fn wake() -> Due {
    Due::Wake(Waker::noop().clone())
}

/// A new earliest timer shortens the sleep, whoever else arms one meanwhile.
///
/// Catches: `arm` that does not rouse, or rouses before it inserts; the carrier's
/// look at the timers before it says that it is about to sleep.
#[test]
fn a_new_earliest_timer_fires() {
    check(4, || {
        let (lane, _gate) = lane();
        lane.arm(100, wake());
        let threads = [50, 0].map(|deadline| {
            let lane = lane.clone();
            thread::spawn(move || {
                lane.arm(deadline, wake());
            })
        });
        let clock = clock();
        let mut due = Vec::new();
        while due.is_empty() {
            carrier::wait(
                &clock,
                &lane,
                &mut Vigil::default(),
                &mut Vec::new(),
                &mut due,
            );
        }
        assert_eq!(due.len(), 1, "only what is due");
        for thread in threads {
            thread.join().expect("armed");
        }
        assert_eq!(lane.timers.next(), Some(50));
    });
}

/// A timer fires or is cancelled, never both and never neither.
///
/// Catches: `cancel` that looks and removes under two locks.
#[test]
fn a_cancelled_timer_does_not_fire() {
    check(4, || {
        let (lane, _gate) = lane();
        let key = lane.arm(0, wake());
        let canceller = thread::spawn({
            let lane = lane.clone();
            move || lane.timers.cancel(key).is_some()
        });
        let mut due = Vec::new();
        lane.timers.take_due(0, &mut due);
        let cancelled = canceller.join().expect("tried");
        assert_eq!(due.len(), usize::from(!cancelled));
    });
}
