//! How long each step of a fetch may take.

use std::time::Duration;

use squall_loop::with_timeout;

use super::super::async_http_client::Defaults;
use super::super::error::Cause;
use super::{HttpRequest, Rare};

/// How long the steps up to a connection may take; zero: no limit of their own.
#[derive(Debug, Clone, Copy)]
pub(in crate::client) struct Waits {
    pub(in crate::client) pool: Duration,
    pub(in crate::client) connect: Duration,
    pub(in crate::client) dns: Duration,
    pub(in crate::client) tls: Duration,
}

impl Waits {
    /// Those of whoever says nothing of his own.
    pub(in crate::client) fn of(defaults: &Defaults) -> Self {
        Self {
            pool: defaults.pool_timeout,
            connect: defaults.connect_timeout,
            dns: Duration::ZERO,
            tls: Duration::ZERO,
        }
    }
}

/// Awaits, but not longer than a limit that has a name; a setting of zero is none.
pub(in crate::client) async fn unless_zero<T>(
    limit: Duration,
    setting: &'static str,
    future: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    if limit.is_zero() {
        return future.await;
    }
    let timed = with_timeout(limit, future).await;
    timed.unwrap_or(Err(Cause::Timeout { limit, setting }))
}

impl HttpRequest {
    /// How long the fetch waits for a connection that the limits allow: default 10 s.
    /// Zero: no limit.
    pub fn pool_timeout(mut self, limit: Duration) -> Self {
        self.rare().pool_timeout = Some(limit);
        self
    }

    /// How long the turn to dial, name, connection and handshake may take together: default
    /// 10 s. Zero: no limit.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.rare().connect_timeout = Some(limit);
        self
    }

    /// How long resolving the name may take: default, and zero, what `connect_timeout`
    /// allows.
    pub fn dns_timeout(mut self, limit: Duration) -> Self {
        self.rare().dns_timeout = Some(limit);
        self
    }

    /// How long the TLS handshake may take: default, and zero, what `connect_timeout` allows.
    pub fn tls_timeout(mut self, limit: Duration) -> Self {
        self.rare().tls_timeout = Some(limit);
        self
    }

    /// How long the head of the answer may take once the request is sent: default, and zero,
    /// what `idle_timeout` allows.
    pub fn first_byte_timeout(mut self, limit: Duration) -> Self {
        self.rare().first_byte_timeout = Some(limit);
        self
    }

    /// How long nothing may move in either direction: default 30 s. Zero: no limit.
    ///
    /// Waiting for a request's body that streams does not count.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// How long the whole fetch may take: default 20 s. Zero: no limit.
    ///
    /// Counts everything until the head of the answer, the request's body and redirects
    /// included, and for `bytes`, `text` and `json` the answer's body. Reading chunk by
    /// chunk has no such limit, only [`idle_timeout`](Self::idle_timeout). An upload that
    /// takes longer is cut off although it moves: give it more time, or zero.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = Some(limit);
        self
    }

    /// No total timeout, unless the request has one of its own.
    pub(in crate::client) fn without_total_timeout(mut self) -> Self {
        self.request_timeout.get_or_insert(Duration::ZERO);
        self
    }

    /// Sends the request a second time, on another connection, if there is no answer after
    /// this time, and takes whichever answer comes first. Default: never. Zero: at once.
    ///
    /// Only for idempotent requests whose body can be sent again; counts against the
    /// client's budget of repeats.
    pub fn hedge_after(mut self, delay: Duration) -> Self {
        self.rare().hedge_after = Some(delay);
        self
    }

    pub(in crate::client) fn waits(&self, defaults: &Defaults) -> Waits {
        let said = self.said();
        let of = |limit: fn(&Rare) -> Option<Duration>| said.and_then(limit);
        Waits {
            pool: of(|rare| rare.pool_timeout).unwrap_or(defaults.pool_timeout),
            connect: of(|rare| rare.connect_timeout).unwrap_or(defaults.connect_timeout),
            dns: of(|rare| rare.dns_timeout).unwrap_or_default(),
            tls: of(|rare| rare.tls_timeout).unwrap_or_default(),
        }
    }
}
