//! The list of stuck polls: a hand-over against the return of the late carrier.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use loom::thread;

use super::{check, thread_id};
use crate::handoff::Ownership;
use crate::stuck::{Stuck, StuckList};
use crate::suspect::Caught;
use crate::watch::{Blocked, Watch};

#[derive(Default)]
struct Owner(AtomicUsize);

impl Watch for Owner {
    fn label(&self) -> String {
        String::new()
    }

    fn caught(&self, _: &Blocked) {}

    fn released(&self, _: &Blocked, _: Duration) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whoever was told of a stuck poll is told of its end, once; no entry stays.
///
/// Catches: an entry that is made after the lane was taken, or whether it was or not.
#[test]
fn a_late_carrier_finds_its_entry() {
    check(5, || {
        let (word, mut claim) = Ownership::new();
        let word = Arc::new(word);
        let list = Arc::new(StuckList::default());
        let owner = Arc::new(Owner::default());
        let thread = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let carrier = thread::spawn({
            let (word, list, thread) = (word.clone(), list.clone(), thread.clone());
            move || {
                thread.store(thread_id(), Ordering::Relaxed);
                for _ in 0..2 {
                    word.enter(&mut claim);
                    if !word.leave(&claim) {
                        return list.released();
                    }
                }
            }
        });
        let seen = word.observe();
        let caught = Caught {
            seen,
            thread: thread.load(Ordering::Relaxed),
            since: Instant::now(),
            after: Duration::ZERO,
            syscall: None,
            on_cpu: false,
            explicit: false,
        };
        let entry = Stuck::new(&caught, 0, Some(owner.clone()));
        let taken = list.enter(entry, || word.take(seen)).is_some();
        carrier.join().expect("back");
        assert_eq!(owner.0.load(Ordering::Relaxed), usize::from(taken));
        assert!(list.blocked_now().is_empty());
    });
}
