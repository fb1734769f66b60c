//! The deadline of what is being polled on this thread.
//!
//! A server sets it around each poll of a handler ([`DeadlineScope`]); whatever the
//! handler awaits may read it, such as a client that gives up in time. It belongs to
//! the poll, not to the thread and not to a task: a task that is spawned meanwhile
//! does not inherit it, and neither does a function on an executor.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::carrier::Context;

/// No deadline: later than any that a clock reaches.
const NONE: u64 = u64::MAX;

thread_local! {
    static DEADLINE: Cell<u64> = const { Cell::new(NONE) };
}

/// What this thread polls has a deadline, while this lives.
///
/// Scopes nest: dropping one brings the outer one's deadline back. A poll that blocks
/// and loses its lane keeps its own, because it stays on its thread.
///
/// ```
/// use std::time::Duration;
/// use squall_loop::{DeadlineScope, IoLoop, remaining, time};
///
/// let io_loop = IoLoop::builder().lanes(1).build()?;
/// io_loop.run(async {
///     assert_eq!(remaining(), None);
///     let second = time::coarse_nanos() + 1_000_000_000;
///     let scope = DeadlineScope::enter(second);
///     assert!(remaining().is_some_and(|left| left <= Duration::from_secs(1)));
///     drop(scope);
///     assert_eq!(remaining(), None);
/// })?;
/// io_loop.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the scope ends when this is dropped"]
pub struct DeadlineScope {
    outer: u64,
    /// It must be dropped on the thread it was made on.
    thread: PhantomData<*const ()>,
}

impl DeadlineScope {
    /// Sets the deadline, in nanoseconds of the loop's clock
    /// ([`time::coarse_nanos`](crate::time::coarse_nanos)).
    #[inline]
    pub fn enter(nanos: u64) -> Self {
        Self {
            outer: DEADLINE.replace(nanos),
            thread: PhantomData,
        }
    }

    /// What is being polled on this thread gets another deadline, if it is the one that
    /// has `old`. Its scope goes on, and ends as before.
    pub fn moved(old: u64, new: u64) {
        if DEADLINE.get() == old {
            DEADLINE.set(new);
        }
    }
}

impl Drop for DeadlineScope {
    #[inline]
    fn drop(&mut self) {
        DEADLINE.set(self.outer);
    }
}

/// When the work that is being polled must have ended, on the loop's clock; `None`
/// where it has no deadline.
///
/// Inside of a handler this is the deadline of its answer. A spawned task and a function
/// on an executor have none.
pub fn deadline() -> Option<Instant> {
    let nanos = DEADLINE.get();
    if nanos == NONE {
        return None;
    }
    let start = Context::with(|shared, _| shared.clock.start())?;
    start.checked_add(Duration::from_nanos(nanos))
}

/// How much time the work that is being polled has left; zero once the
/// [`deadline`] has passed, `None` where there is none.
pub fn remaining() -> Option<Duration> {
    let deadline = deadline()?;
    let now = Context::with(|shared, _| shared.clock.instant())?;
    Some(deadline.saturating_duration_since(now))
}

/// The same as of when this lane last looked at its sockets
/// ([`coarse_nanos`](crate::time::coarse_nanos)), which costs no look at a clock.
pub fn coarse_remaining() -> Option<Duration> {
    let due = Some(DEADLINE.get()).filter(|due| *due != NONE)?;
    let now = Context::with(|_, lane| lane.coarse_now.load(Ordering::Relaxed))?;
    Some(Duration::from_nanos(due.saturating_sub(now)))
}
