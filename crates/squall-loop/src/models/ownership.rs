//! The ownership word: a hand-over against the end of the poll that it rescues.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::check;
use crate::handoff::Ownership;

/// However a hand-over falls, exactly one thread drives the lane after it.
///
/// Catches: `leave` as a plain store; `take` without its check of the in-poll bit;
/// a hand-over that keeps the generation.
#[test]
fn one_driver_after_a_handover() {
    check(5, || {
        let (word, mut claim) = Ownership::new();
        let word = Arc::new(word);
        // Counts the threads that believe they own the lane between polls.
        let drivers = Arc::new(AtomicUsize::new(0));
        let carrier = thread::spawn({
            let (word, drivers) = (word.clone(), drivers.clone());
            move || {
                for _ in 0..2 {
                    word.enter(&mut claim);
                    if !word.leave(&claim) {
                        return;
                    }
                    assert_eq!(drivers.fetch_add(1, Ordering::SeqCst), 0);
                    drivers.fetch_sub(1, Ordering::SeqCst);
                }
            }
        });
        let seen = word.observe();
        if let Some(mut claim) = word.take(seen) {
            assert_eq!(drivers.fetch_add(1, Ordering::SeqCst), 0);
            drivers.fetch_sub(1, Ordering::SeqCst);
            word.enter(&mut claim);
            assert!(word.leave(&claim), "nobody else may take it back");
        }
        carrier.join().expect("carrier");
    });
}

/// What the old carrier wrote before its poll is seen by the next one, which needs
/// no lock for what only the lane's driver touches.
///
/// Catches: `enter` with a relaxed store; `take` and `observe` that do not acquire.
#[test]
fn the_next_carrier_sees_what_the_old_one_did() {
    check(5, || {
        let (word, mut claim) = Ownership::new();
        let shared = Arc::new((word, loom::cell::UnsafeCell::new(0)));
        let carrier = thread::spawn({
            let shared = shared.clone();
            move || {
                let (word, cell) = &*shared;
                for _ in 0..2 {
                    cell.with_mut(|_| ());
                    word.enter(&mut claim);
                    if !word.leave(&claim) {
                        return;
                    }
                }
                cell.with_mut(|_| ());
            }
        });
        let (word, cell) = &*shared;
        if word.take(word.observe()).is_some() {
            cell.with_mut(|_| ());
        }
        carrier.join().expect("carrier");
    });
}
