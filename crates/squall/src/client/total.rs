//! `Total`: how long a whole fetch may take, and who says so.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use squall_http::client::SpareAlarm;
use squall_loop::time::now;
use squall_loop::{IoLoop, deadline, remaining};

use super::error::Cause;
use super::request::HttpRequest;

const REQUEST_TIMEOUT: &str = "request_timeout";
const HANDLERS_DEADLINE: &str = "the handler's deadline";
/// What a fetch leaves of its handler's deadline: a tenth, and at most this.
const ANSWER_TIME: Duration = Duration::from_millis(100);

/// The limit on a whole fetch.
pub(super) struct Total {
    limit: Duration,
    setting: &'static str,
    begun: Instant,
    /// The request's own limit.
    own: Option<Duration>,
    /// The deadline of the handler, if that is what rules.
    inherited: Option<Instant>,
}

impl Total {
    /// The request's own limit, or what the deadline of the handler leaves if that is
    /// less.
    pub(super) fn of(request: &HttpRequest, default: Duration, begun: Instant) -> Option<Self> {
        let own = request.request_timeout.unwrap_or(default);
        let own = Some(own).filter(|limit| !limit.is_zero());
        let left = (remaining().filter(|_| request.inherit_deadline))
            .map(|left| (leave_time_to_answer(left), HANDLERS_DEADLINE));
        let (limit, setting) = (own.into_iter())
            .map(|own| (own, REQUEST_TIMEOUT))
            .chain(left)
            .min_by_key(|(limit, _)| *limit)?;
        begun.checked_add(limit)?;
        Some(Self {
            limit,
            setting,
            begun,
            own,
            inherited: deadline().filter(|_| setting == HANDLERS_DEADLINE),
        })
    }

    /// Whether there is more time after all: a handler's deadline moves with each piece of
    /// its request's body.
    fn has_moved(&mut self) -> bool {
        let later = |before: Instant| deadline().filter(|due| *due > before);
        let Some(due) = self.inherited.and_then(later) else {
            return false;
        };
        let (now, begun) = (now(), self.begun);
        let left = leave_time_to_answer(due.saturating_duration_since(now));
        let limit = now.saturating_duration_since(begun) + left;
        (self.limit, self.setting, self.inherited) = match self.own.filter(|own| *own < limit) {
            Some(own) => (own, REQUEST_TIMEOUT, None),
            None => (limit, HANDLERS_DEADLINE, Some(due)),
        };
        true
    }

    /// Awaits, but not beyond the limit.
    pub(super) async fn bound<T>(
        &mut self,
        future: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, Cause> {
        let mut future = pin!(future);
        let mut alarm = None;
        let mut due = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            loop {
                let alarm: &mut SpareAlarm = alarm.get_or_insert_default();
                ready!(alarm.poll(cx, *due.get_or_insert_with(|| self.due())));
                if !self.has_moved() {
                    let (limit, setting) = (self.limit, self.setting);
                    return Poll::Ready(Err(Cause::Timeout { limit, setting }));
                }
                due = None;
            }
        })
        .await
    }

    /// When the limit is reached, on the loop's clock.
    fn due(&self) -> u64 {
        let start = IoLoop::current().instant_of(0);
        let due = (self.begun + self.limit).saturating_duration_since(start);
        u64::try_from(due.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A fetch that inherits a deadline gives up a little before it, so that its handler can
/// still say what it waited for.
pub(super) fn leave_time_to_answer(left: Duration) -> Duration {
    match left > 10 * ANSWER_TIME {
        // Nearly always, and without a division.
        true => left - ANSWER_TIME,
        false => left - left / 10,
    }
}
