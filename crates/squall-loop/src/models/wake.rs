//! Waking a lane from other threads: against the carrier that falls asleep.

use loom::thread;

use super::{check, clock, lane, task};
use crate::carrier;

/// Every task that is brought runs, whatever the carrier is about to do.
///
/// Catches: `about_to_sleep` after the look at the queue; `rouse` before the push;
/// `awake` before the wait; a cleared flag without a wake.
#[test]
fn no_wake_is_lost() {
    check(4, || {
        let (lane, _gate) = lane();
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
                carrier::wait(&clock, &lane, &mut Vec::new(), &mut Vec::new());
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
