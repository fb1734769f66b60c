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
//!
//! A driver becomes idle, then looks whether the server drains; who drains says so, then
//! closes what is idle. The fences between the two are sequentially consistent, so at
//! least one of them sees the other.

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

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

fn phase(word: u64) -> u64 {
    word & (ARMED - 1)
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

    pub(super) fn is(&self, expected: Phase) -> bool {
        phase(self.0.load(Ordering::Acquire)) == expected as u64
    }

    /// Whether nobody waits for this exchange's answer any more.
    pub(super) fn is_over(&self, number: u64) -> bool {
        let now = self.0.load(Ordering::Acquire);
        now >> 8 != number || phase(now) >= Phase::Taken as u64
    }

    /// The driver waits for the next request; what it looks at next is seen after that.
    pub(super) fn idle(&self) {
        (self.0).store(word(self.number(), Phase::Idle), Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// The driver has something to read. False: the connection was closed meanwhile.
    pub(super) fn leave_idle(&self) -> bool {
        let number = self.number();
        self.switch(word(number, Phase::Idle), word(number, Phase::Reading))
    }

    /// Closes an idle connection, from outside. False: it is not idle, and its driver
    /// sees whatever the caller has said before.
    pub(super) fn close_if_idle(&self) -> bool {
        fence(Ordering::SeqCst);
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
        (self.0).store(word(self.number(), Phase::Closed), Ordering::Release);
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
        assert!(turn.is_over(first) && !turn.is_over(second));
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

    /// A connection that becomes idle while the server begins to drain is closed, or its
    /// driver sees that the server drains.
    ///
    /// Catches: an `idle` or a `close_if_idle` without its fence.
    #[test]
    fn nobody_stays_idle_in_a_shutdown() {
        loom::model(|| {
            let turn = Arc::new(Turn::new());
            let draining = Arc::new(AtomicU64::new(0));
            assert!(turn.leave_idle());
            let number = turn.begin();
            assert_eq!(turn.answered(number), Some(false));
            let shutdown = thread::spawn({
                let (turn, draining) = (turn.clone(), draining.clone());
                move || {
                    draining.store(1, Ordering::Relaxed);
                    turn.close_if_idle()
                }
            });
            turn.idle();
            let seen = draining.load(Ordering::Relaxed) == 1;
            let closed = shutdown.join().expect("the shutdown");
            assert!(seen || closed);
        });
    }

    /// Whoever waits for the end of an exchange hears of it, whichever end that is.
    ///
    /// Catches: a `close` or a `take` that leaves the phase as it is; an `is_over` that
    /// does not know it.
    #[test]
    fn who_waits_for_the_end_hears_of_it() {
        type End = fn(&Turn, u64);
        let ends: [End; 2] = [
            |turn, _| turn.close(),
            |turn, number| assert!(turn.take(number)),
        ];
        for end in ends {
            loom::model(move || {
                let turn = Arc::new(Turn::new());
                let waiting = Arc::new(Mutex::new(false));
                assert!(turn.leave_idle());
                let number = turn.begin();
                assert!(turn.arm(number) && !turn.is_over(number));
                let ender = thread::spawn({
                    let (turn, waiting) = (turn.clone(), waiting.clone());
                    move || {
                        end(&turn, number);
                        std::mem::take(&mut *waiting.lock().expect("no panic"))
                    }
                });
                let mut waits = waiting.lock().expect("no panic");
                let over = turn.is_over(number);
                *waits = !over;
                drop(waits);
                let woken = ender.join().expect("the end");
                assert!(over || woken);
            });
        }
    }

    /// Who arms the deadline of an exchange sees what the exchange began with.
    ///
    /// Catches: a relaxed `begin`; an `arm` that does not acquire.
    #[test]
    fn the_deadline_sees_how_the_exchange_began() {
        loom::model(|| {
            let turn = Arc::new(Turn::new());
            let limit = Arc::new(AtomicU64::new(0));
            assert!(turn.leave_idle());
            let monitor = thread::spawn({
                let (turn, limit) = (turn.clone(), limit.clone());
                move || {
                    if turn.arm(1) {
                        assert_eq!(limit.load(Ordering::Relaxed), 1);
                    }
                }
            });
            limit.store(1, Ordering::Relaxed);
            assert_eq!(turn.begin(), 1);
            monitor.join().expect("the monitor");
        });
    }
}
