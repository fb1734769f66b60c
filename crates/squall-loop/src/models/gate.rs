//! The monitor rests while carriers wake and vouch.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::{check, lane};
use crate::gate::Rest;
use crate::lane::Lane;
use crate::monitor;

fn rest(lane: &Arc<Lane>) -> Rest {
    Rest::new(Vec::new(), Duration::ZERO, true, std::slice::from_ref(lane))
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

/// A carrier that has taken its lane over parks the monitor again while another one wakes,
/// or the loop stops: the monitor hears of both.
///
/// Catches: a `park_again` that does not look once more after it has cleared the alarm.
#[test]
fn a_monitor_that_is_parked_again_hears_of_the_next_wake() {
    for stops in [false, true] {
        check(3, move || {
            let (lane, gate) = lane();
            let (other, _claim) = Lane::new(1, gate.clone()).expect("a lane");
            other.doze.about_to_sleep();
            let lanes = [lane, other];
            let idle = |lanes: &[Arc<Lane>]| lanes.iter().all(|lane| monitor::asleep(lane));
            let carrier = thread::spawn({
                let (lanes, gate) = (lanes.clone(), gate.clone());
                move || {
                    lanes[0].doze.about_to_sleep();
                    gate.park_again(&lanes, 0, || idle(&lanes));
                }
            });
            let wakes = thread::spawn({
                let (other, gate) = (lanes[1].clone(), gate.clone());
                move || match stops {
                    true => {
                        other.stop();
                        gate.open();
                    }
                    false => {
                        other.awake(0);
                    }
                }
            });
            // It looks at what moves, rests, and gets up again.
            gate.nap(0, Rest::new(Vec::new(), Duration::ZERO, true, &lanes), 0);
            while idle(&lanes) {
                let rest = Rest::new(Vec::new(), Duration::ZERO, true, &lanes);
                gate.park(0, rest, || idle(&lanes));
            }
            carrier.join().expect("slept");
            wakes.join().expect("woke");
        });
    }
}
