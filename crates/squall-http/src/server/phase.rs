//! Who owns the answer of an exchange: one atomic word, and the protocol around it.
//!
//! The word holds the number of the exchange, a bit that says that its deadline is
//! armed, and its phase:
//!
//! ```text
//!   Idle -> Reading -> Handling --(driver: the handler has answered)--> Writing -> Idle
//!     |                   |
//!     |                   `-----(deadline: it has not)--> Taken -> Closed
//!     `--(shutdown, or a new connection's place)--> Closing -> Closed
//! ```
//!
//! Out of `Handling` and `Idle` more than one may want to lead: they compare-exchange,
//! and one of them does. Everything else is the driver's, which just stores.

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a connection is in the life of its current exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Idle,
    Reading,
    Handling,
    Writing,
    Taken,
    /// Closed from outside; its driver has not seen it yet.
    Closing,
    Closed,
}

/// Somebody has armed the exchange's deadline; only in `Handling`.
const ARMED: u64 = 0x80;

/// A connection's word.
#[derive(Debug)]
pub(super) struct Turn(AtomicU64);

fn word(number: u64, phase: Phase) -> u64 {
    number << 8 | phase as u64
}

impl Turn {
    /// Before the first exchange.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(word(0, Phase::Idle)))
    }

    /// How many exchanges have begun.
    pub(super) fn number(&self) -> u64 {
        self.0.load(Ordering::Acquire) >> 8
    }

    fn phase(&self) -> u64 {
        self.0.load(Ordering::Acquire) & 0x7f
    }

    pub(super) fn is(&self, phase: Phase) -> bool {
        self.phase() == phase as u64
    }

    /// Whether nobody waits for this exchange's answer any more.
    pub(super) fn is_over(&self, number: u64) -> bool {
        self.number() != number || self.phase() >= Phase::Taken as u64
    }

    /// The driver waits for the next request.
    pub(super) fn idle(&self) {
        (self.0).store(word(self.number(), Phase::Idle), Ordering::SeqCst);
    }

    /// The driver has something to read. False: the connection was closed meanwhile.
    pub(super) fn leave_idle(&self) -> bool {
        let number = self.number();
        self.switch(word(number, Phase::Idle), word(number, Phase::Reading))
    }

    /// Closes an idle connection, from outside. False: it is not idle.
    pub(super) fn close_if_idle(&self) -> bool {
        let number = self.number();
        self.switch(word(number, Phase::Idle), word(number, Phase::Closing))
    }

    /// The driver gives the next exchange to its handler. Returns its number.
    pub(super) fn begin(&self) -> u64 {
        let number = self.number() + 1;
        (self.0).store(word(number, Phase::Handling), Ordering::Release);
        number
    }

    /// The exchange's deadline is being armed, by anybody. False: it needs none any
    /// more.
    pub(super) fn arm(&self, number: u64) -> bool {
        let handling = word(number, Phase::Handling);
        let before = (self.0).compare_exchange(
            handling,
            handling | ARMED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        before.is_ok() || before == Err(handling | ARMED)
    }

    /// The handler has answered; the flag says that a deadline was armed meanwhile and
    /// must be forgotten. None: the deadline has answered before.
    pub(super) fn answered(&self, number: u64) -> Option<bool> {
        let handling = word(number, Phase::Handling);
        let writing = word(number, Phase::Writing);
        if self.switch(handling, writing) {
            return Some(false);
        }
        self.switch(handling | ARMED, writing).then_some(true)
    }

    /// The deadline answers. False: the handler has, or the exchange is over.
    pub(super) fn take(&self, number: u64) -> bool {
        let armed = word(number, Phase::Handling) | ARMED;
        self.switch(armed, word(number, Phase::Taken))
    }

    /// The driver has closed the connection.
    pub(super) fn close(&self) {
        (self.0).store(word(self.number(), Phase::Closed), Ordering::SeqCst);
    }

    fn switch(&self, from: u64, to: u64) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_handlers_or_the_deadlines() {
        let turn = Turn::new();
        turn.idle();
        assert!(turn.leave_idle());
        let first = turn.begin();
        assert_eq!(turn.answered(first), Some(false));
        assert!(!turn.arm(first), "too late to need a deadline");
        assert!(!turn.take(first));
        turn.idle();
        assert!(turn.leave_idle());
        let second = turn.begin();
        assert!(
            turn.arm(second) && turn.arm(second),
            "by two, to be armed once"
        );
        assert!(turn.is(Phase::Handling));
        assert!(!turn.take(first), "another exchange's deadline");
        assert!(turn.take(second));
        assert_eq!(turn.answered(second), None);
        assert!(turn.is_over(second));
    }

    #[test]
    fn only_an_idle_connection_is_closed_from_outside() {
        let turn = Turn::new();
        assert!(turn.leave_idle());
        assert!(!turn.close_if_idle());
        turn.idle();
        assert!(turn.close_if_idle());
        assert!(!turn.close_if_idle(), "once");
        assert!(!turn.leave_idle());
        assert!(!turn.is(Phase::Closed), "its driver has to see it");
        turn.close();
        assert!(turn.is(Phase::Closed));
    }
}

/// Each race in every interleaving. Run with the models of the loop.
#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    /// One exchange has one answer, whoever is fastest; the next is left alone.
    ///
    /// Catches: `answered` or `take` as a look and a store; a `take` that does not
    /// compare the number.
    #[test]
    fn one_answer() {
        loom::model(|| {
            let turn = Arc::new(Turn::new());
            assert!(turn.leave_idle());
            let number = turn.begin();
            assert!(turn.arm(number));
            let deadline = thread::spawn({
                let turn = turn.clone();
                move || turn.take(number)
            });
            let ours = turn.answered(number).is_some();
            if ours {
                turn.idle();
                assert!(turn.leave_idle());
                let next = turn.begin();
                assert!(turn.arm(next));
                assert_eq!(turn.answered(next), Some(true), "nobody takes the next");
            }
            let theirs = deadline.join().expect("the deadline");
            assert!(ours != theirs, "one answer");
        });
    }

    /// A deadline that the monitor has armed for a stuck handler does not stay when
    /// the handler answers after all.
    ///
    /// Catches: an `answered` that does not tell of the bit; an `arm` after the end.
    #[test]
    fn no_deadline_stays() {
        loom::model(|| {
            let turn = Arc::new(Turn::new());
            let slot = Arc::new(Mutex::new(None));
            assert!(turn.leave_idle());
            let number = turn.begin();
            let monitor = thread::spawn({
                let (turn, slot) = (turn.clone(), slot.clone());
                move || {
                    let mut slot = slot.lock().expect("no panic");
                    if turn.arm(number) {
                        *slot = Some(number);
                    }
                }
            });
            if turn.answered(number) == Some(true) {
                slot.lock().expect("no panic").take();
            }
            monitor.join().expect("the monitor");
            assert_eq!(*slot.lock().expect("no panic"), None);
        });
    }

    /// A connection that leaves idleness is not closed by the shutdown, and the other
    /// way round.
    ///
    /// Catches: `leave_idle` or `close_if_idle` as a look and a store.
    #[test]
    fn closed_or_in_use() {
        loom::model(|| {
            let turn = Arc::new(Turn::new());
            turn.idle();
            let shutdown = thread::spawn({
                let turn = turn.clone();
                move || turn.close_if_idle()
            });
            let used = turn.leave_idle();
            let closed = shutdown.join().expect("the shutdown");
            assert!(used != closed);
        });
    }
}
