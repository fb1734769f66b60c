//! Stopping a loop: against the carrier, a hand-over and those who bring work or sockets.

use loom::thread;

use super::{carrier, check, io_loop, task};
use crate::lane::Lane;

fn is_empty(lane: &Lane) -> bool {
    lane.queue.is_empty() && lane.timers.next().is_none()
}

/// A carrier that is about to sleep hears of the stop, and drops every task.
///
/// Catches: `stop` that wakes before it sets `stopping`, or wakes only a sleeper.
#[test]
fn a_carrier_about_to_sleep_hears_of_the_stop() {
    hears_of_the_stop(true);
}

/// So does one that parks.
///
/// Catches: `stop` that wakes who is in the reactor alone.
#[test]
fn a_carrier_about_to_park_hears_of_the_stop() {
    hears_of_the_stop(false);
}

fn hears_of_the_stop(sockets: bool) {
    check(4, move || {
        let (io_loop, lane, claim) = io_loop();
        lane.reactor.set_sockets(sockets);
        let (runnable, fate) = task(&lane, false);
        runnable.schedule();
        let carrier = carrier(&io_loop, &lane, claim);
        io_loop.stop();
        carrier.join().expect("drained");
        assert_eq!(fate.drops(), 1);
        assert!(fate.polls() <= 1);
        assert!(is_empty(&lane));
    });
}

/// A lane that changes hands during the stop is drained by its last carrier, and
/// what the old carrier is still polling is dropped when that poll is over.
///
/// Catches: an old carrier that drains after it lost the lane; `leave` as a plain
/// store.
#[test]
fn a_handover_during_the_stop_leaves_no_task_behind() {
    check(3, || {
        let (io_loop, lane, claim) = io_loop();
        let fates = [true, false].map(|done| {
            let (runnable, fate) = task(&lane, done);
            runnable.schedule();
            fate
        });
        let old = carrier(&io_loop, &lane, claim);
        let stopper = thread::spawn({
            let io_loop = io_loop.clone();
            move || io_loop.stop()
        });
        let next = (lane.post.ownership.take(lane.post.ownership.observe()))
            .map(|claim| carrier(&io_loop, &lane, claim));
        if let Some(next) = next {
            next.join().expect("drained");
        }
        old.join().expect("drained or released");
        stopper.join().expect("stopped");
        for fate in fates {
            assert_eq!(fate.drops(), 1);
            assert!(fate.polls() <= 1);
        }
        assert!(is_empty(&lane));
    });
}

/// A task that is brought during the stop is run or dropped, never kept.
///
/// Catches: a drain without its last look; a drained lane that is not left asleep, or
/// is asleep before it says that it is drained.
#[test]
fn a_task_brought_during_the_stop_is_not_kept() {
    check(3, || {
        let (io_loop, lane, claim) = io_loop();
        let bringers = [true, false].map(|done| {
            let (runnable, fate) = task(&lane, done);
            (thread::spawn(move || runnable.schedule()), fate)
        });
        let carrier = carrier(&io_loop, &lane, claim);
        io_loop.stop();
        carrier.join().expect("drained");
        // Whoever was told last drops what the other one brought.
        let fates = bringers.map(|(bringer, fate)| {
            bringer.join().expect("brought");
            fate
        });
        for fate in fates {
            assert_eq!(fate.drops(), 1);
        }
        assert!(is_empty(&lane));
    });
}

/// A socket that comes during the stop is told of it: whoever waits for it would for ever.
///
/// Catches: a drain that looks at the sockets before it is asleep, and not behind that.
#[test]
fn a_socket_that_comes_during_the_stop_is_told_of_it() {
    check(3, || {
        let (io_loop, lane, claim) = io_loop();
        let comes = thread::spawn({
            let lane = lane.clone();
            move || {
                let source = lane.reactor.watch();
                lane.rouse();
                source
            }
        });
        let carrier = carrier(&io_loop, &lane, claim);
        io_loop.stop();
        carrier.join().expect("drained");
        let source = comes.join().expect("registered");
        source.check().expect_err("the loop has ended");
    });
}
