//! The monitor rests while carriers wake and vouch.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::{check, lane};
use crate::gate::Rest;
use crate::lane::Lane;
use crate::monitor;

fn rest(lane: &Arc<Lane>) -> Rest {
    Rest::new(Duration::ZERO, true, std::slice::from_ref(lane))
}

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
                lane.awake(0);
                lane.doze.about_to_sleep();
                lane.awake(0);
            }
        });
        while monitor::asleep(&lane) {
            gate.park(0, rest(&lane), || monitor::asleep(&lane));
        }
        carrier.join().expect("woke");
    });
}

/// A carrier that vouches while the monitor gets up, looks and rests again neither
/// leaves it without an alarm nor takes it for resting when it is up.
///
/// Catches: a `vouch` that does not look whether the monitor rests; a `nap` that sets
/// the alarm before there is a rest to put off, or none.
#[test]
fn the_alarm_of_a_nap_is_never_lost() {
    check(4, || {
        let (lane, gate) = lane();
        lane.awake(0);
        let carrier = thread::spawn({
            let (lane, gate) = (lane.clone(), gate.clone());
            move || {
                for now in 1..3 {
                    if gate.asks(now) {
                        gate.vouch(now, std::slice::from_ref(&lane), || true);
                    }
                }
                lane.doze.about_to_sleep();
                lane.awake(3);
            }
        });
        let first = gate.nap(0, rest(&lane), 0).expect("a rest ends once");
        assert!(first.first.is_none(), "nobody slept");
        gate.park(0, rest(&lane), || monitor::asleep(&lane));
        carrier.join().expect("vouched");
        assert!(!gate.asks(u64::MAX - 1), "the monitor is up");
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
        gate.park(0, rest(&lane), || monitor::asleep(&lane));
        stopper.join().expect("stopped");
    });
}

/// The monitor leaves for a lane while another wakes: whoever sits on the other chair
/// hears of it, and is the monitor from then on.
///
/// Catches: a `leave` that announces the parking before the chair has changed, or that
/// does not look at the lanes afterwards; an alarm that is set on the chair that was left.
#[test]
fn who_sits_on_the_other_chair_hears_of_the_next_wake() {
    check(4, || {
        let (lane, gate) = lane();
        lane.doze.about_to_sleep();
        let carrier = thread::spawn({
            let lane = lane.clone();
            move || lane.awake(0)
        });
        let leaver = thread::spawn({
            let (lane, gate) = (lane.clone(), gate.clone());
            move || {
                assert!(gate.is_monitors(0));
                gate.leave(rest(&lane), 0, || (), || monitor::asleep(&lane));
            }
        });
        while gate.wait(1).is_none() {}
        assert!(gate.is_monitors(1) && !monitor::asleep(&lane));
        carrier.join().expect("woke");
        leaver.join().expect("left");
    });
}

/// An alarm that is left over on the other chair is not the monitor's.
///
/// Catches: a `rise` of a chair that is not the monitor's.
#[test]
fn who_is_not_the_monitor_leaves_its_rest_alone() {
    check(4, || {
        let (lane, gate) = lane();
        lane.doze.about_to_sleep();
        let carrier = thread::spawn({
            let lane = lane.clone();
            move || lane.awake(0)
        });
        let other = thread::spawn({
            let gate = gate.clone();
            move || {
                gate.open();
                assert!(gate.wait(1).is_none());
            }
        });
        while monitor::asleep(&lane) {
            gate.park(0, rest(&lane), || monitor::asleep(&lane));
        }
        carrier.join().expect("woke");
        other.join().expect("sat");
    });
}
