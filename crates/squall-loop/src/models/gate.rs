//! The monitor parks while a carrier wakes.

use std::time::Duration;

use loom::thread;

use super::{check, lane};
use crate::monitor;

/// The monitor never stays parked while a lane is awake.
///
/// Catches: `carrier_woke` before the flag is cleared; the announcement after
/// `still_idle`; a side whose two
/// accesses are both weaker than `SeqCst`.
#[test]
fn a_carrier_that_wakes_finds_the_monitor_up() {
    check(5, || {
        let (lane, gate) = lane();
        lane.doze.about_to_sleep();
        let carrier = thread::spawn({
            let lane = lane.clone();
            move || {
                lane.awake();
                lane.doze.about_to_sleep();
                lane.awake();
            }
        });
        while monitor::asleep(&lane) {
            gate.park(Duration::ZERO, || monitor::asleep(&lane));
        }
        carrier.join().expect("woke");
    });
}

/// A stop that comes while the monitor parks ends the parking.
///
/// Catches: `open` that notifies and leaves no mark.
#[test]
fn a_stop_opens_the_gate() {
    check(5, || {
        let (lane, gate) = lane();
        lane.doze.about_to_sleep();
        let stopper = thread::spawn({
            let (lane, gate) = (lane.clone(), gate.clone());
            move || {
                lane.stop();
                gate.open();
            }
        });
        gate.park(Duration::ZERO, || monitor::asleep(&lane));
        stopper.join().expect("stopped");
    });
}
