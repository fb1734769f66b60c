//! Who drives a lane: one atomic word, and the protocol around it.
//!
//! The word holds a generation, a poll counter and the in-poll bit:
//!
//! ```text
//!   63            40 39                 1   0
//!  +----------------+--------------------+---+
//!  |   generation   |    poll counter    | P |
//!  +----------------+--------------------+---+
//!
//!            enter: store                 leave: compare-exchange
//!   idle(g,n) ----------> polling(g,n+1) ---------------------> idle(g,n+1)
//!                              |
//!                              | take: compare-exchange (monitor)
//!                              v
//!                         idle(g+1,0)      the old carrier's `leave` fails
//! ```
//!
//! The carrier stores before a poll and compare-exchanges after it. The monitor
//! only ever compare-exchanges a word whose in-poll bit is set, so between polls
//! nobody can take the lane and the carrier's plain store is safe. The generation
//! makes an old carrier's word differ from every later one. No clock is read.

use crate::atomics::{AtomicU64, Ordering};

const IN_POLL: u64 = 1;
const GENERATION_SHIFT: u32 = 40;
const COUNTER_MASK: u64 = (1 << GENERATION_SHIFT) - 2;

/// The ownership word of one lane.
#[derive(Debug)]
pub(crate) struct Ownership(AtomicU64);

/// The right to drive a lane, until the monitor takes it away.
///
/// Holds the carrier's copy of the word, in-poll bit clear.
#[derive(Debug)]
pub(crate) struct Claim(u64);

/// A word as the monitor saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(u64);

impl Seen {
    /// Whether the carrier was inside a poll.
    pub(crate) fn in_poll(self) -> bool {
        self.0 & IN_POLL != 0
    }

    /// How often the word had been taken away.
    pub(crate) fn generation(self) -> u32 {
        generation(self.0)
    }

    /// How many polls this carrier's generation has begun.
    pub(crate) fn polls(self) -> u64 {
        (self.0 & COUNTER_MASK) >> 1
    }
}

impl Claim {
    /// The generation under which this claim holds.
    pub(crate) fn generation(&self) -> u32 {
        generation(self.0)
    }
}

fn generation(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}

impl Ownership {
    /// A word nobody polls under, and the claim of its first carrier.
    pub(crate) fn new() -> (Self, Claim) {
        (Self(AtomicU64::new(0)), Claim(0))
    }

    /// The claim of a thread that is alone at this word, whatever became of its
    /// earlier claim.
    pub(crate) fn resume(&self) -> Claim {
        Claim(self.0.load(Ordering::Acquire) & !IN_POLL)
    }

    /// The carrier is about to poll.
    #[inline]
    pub(crate) fn enter(&self, claim: &mut Claim) {
        let counter = claim.0.wrapping_add(2) & COUNTER_MASK;
        claim.0 = (claim.0 & !COUNTER_MASK) | counter;
        self.0.store(claim.0 | IN_POLL, Ordering::Release);
    }

    /// The poll is over. False: the lane was handed over meanwhile.
    #[inline]
    #[must_use]
    pub(crate) fn leave(&self, claim: &Claim) -> bool {
        self.0
            .compare_exchange(
                claim.0 | IN_POLL,
                claim.0,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }

    /// What the monitor sees now.
    pub(crate) fn observe(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Takes the lane from a carrier that is still in the poll that was seen.
    pub(crate) fn take(&self, seen: Seen) -> Option<Claim> {
        if !seen.in_poll() {
            return None;
        }
        let generation = (seen.0 >> GENERATION_SHIFT).wrapping_add(1);
        let next = generation << GENERATION_SHIFT;
        self.0
            .compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Acquire)
            .ok()
            .map(|_| Claim(next))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_undisturbed_poll_keeps_the_lane() {
        let (word, mut claim) = Ownership::new();
        word.enter(&mut claim);
        assert!(word.observe().in_poll());
        assert_eq!(word.observe().polls(), 1);
        assert!(word.leave(&claim));
        assert!(!word.observe().in_poll());
    }

    #[test]
    fn a_lane_is_taken_only_from_inside_the_poll_that_was_seen() {
        let (word, mut claim) = Ownership::new();
        assert!(word.take(word.observe()).is_none(), "not in a poll");
        word.enter(&mut claim);
        let seen = word.observe();
        assert!(word.leave(&claim));
        word.enter(&mut claim);
        assert!(word.take(seen).is_none(), "a later poll");
        let mut next = word.take(word.observe()).expect("stuck");
        assert!(!word.leave(&claim), "the old carrier has lost the lane");
        word.enter(&mut next);
        assert!(!word.leave(&claim));
        assert!(word.leave(&next));
    }

    #[test]
    fn the_counter_wraps_inside_its_generation() {
        let (word, mut claim) = Ownership::new();
        claim.0 = (7 << GENERATION_SHIFT) | COUNTER_MASK;
        word.enter(&mut claim);
        assert_eq!(word.observe().polls(), 0);
        assert_eq!(claim.0 >> GENERATION_SHIFT, 7);
        assert!(word.leave(&claim));
    }
}
