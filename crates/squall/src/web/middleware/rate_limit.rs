//! `RateLimit`: so many requests in so much time, for each client.
//!
//! A token bucket in the form of one number per key: the time at which its bucket will be
//! full again (the generic cell rate algorithm). A key whose time has come is as good as
//! one that was never seen, so forgetting it loses nothing.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use squall_http::Headers;
use squall_http::server::ResponseFuture;

use super::{Middleware, Next, visit};
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

type KeyOf = Arc<dyn Fn(&Request, &RandomState) -> Option<u64> + Send + Sync>;

/// Answers 429 with `Retry-After` to whoever sends too much.
///
/// ```
/// use std::time::Duration;
/// use squall::Application;
/// use squall::middleware::RateLimit;
///
/// // 100 requests a minute from each address, or from each key of the API.
/// let application = Application::new().middleware(
///     RateLimit::new(100, Duration::from_secs(60))
///         .burst(20)
///         .key(|request| request.headers().get("x-api-key").map(str::to_owned)),
/// );
/// ```
///
/// Clients are told apart by the peer's address, of IPv6 by its first 64 bits, or by a
/// [`key`](Self::key). Every answer has `RateLimit` and `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers).
///
/// It takes 16 bytes or so per key, and is bounded by [`max_keys`](Self::max_keys): beyond
/// it, the half of the keys is forgotten that has used least.
#[derive(Clone)]
pub struct RateLimit {
    quota: u64,
    per: Duration,
    burst: u64,
    max_keys: usize,
    key: KeyOf,
    buckets: Arc<Buckets>,
}

#[derive(Default)]
struct Buckets {
    hasher: RandomState,
    /// When each bucket will be full again, in nanoseconds of the loop's clock.
    full_at: Mutex<HashMap<u64, u64>>,
}

/// What a bucket says to a request.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    remaining: u64,
    full_in: u64,
    /// Nanoseconds to wait, if the request is refused.
    wait: Option<u64>,
}

impl RateLimit {
    /// `quota` requests in each `per`; as many may come at once.
    pub fn new(quota: u32, per: Duration) -> Self {
        Self {
            quota: u64::from(quota),
            per,
            burst: u64::from(quota),
            max_keys: 100_000,
            key: Arc::new(|request, hasher| {
                // Whoever comes over a Unix socket shares one.
                let address = request.remote_addr().ip().map(network);
                Some(hasher.hash_one(address))
            }),
            buckets: Arc::default(),
        }
    }

    /// How many may come at once: default as many as the quota.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = u64::from(burst);
        self
    }

    /// What tells clients apart, in place of their address. `None`: not limited.
    #[must_use]
    pub fn key<K: Hash>(
        mut self,
        key: impl Fn(&Request) -> Option<K> + Send + Sync + 'static,
    ) -> Self {
        self.key = Arc::new(move |request, hasher| Some(hasher.hash_one(key(request)?)));
        self
    }

    /// The most keys that are remembered: default 100,000.
    #[must_use]
    pub fn max_keys(mut self, most: usize) -> Self {
        self.max_keys = most.max(1);
        self
    }

    /// Nanoseconds in which one request is given back.
    fn interval(&self) -> u64 {
        let per = u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX);
        (per / self.quota.max(1)).max(1)
    }

    fn ask(&self, key: u64, now: u64) -> Verdict {
        let (interval, burst) = (self.interval(), self.burst.max(1));
        let room = interval.saturating_mul(burst);
        let mut buckets = self.buckets.full_at.lock();
        let full_at = buckets.get(&key).copied().unwrap_or(0).max(now);
        let next = full_at.saturating_add(interval);
        let used = next - now;
        if used > room {
            return Verdict {
                remaining: 0,
                full_in: full_at - now,
                wait: Some(used - room),
            };
        }
        if buckets.len() >= self.max_keys && !buckets.contains_key(&key) {
            forget(&mut buckets, now, self.max_keys);
        }
        buckets.insert(key, next);
        Verdict {
            remaining: (room - used) / interval,
            full_in: used,
            wait: None,
        }
    }

    fn tell(&self, verdict: &Verdict, headers: &mut Headers) -> Result<()> {
        let window = self.per.as_secs().max(1);
        let reset = verdict.full_in.div_ceil(1_000_000_000);
        headers.append(
            "RateLimit-Policy",
            format!("\"default\";q={};w={window}", self.quota),
        )?;
        let remaining = verdict.remaining;
        headers.append("RateLimit", format!("\"default\";r={remaining};t={reset}"))?;
        Ok(())
    }
}

/// Makes room for at least a quarter of the keys, so that it is seldom needed.
fn forget(buckets: &mut HashMap<u64, u64>, now: u64, max_keys: usize) {
    buckets.retain(|_, full_at| *full_at > now);
    if buckets.len() > max_keys / 4 * 3 {
        let mut times: Vec<u64> = buckets.values().copied().collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        buckets.retain(|_, full_at| *full_at > median);
    }
}

/// The part of an address that one client has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

impl Middleware for RateLimit {
    fn call(&self, request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let Some(key) = (self.key)(&request, &self.buckets.hasher) else {
            return next.run(request);
        };
        let verdict = self.ask(key, request.shared().nanos());
        let this = self.clone();
        Box::pin(visit.attend(async move {
            let Some(wait) = verdict.wait else {
                let mut response = next.run(request).await;
                this.tell(&verdict, response.headers_mut())?;
                return Ok(response);
            };
            let wait = Duration::from_secs(wait.div_ceil(1_000_000_000));
            let mut headers = Headers::new();
            this.tell(&verdict, &mut headers)?;
            let error = Error::status(StatusCode::TOO_MANY_REQUESTS)
                .show("too many requests (setting: RateLimit)")
                .retry_after(wait);
            Err(headers
                .iter()
                .fold(error, |error, (name, value)| error.with_header(name, value)))
        }))
    }

    fn needs(&self, needs: &mut Needs) {
        if self.quota == 0 || self.burst == 0 || self.per.is_zero() {
            needs.fault("RateLimit: quota, burst and time must not be zero");
        }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("quota", &self.quota)
            .field("per", &self.per)
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_empties_and_fills() {
        let limit = RateLimit::new(2, Duration::from_secs(1)).burst(3);
        let ask = |now: u64| limit.ask(1, now).wait;
        assert_eq!(limit.ask(1, 0).remaining, 2);
        assert_eq!(ask(0), None);
        assert_eq!(ask(0), None);
        assert_eq!(ask(0), Some(SECOND / 2));
        assert_eq!(limit.ask(2, 0).wait, None);
        assert_eq!(ask(SECOND / 2), None);
        assert_eq!(ask(SECOND / 2), Some(SECOND / 2));
        assert_eq!(limit.ask(1, 10 * SECOND).remaining, 2);
    }

    #[test]
    fn keys_are_bounded_and_the_busiest_are_kept() {
        let limit = RateLimit::new(10, Duration::from_secs(10)).max_keys(100);
        for _ in 0..10 {
            limit.ask(u64::MAX, 0);
        }
        for key in 0..100_000 {
            assert_eq!(limit.ask(key, 1).wait, None);
            assert!(limit.buckets.full_at.lock().len() <= 100);
        }
        assert!(limit.ask(u64::MAX, 1).wait.is_some());
    }

    #[test]
    fn one_client_has_64_bits_of_ipv6() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
