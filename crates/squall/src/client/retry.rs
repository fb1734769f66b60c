//! Policy retries and hedging: both off until they are asked for.
//!
//! ```text
//! attempt --error or status that a repeat may mend--> budget --> pause --> attempt
//!    `-- still silent after hedge_after (idempotent only) --> budget --> a second beside it
//! ```
//! The budget is the client's: repeats add at most a fifth to the load of what is fetched, and
//! ten a second, so that an upstream in trouble is not trampled by those who wait for it.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;

use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use squall_loop::time::now;
use squall_loop::{remaining, sleep, with_timeout};

use super::async_http_client::Shared;
use super::error::{FetchError, RequestSent};
use super::fetch::once;
use super::repeat::harmless_twice;
use super::request::HttpRequest;
use super::response::HttpResponse;
use super::total::leave_time_to_answer;

/// The first pause; each further one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause that nobody asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// When a fetch is repeated, and how often.
///
/// Repeated are idempotent requests (RFC 9110 section 9.2.2, or those with an
/// `Idempotency-Key`) whose body can be sent again: after a failure to connect, to send or
/// to get an answer, and the statuses 408, 429, 502, 503 and 504. Of the timeouts that of a
/// connection (`connect_timeout`, `dns_timeout`, `tls_timeout`) and silence before the head
/// (`first_byte_timeout`, `idle_timeout`) are repeated; not `request_timeout`, which is for
/// all of them together and has to be the longer one, and not `pool_timeout`. Other methods
/// only when nothing of them was sent. The pauses are 50 ms, 100 ms and so on up to 2 s,
/// each shortened at random, or what `Retry-After` says.
///
/// ```
/// use squall::client::{HttpRequest, Retry};
/// let request = HttpRequest::new("http://a.test/").retry(Retry::times(2));
/// ```
#[derive(Debug, Clone)]
pub struct Retry {
    times: u32,
    max_retry_after: Duration,
    statuses: Vec<u16>,
}

impl Retry {
    /// At most so many repeats. Zero: none.
    pub fn times(times: u32) -> Self {
        Self {
            times,
            max_retry_after: Duration::from_secs(10),
            statuses: vec![408, 429, 502, 503, 504],
        }
    }

    /// The longest `Retry-After` that is waited for: default 10 s. A longer one ends the
    /// fetch with the answer that said it. Zero: any that is not over yet does.
    pub fn max_retry_after(mut self, limit: Duration) -> Self {
        self.max_retry_after = limit;
        self
    }

    /// The statuses that are repeated: default 408, 429, 502, 503 and 504.
    pub fn statuses(mut self, statuses: impl Into<Vec<u16>>) -> Self {
        self.statuses = statuses.into();
        self
    }

    /// How long to wait before the next attempt; `None`: there is none.
    fn pause(
        &self,
        done: u32,
        idempotent: bool,
        outcome: &Result<HttpResponse, FetchError>,
    ) -> Option<Duration> {
        let backoff = FIRST_PAUSE
            .saturating_mul(1 << done.min(16))
            .min(LONGEST_PAUSE);
        let backoff = backoff.mul_f64(random());
        match outcome {
            Ok(response) => {
                if !idempotent || !self.statuses.contains(&response.code()) {
                    return None;
                }
                match retry_after(response) {
                    Some(wait) => (wait <= self.max_retry_after).then_some(wait.max(backoff)),
                    None => Some(backoff),
                }
            }
            Err(error) => {
                let safe = idempotent || error.request_sent() == RequestSent::No;
                (safe && error.may_pass()).then_some(backoff)
            }
        }
    }
}

/// How long the server asks us to wait (RFC 9110 section 10.2.3).
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let value = response.headers().get("retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than can be counted are too many for everybody.
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until: SystemTime = squall_http::wire::date::parse(value)?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Between 0 and 1.
fn random() -> f64 {
    let drawn = RandomState::new().hash_one(0_u8) >> 11;
    drawn as f64 / (1_u64 << 53) as f64
}

/// How many repeats are left: a fifth of the fetches, and a few in any case.
#[derive(Debug)]
pub(super) struct Budget {
    /// What is left, in thousandths of a repeat, and when that was counted.
    state: Mutex<(u64, Instant)>,
}

/// One repeat, in thousandths.
const REPEAT: u64 = 1000;
/// What each fetch adds.
const SHARE: u64 = REPEAT / 5;
/// What each second adds, and the most that is saved up by waiting.
const PER_SECOND: u64 = 10 * REPEAT;

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new((PER_SECOND, Instant::now())),
        }
    }

    /// A fetch that may be repeated begins.
    fn deposit(&self) {
        let mut state = self.state.lock();
        state.0 += SHARE;
    }

    /// Takes one repeat, if there is one left.
    fn withdraw(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let passed = now.saturating_duration_since(state.1).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // What the time gives is capped; what the fetches gave is capped with it.
        let most = PER_SECOND.max(state.0);
        let given = passed.saturating_mul(PER_SECOND / 1000);
        state.0 = (state.0.saturating_add(given))
            .min(most)
            .min(100 * PER_SECOND);
        state.1 = now;
        if state.0 < REPEAT {
            return false;
        }
        state.0 -= REPEAT;
        true
    }
}

/// Fetches, again where the policy says so and the time allows.
pub(super) async fn attempts(
    shared: &Shared,
    request: &mut HttpRequest,
    retry: &Retry,
) -> Result<HttpResponse, FetchError> {
    shared.budget.deposit();
    let idempotent = harmless_twice(&request.method, &request.headers);
    let whole = request
        .request_timeout
        .unwrap_or(shared.defaults.request_timeout);
    let begun = now();
    let left = || {
        let left = whole.saturating_sub(now().saturating_duration_since(begun));
        (!whole.is_zero()).then_some(left)
    };
    let inherits = request.inherit_deadline;
    let deadline = || remaining().filter(|_| inherits).map(leave_time_to_answer);
    let mut done = 0;
    let mut sent = RequestSent::No;
    loop {
        let next = (done < retry.times).then(|| request.try_clone()).flatten();
        let mut outcome = hedged(shared, request).await;
        match &mut outcome {
            Ok(response) => response.add_retries(done),
            Err(error) => error.sent_before(sent),
        }
        let Some(mut next) = next else { return outcome };
        let Some(pause) = retry.pause(done, idempotent, &outcome) else {
            return outcome;
        };
        let is_late = left()
            .into_iter()
            .chain(deadline())
            .any(|left| left <= pause);
        if is_late || !shared.budget.withdraw(now()) {
            return outcome;
        }
        // Whether the next attempt is answered is open.
        let told = outcome.map_or_else(|error| error.request_sent(), |_| RequestSent::Maybe);
        sent = told.min(RequestSent::Maybe);
        // The connection is free while it waits.
        sleep(pause).await;
        if let Some(left) = left() {
            next.request_timeout = Some(left.max(Duration::from_millis(1)));
        }
        *request = next;
        done += 1;
    }
}

/// Fetches, and beside it once more if the first is silent for `hedge_after`.
async fn hedged(shared: &Shared, request: &mut HttpRequest) -> Result<HttpResponse, FetchError> {
    let delay = request.hedge_delay();
    let second = delay
        .filter(|_| harmless_twice(&request.method, &request.headers))
        .zip(request.try_clone());
    let whole = (request.request_timeout).unwrap_or(shared.defaults.request_timeout);
    let begun = now();
    let mut first = Box::pin(once(shared, request));
    let Some((delay, mut second)) = second else {
        return first.await;
    };
    if let Ok(outcome) = with_timeout(delay, first.as_mut()).await {
        return outcome;
    }
    if !shared.budget.withdraw(now()) {
        return first.await;
    }
    if !whole.is_zero() {
        // Both have the time of one.
        let left = whole.saturating_sub(now().saturating_duration_since(begun));
        second.request_timeout = Some(left.max(Duration::from_millis(1)));
    }
    let mut second = Box::pin(once(shared, &mut second));
    let mut failed: Option<FetchError> = None;
    let (mut first_over, mut second_over) = (false, false);
    // The first answer is the answer; the other is cancelled by dropping it.
    std::future::poll_fn(|cx| {
        for attempt in 0..2 {
            let outcome = match attempt {
                0 => poll_once(first.as_mut(), &mut first_over, cx),
                _ => poll_once(second.as_mut(), &mut second_over, cx),
            };
            match (outcome, failed.take()) {
                (None, before) => failed = before,
                (Some(Ok(response)), _) => return Poll::Ready(Ok(response)),
                (Some(Err(error)), None) => failed = Some(error),
                (Some(Err(error)), Some(mut first)) => {
                    first.sent_before(error.request_sent());
                    return Poll::Ready(Err(first));
                }
            }
        }
        Poll::Pending
    })
    .await
}

/// What a future that is not over yet comes to, if it does now.
fn poll_once<T>(
    future: Pin<&mut impl Future<Output = T>>,
    over: &mut bool,
    cx: &mut Context<'_>,
) -> Option<T> {
    if *over {
        return None;
    }
    match future.poll(cx) {
        Poll::Pending => None,
        Poll::Ready(outcome) => {
            *over = true;
            Some(outcome)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_a_share_of_the_fetches() {
        let budget = Budget::new();
        let begin = budget.state.lock().1;
        let drain = |now| {
            let had = std::iter::repeat_with(|| budget.withdraw(now));
            had.take(1000).take_while(|had| *had).count()
        };
        assert_eq!(drain(begin), 10);
        for _ in 0..100 {
            budget.deposit();
        }
        assert_eq!(drain(begin), 20);
        assert_eq!(drain(begin + Duration::from_millis(500)), 5);
        assert_eq!(drain(begin + Duration::from_secs(60)), 10);
    }
}
