//! What is learned about a route: whether it keeps blocking its lane.
//!
//! ```text
//!   on its lane --caught twice--> offloaded --50 answers, no slow poll--> on its lane
//! ```
//!
//! Only a poll that really lasted counts as caught, and only for a while: a thread that
//! had bad luck once in ten seconds under full load must never mark a route. A route
//! that goes to and fro needs twice as many fast answers each time before it is tried
//! on a lane again.

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use squall_loop::{Blocked, say};

use super::routing::Offload;

/// So often a route may be caught before it is learned.
const LEARN_AFTER: u32 = 2;
/// So often if it had answered many requests well before.
const LEARN_AFTER_GOOD: u32 = 4;
/// Good requests between two catches that make them unrelated, in nanoseconds and in
/// requests: a route that blocks is caught more often than that.
const MEMORY: u64 = 60_000_000_000;
const MANY_GOOD: u64 = 1_000;
/// So many answers in a row without a slow poll, and the lane is tried again; at first,
/// and at most.
const FORGET_AFTER: u32 = 50;
const FORGET_AFTER_AT_MOST: u32 = 3_200;
/// A route that is learned again so soon after it was forgotten, in nanoseconds, flaps;
/// one that blocked so long ago may well block again.
const LATELY: u64 = 600_000_000_000;
/// A poll that lasts longer would be felt by others on the lane.
const SLOW: Duration = Duration::from_millis(1);
/// A poll that lasts longer is one that blocks, whatever the machine is busy with. In a
/// storm the monitor catches them sooner.
const LASTING: Duration = Duration::from_millis(4);

/// Where a route's handler is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum RunsOn {
    /// On its connection's lane, as long as it does not block.
    Lane,
    /// On the loop's executor: it was caught waiting.
    Executor,
    /// On the executor for computations: it was caught burning CPU.
    Cores,
}

/// What is known about how one route's handlers behave.
pub(crate) struct Learned {
    offload: Offload,
    state: AtomicU8,
    fast_in_a_row: AtomicU32,
    forget_after: AtomicU32,
    polls_blocked: AtomicU64,
    longest_micros: AtomicU64,
    /// The last time that it blocked for long, in nanoseconds of the loop's clock plus
    /// one, 0 for never; and after how many requests.
    blocked_at: AtomicU64,
    blocked_request: AtomicU64,
    /// Polls caught before they had lasted that still are stuck.
    stuck: AtomicI32,
    history: Mutex<History>,
}

/// What only a catch touches.
#[derive(Default)]
struct History {
    waiting: u32,
    on_cpu: u32,
    /// How many catches are enough this time.
    enough: u32,
    /// The last catch: when, and after how many requests of the route.
    last: u64,
    last_request: u64,
    forgotten: Option<u64>,
    /// Polls caught before they had lasted, which do not count yet.
    unsure: u32,
}

/// One catch, or one look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    /// Nanoseconds of the loop's clock.
    pub(crate) now: u64,
    /// The route's requests so far.
    pub(crate) requests: u64,
}

impl Learned {
    pub(crate) fn new(offload: Offload) -> Self {
        let begins = match offload {
            Offload::Always => RunsOn::Executor,
            Offload::Auto | Offload::Never => RunsOn::Lane,
        };
        Self {
            offload,
            state: AtomicU8::new(begins as u8),
            fast_in_a_row: AtomicU32::new(0),
            forget_after: AtomicU32::new(FORGET_AFTER),
            polls_blocked: AtomicU64::new(0),
            longest_micros: AtomicU64::new(0),
            blocked_at: AtomicU64::new(0),
            blocked_request: AtomicU64::new(0),
            stuck: AtomicI32::new(0),
            history: Mutex::default(),
        }
    }

    #[inline]
    pub(crate) fn runs_on(&self) -> RunsOn {
        match self.state.load(Ordering::Relaxed) {
            0 => RunsOn::Lane,
            1 => RunsOn::Executor,
            _ => RunsOn::Cores,
        }
    }

    pub(crate) fn offload(&self) -> Offload {
        self.offload
    }

    /// Whether it runs on an executor because it was learned to block.
    pub(crate) fn is_learned(&self) -> bool {
        self.offload == Offload::Auto && self.runs_on() != RunsOn::Lane
    }

    /// Whether it may well block again: it seems to at this moment, or it did lately and
    /// has not answered many requests since.
    pub(crate) fn blocks(&self, at: At) -> bool {
        // In a storm the threads may be gone before anybody is sure.
        if self.stuck.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let requests = self.blocked_request.load(Ordering::Relaxed);
        (self.blocked_at.load(Ordering::Relaxed))
            .checked_sub(1)
            .is_some_and(|then| at.now.saturating_sub(then) <= LATELY)
            && at.requests.saturating_sub(requests) <= MANY_GOOD
    }

    pub(crate) fn polls_blocked(&self) -> u64 {
        self.polls_blocked.load(Ordering::Relaxed)
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_micros.load(Ordering::Relaxed))
    }

    /// The route was caught blocking its lane. Where that was too soon to be sure:
    /// after how long to [look again](Self::look_again).
    pub(crate) fn caught(&self, label: &str, blocked: &Blocked, at: At) -> Option<Duration> {
        self.polls_blocked.fetch_add(1, Ordering::Relaxed);
        self.lasted(blocked.after);
        if blocked.explicit {
            // It has stepped aside by itself, at once: that costs nobody anything.
            self.remember(at);
            return None;
        }
        let mut history = self.history();
        let left = LASTING.checked_sub(blocked.after);
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            self.stuck.fetch_add(1, Ordering::Relaxed);
            history.unsure += 1;
            return Some(left);
        }
        self.blocked(&mut history, label, blocked, at);
        None
    }

    /// A poll that was caught early would have lasted by now, if it still is stuck.
    ///
    /// Which of several it is does not matter: each of them was a catch.
    pub(crate) fn look_again(&self, label: &str, blocked: &Blocked, at: At) {
        let mut history = self.history();
        if self.stuck.load(Ordering::Relaxed) <= 0 {
            history.unsure = 0;
        } else if history.unsure > 0 {
            history.unsure -= 1;
            self.blocked(&mut history, label, blocked, at);
        }
    }

    /// A poll that was caught is over, after `total`.
    pub(crate) fn released(&self, label: &str, blocked: &Blocked, total: Duration, at: At) {
        self.lasted(total);
        if blocked.explicit || blocked.after >= LASTING {
            return;
        }
        let mut history = self.history();
        self.stuck.fetch_sub(1, Ordering::Relaxed);
        if history.unsure > 0 {
            history.unsure -= 1;
            if total >= LASTING {
                self.blocked(&mut history, label, blocked, at);
            }
        }
    }

    /// A poll has blocked for long: enough of them, and the route is learned.
    fn blocked(&self, history: &mut History, label: &str, blocked: &Blocked, at: At) {
        self.remember(at);
        let good = at.requests.saturating_sub(history.last_request) > MANY_GOOD;
        if history.enough == 0 || good || at.now.saturating_sub(history.last) > MEMORY {
            (history.waiting, history.on_cpu) = (0, 0);
            history.enough = if good { LEARN_AFTER_GOOD } else { LEARN_AFTER };
        }
        (history.last, history.last_request) = (at.now, at.requests);
        if blocked.on_cpu {
            history.on_cpu += 1;
        } else {
            history.waiting += 1;
        }
        let enough = history.on_cpu + history.waiting >= history.enough;
        if !enough || self.offload != Offload::Auto || self.runs_on() != RunsOn::Lane {
            return;
        }
        let burns = history.on_cpu > history.waiting
            || (history.on_cpu == history.waiting && blocked.on_cpu);
        let next = if burns {
            RunsOn::Cores
        } else {
            RunsOn::Executor
        };
        let flaps = (history.forgotten).is_some_and(|then| at.now.saturating_sub(then) <= LATELY);
        let forget_after = if flaps {
            (self.forget_after.load(Ordering::Relaxed) * 2).min(FORGET_AFTER_AT_MOST)
        } else {
            FORGET_AFTER
        };
        self.forget_after.store(forget_after, Ordering::Relaxed);
        self.fast_in_a_row.store(0, Ordering::Relaxed);
        self.state.store(next as u8, Ordering::Relaxed);
        say(|| {
            tracing::warn!(
                target: "squall::web",
                route = label,
                syscall = blocked.syscall.unwrap_or("none"),
                on_cpu = blocked.on_cpu,
                "this route keeps blocking its lane, so it runs on the executor from now on; \
                 use run_on_executor or an async call"
            );
        });
    }

    fn remember(&self, at: At) {
        self.blocked_request.store(at.requests, Ordering::Relaxed);
        (self.blocked_at).store(at.now.saturating_add(1), Ordering::Relaxed);
    }

    fn lasted(&self, poll: Duration) {
        let micros = u64::try_from(poll.as_micros()).unwrap_or(u64::MAX);
        self.longest_micros.fetch_max(micros, Ordering::Relaxed);
    }

    /// A poll on an executor is over. True: it was slow.
    pub(super) fn polled(&self, lasted: Duration) -> bool {
        if lasted >= LASTING {
            self.polls_blocked.fetch_add(1, Ordering::Relaxed);
            self.lasted(lasted);
        }
        lasted >= SLOW
    }

    /// An offloaded handler has answered; `slow` when one of its polls was.
    pub(super) fn answered(&self, label: &str, slow: bool, now: u64) {
        if !self.is_learned() {
            return;
        }
        if slow {
            self.fast_in_a_row.store(0, Ordering::Relaxed);
            return;
        }
        let fast = self.fast_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let enough = self.forget_after.load(Ordering::Relaxed);
        if fast < enough {
            return;
        }
        let mut history = self.history();
        (history.enough, history.forgotten) = (0, Some(now));
        if self.state.swap(RunsOn::Lane as u8, Ordering::Relaxed) != RunsOn::Lane as u8 {
            say(|| {
                tracing::warn!(
                    target: "squall::web",
                    route = label,
                    "this route has not blocked for {enough} answers, so it runs on its lane again; \
                     use run_on_executor or an async call if it may block"
                );
            });
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn blocked(after: u64) -> Blocked {
        Blocked {
            label: String::new(),
            after: Duration::from_millis(after),
            syscall: None,
            on_cpu: false,
            explicit: false,
            thread: 0,
            lane: 0,
        }
    }

    fn at(second: u64, requests: u64) -> At {
        At {
            now: second * SECOND,
            requests,
        }
    }

    fn forget(learned: &Learned, second: u64) -> u32 {
        for answers in 1.. {
            learned.answered("", false, second * SECOND);
            if !learned.is_learned() {
                return answers;
            }
        }
        unreachable!()
    }

    #[test]
    fn two_catches_within_a_minute_are_learned() {
        let learned = Learned::new(Offload::Auto);
        assert_eq!(learned.caught("", &blocked(4), at(1, 1)), None);
        assert!(!learned.is_learned());
        learned.caught("", &blocked(4), at(62, 2));
        assert!(!learned.is_learned(), "the first one is forgotten");
        learned.caught("", &blocked(4), at(120, 3));
        assert!(learned.is_learned());
    }

    #[test]
    fn one_catch_in_a_thousand_requests_is_bad_luck() {
        let learned = Learned::new(Offload::Auto);
        for catch in 0..20 {
            learned.caught("", &blocked(4), at(catch, catch * 2_000));
            assert!(!learned.is_learned());
        }
        // A route that was good for long needs more than two in a row.
        learned.caught("", &blocked(4), at(20, 100_000));
        learned.caught("", &blocked(4), at(20, 100_001));
        learned.caught("", &blocked(4), at(20, 100_001));
        assert!(!learned.is_learned());
        learned.caught("", &blocked(4), at(20, 100_002));
        assert!(learned.is_learned());
    }

    #[test]
    fn a_poll_caught_early_counts_once_it_has_lasted() {
        let learned = Learned::new(Offload::Auto);
        let early = blocked(1);
        let again = learned.caught("", &early, at(1, 1));
        assert_eq!(again, Some(Duration::from_millis(3)));
        assert!(
            learned.blocks(at(1, 1)),
            "it seems to, as long as it is stuck"
        );
        learned.released("", &early, Duration::from_millis(2), at(1, 1));
        learned.look_again("", &early, at(1, 1));
        assert!(!learned.blocks(at(1, 1)), "it was over before");
        learned.caught("", &early, at(1, 2));
        learned.look_again("", &early, at(1, 2));
        learned.released("", &early, Duration::from_secs(1), at(2, 2));
        assert!(learned.blocks(at(1, 2)) && !learned.is_learned());
        assert!(!learned.blocks(at(1, 2_000)), "many good ones since");
        assert!(!learned.blocks(at(1_000, 2)), "long ago");
        learned.caught("", &early, at(2, 3));
        learned.released("", &early, Duration::from_millis(5), at(2, 3));
        learned.look_again("", &early, at(2, 3));
        assert!(learned.is_learned(), "counted by its end");
    }

    #[test]
    fn a_release_that_is_heard_of_before_its_catch_does_not_count() {
        let learned = Learned::new(Offload::Auto);
        for _ in 0..5 {
            learned.released("", &blocked(1), Duration::from_millis(2), at(1, 1));
            learned.caught("", &blocked(1), at(1, 1));
            learned.look_again("", &blocked(1), at(1, 1));
        }
        assert!(!learned.is_learned());
    }

    #[test]
    fn a_route_that_goes_to_and_fro_needs_more_fast_answers_each_time() {
        let learned = Learned::new(Offload::Auto);
        let mut needed = Vec::new();
        for round in 0..8 {
            learned.caught("", &blocked(4), at(round, 1));
            learned.caught("", &blocked(4), at(round, 1));
            needed.push(forget(&learned, round));
        }
        assert_eq!(needed, [50, 100, 200, 400, 800, 1600, 3200, 3200]);
        learned.caught("", &blocked(4), at(1_000, 1));
        learned.caught("", &blocked(4), at(1_000, 1));
        assert_eq!(forget(&learned, 1_000), 50, "that was long ago");
    }

    #[test]
    fn a_policy_outweighs_what_is_seen() {
        let never = Learned::new(Offload::Never);
        for _ in 0..10 {
            never.caught("", &blocked(4), at(1, 1));
        }
        assert_eq!(never.runs_on(), RunsOn::Lane);
        let always = Learned::new(Offload::Always);
        for _ in 0..10_000 {
            always.answered("", false, 0);
        }
        assert_eq!(always.runs_on(), RunsOn::Executor);
        assert!(!always.is_learned());
    }
}
