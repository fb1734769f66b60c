//! Waking a lane from other threads: against the carrier that falls asleep.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::{check, clock, lane, task};
use crate::carrier;
use crate::vigil::Vigil;

/// Every task that is brought runs, whatever the carrier is about to do.
///
/// Catches: `about_to_sleep` after the look at the queue; `rouse` before the push;
/// `awake` before the wait; a cleared flag without a wake.
#[test]
fn no_wake_is_lost() {
    every_task_runs(true, false);
}

/// The same on a lane without a socket, whose carrier parks.
///
/// Catches: a `park` that does not look whether it was roused; a `rouse` that takes a
/// parked carrier for one in the reactor.
#[test]
fn no_wake_of_a_parked_carrier_is_lost() {
    every_task_runs(false, false);
}

/// The same with a carrier that stays up before it sleeps, in the reactor or parked.
///
/// Catches: a vigil whose end does not look whether the carrier was roused; a wait that
/// sleeps although it was.
#[test]
fn no_wake_of_a_carrier_that_stays_up_is_lost() {
    every_task_runs(true, true);
    every_task_runs(false, true);
}

fn every_task_runs(sockets: bool, stays_up: bool) {
    check(4, move || {
        let (lane, _gate) = lane();
        lane.reactor.set_sockets(sockets);
        let mut fates = Vec::new();
        let mut threads = Vec::new();
        for _ in 0..2 {
            let (runnable, fate) = task(&lane, true);
            fates.push(fate);
            threads.push(thread::spawn(move || runnable.schedule()));
        }
        let clock = clock();
        let mut run = 0;
        while run < fates.len() {
            while let Some(runnable) = lane.queue.pop() {
                runnable.run();
                run += 1;
            }
            if run < fates.len() {
                let mut vigil = Vigil::default();
                vigil.woke(stays_up);
                carrier::wait(&clock, &lane, &mut vigil, &mut Vec::new(), &mut Vec::new());
            }
        }
        for thread in threads {
            thread.join().expect("brought");
        }
        for fate in fates {
            assert_eq!((fate.polls(), fate.drops()), (1, 1));
        }
    });
}

/// What arrives at a socket that comes to a lane whose carrier parks is heard.
///
/// Catches: a registration that does not rouse, or does so before the socket counts; a
/// carrier that looks for sockets before it says that it is about to sleep.
#[test]
fn the_first_socket_ends_the_parking() {
    check(5, || {
        let (lane, _gate) = lane();
        lane.reactor.set_sockets(false);
        let arrived = Arc::new(AtomicBool::new(false));
        let comes = thread::spawn({
            let (lane, arrived) = (lane.clone(), arrived.clone());
            move || {
                lane.reactor.set_sockets(true);
                lane.rouse();
                // The network rings in the reactor alone.
                arrived.store(true, Ordering::Release);
                lane.reactor.wake();
            }
        });
        let clock = clock();
        while !arrived.load(Ordering::Acquire) {
            carrier::wait(
                &clock,
                &lane,
                &mut Vigil::default(),
                &mut Vec::new(),
                &mut Vec::new(),
            );
        }
        comes.join().expect("came");
    });
}
