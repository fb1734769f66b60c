//! One question at a time to a thread that may answer late, or never.
//!
//! The word holds the thread that was asked and how far it is:
//!
//! ```text
//!            begin                accept               finish
//!   idle -----------> asked(t) -----------> writing(t) ----------> done(t)
//!    ^                  |                                             |
//!    +---- withdraw ----+                                             |
//!    +------------------------------ end -----------------------------+
//! ```
//!
//! Only the thread that was asked can accept, by one compare-exchange of the very
//! word that names it. So an answer to a question that was withdrawn writes nothing,
//! whoever is asked by then. An answer that is late while it writes keeps the slot
//! to itself: nobody is asked until it is done.

use crate::atomics::{AtomicU64, Ordering};

const IDLE: u64 = 0;
const ASKED: u64 = 1;
const WRITING: u64 = 2;
const DONE: u64 = 3;
const STATE_BITS: u32 = 2;
const STATE: u64 = (1 << STATE_BITS) - 1;

/// The word between one asker (others wait for their turn) and any thread.
#[derive(Debug)]
pub(super) struct Request(AtomicU64);

fn word(thread: u64, state: u64) -> u64 {
    (thread << STATE_BITS) | state
}

impl Request {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(IDLE))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(IDLE))
    }

    /// The asker begins. False: a late answer is still being written.
    pub(super) fn begin(&self, thread: u64) -> bool {
        if self.0.load(Ordering::Acquire) & STATE == WRITING {
            return false;
        }
        // Nobody else leaves idle or done, so a store is enough. It hands the slot,
        // with whatever was written to it before, to the thread that accepts.
        self.0.store(word(thread, ASKED), Ordering::Release);
        true
    }

    /// The thread takes the question. True: the slot is its own until `finish`.
    pub(super) fn accept(&self, thread: u64) -> bool {
        self.0
            .compare_exchange(
                word(thread, ASKED),
                word(thread, WRITING),
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// The thread has written its answer.
    pub(super) fn finish(&self, thread: u64) {
        self.0.store(word(thread, DONE), Ordering::Release);
    }

    /// Whether the answer is there. True: the slot is the asker's until `end`.
    pub(super) fn is_done(&self, thread: u64) -> bool {
        self.0.load(Ordering::Acquire) == word(thread, DONE)
    }

    /// The asker waits no longer. False: the thread has accepted meanwhile.
    pub(super) fn withdraw(&self, thread: u64) -> bool {
        self.0
            .compare_exchange(
                word(thread, ASKED),
                IDLE,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// The asker has read the answer.
    pub(super) fn end(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_is_asked_answers() {
        let request = Request::new();
        assert!(!request.accept(7), "nobody asked");
        assert!(request.begin(7));
        assert!(!request.accept(8), "another thread was asked");
        assert!(request.accept(7));
        assert!(!request.is_done(7));
        request.finish(7);
        assert!(request.is_done(7));
        request.end();
        assert!(!request.accept(7), "one question, one answer");
    }

    #[test]
    fn a_late_answer_keeps_the_slot_until_it_is_written() {
        let request = Request::new();
        assert!(request.begin(7));
        assert!(request.accept(7));
        assert!(!request.withdraw(7));
        assert!(!request.begin(8));
        request.finish(7);
        assert!(request.begin(8), "its answer is nobody's");
        assert!(request.withdraw(8));
        assert!(!request.accept(8), "nobody waits for it");
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test -p squall-loop --lib --release models`.
#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    struct Slot {
        request: Request,
        answer: UnsafeCell<u64>,
    }

    fn answer(slot: &Slot, thread: u64) {
        if slot.request.accept(thread) {
            // SAFETY: what loom checks: nobody else touches the cell meanwhile.
            #[allow(unsafe_code)]
            slot.answer.with_mut(|answer| unsafe { *answer = thread });
            slot.request.finish(thread);
        }
    }

    /// Asks a thread, looks once, and gives up.
    fn ask(slot: &Slot, thread: u64) -> Option<u64> {
        if !slot.request.begin(thread) {
            return None;
        }
        if !slot.request.is_done(thread) {
            if slot.request.withdraw(thread) {
                return None;
            }
            if !slot.request.is_done(thread) {
                return None;
            }
        }
        // SAFETY: as above.
        #[allow(unsafe_code)]
        let answer = slot.answer.with(|answer| unsafe { *answer });
        slot.request.end();
        Some(answer)
    }

    /// Two threads are asked one after the other and answer at any time: no answer
    /// is torn, and none is taken for the other's.
    #[test]
    fn a_late_answer_harms_nobody() {
        loom::model(|| {
            let slot = Arc::new(Slot {
                request: Request::new(),
                answer: UnsafeCell::new(0),
            });
            let threads: Vec<_> = [1, 2]
                .map(|id| {
                    let slot = slot.clone();
                    thread::spawn(move || answer(&slot, id))
                })
                .into();
            for id in [1, 2, 1] {
                if let Some(answer) = ask(&slot, id) {
                    assert_eq!(answer, id);
                }
            }
            for thread in threads {
                thread.join().expect("answered");
            }
        });
    }
}
