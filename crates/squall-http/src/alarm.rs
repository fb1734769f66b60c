//! One timer for all waits of a connection, and a limit on one wait.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use squall_loop::time::coarse_nanos;
use squall_loop::{IoLoop, Sleep, sleep_until};

/// One timer, moved only when it must be.
///
/// A wait that ends in time costs no timer operation: the armed timer may fire early,
/// sees that the limit has moved on, and is armed anew.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    armed: Option<(u64, Sleep)>,
    roams: bool,
}

impl Alarm {
    /// One that may be polled by a task today and by another tomorrow.
    pub(crate) fn roaming() -> Self {
        Self {
            armed: None,
            roams: true,
        }
    }

    /// Ready at `due`, on the loop's clock, where it is `now`.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now: u64, due: u64) -> Poll<()> {
        if now >= due {
            return Poll::Ready(());
        }
        if let Some((armed, sleep)) = &mut self.armed
            && now < *armed
            && *armed <= due
        {
            // It will wake this task, early or in time, unless it has fired for another.
            if !self.roams || Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        let when = IoLoop::current().instant_of(due);
        let (armed, sleep) = self.armed.get_or_insert_with(|| (0, sleep_until(when)));
        *armed = due;
        sleep.reset(when);
        Pin::new(sleep).poll(cx)
    }
}

/// A fixed limit on one wait.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    /// When the current wait must end; 0: it has not begun.
    due: u64,
}

impl Deadline {
    /// The wait is over; the next one begins a new limit.
    pub(crate) fn forget(&mut self) {
        self.due = 0;
    }

    /// Ready when this wait has lasted `limit`.
    pub(crate) fn poll(
        &mut self,
        alarm: &mut Alarm,
        cx: &mut Context<'_>,
        limit: Duration,
    ) -> Poll<()> {
        let now = coarse_nanos();
        if self.due == 0 {
            self.due = now.saturating_add(nanos(limit)).max(1);
        }
        alarm.poll(cx, now, self.due)
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
