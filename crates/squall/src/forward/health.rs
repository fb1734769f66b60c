//! `HealthCheck`: asks upstreams from time to time whether they work.
//!
//! The checks run in one task of the loop, from the first request on, until the server
//! shuts down or nobody forwards there any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use squall_http::Headers;
use squall_http::client::{ExchangeLimits, Outgoing};
use squall_http::wire::target::{check_bytes, is_authority};
use squall_loop::{IoLoop, say, with_timeout};

use super::upstream::Upstream;
use super::upstreams::Set;
use crate::client::{AsyncHttpClient, FetchError, hop};
use squall_http::server::Exchange;

/// Between two checks: nobody is asked without a pause.
const SHORTEST: Duration = Duration::from_millis(100);
/// What is read of an answer to a check, so that its connection can be used again.
const ANSWER: u64 = 64 << 10;

/// A request that an upstream has to answer with 2xx or 3xx.
///
/// It is up until it has failed three times in a row, and down until it has passed twice.
/// The checks begin with the first request that is forwarded.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    target: String,
    host: Option<String>,
    every: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
}

impl HealthCheck {
    /// Asks for this path, with a query if it has one.
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            host: None,
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
        }
    }

    /// How long there is between two checks: default 10 s, at least 100 ms.
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval.max(SHORTEST);
        self
    }

    /// How long an answer may take: default 2 s. Zero: none is in time.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The `Host`: default the upstream's own.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// How many checks have to pass in a row until it is up again, and to fail until it is
    /// down: default 2 and 3.
    pub fn thresholds(mut self, rise: u32, fall: u32) -> Self {
        (self.rise, self.fall) = (rise.max(1), fall.max(1));
        self
    }

    /// What of it cannot be sent.
    pub(super) fn fault(&self) -> Option<String> {
        let Self { target, host, .. } = self;
        if !target.starts_with('/') || check_bytes(target).is_err() {
            return Some(format!("{target:?} is no path for a health check"));
        }
        let host = (host.as_deref()).filter(|it| it.is_empty() || !is_authority(it.as_bytes()))?;
        Some(format!("{host:?} is no host for a health check"))
    }

    async fn ask(&self, client: &AsyncHttpClient, upstream: &Upstream) {
        let headers = Headers::new();
        let host = (self.host.as_deref()).unwrap_or(upstream.origin.authority());
        let outgoing = Outgoing {
            user_agent: Some(concat!("squall/", env!("CARGO_PKG_VERSION"))),
            ..Outgoing::new(&Method::GET, &self.target, host, &headers)
        };
        let (origin, limits, mut body) = (&upstream.origin, ExchangeLimits::default(), ());
        let asked = async {
            let sent = hop(client, origin, &outgoing, &mut body, &limits, true);
            let mut answer = sent.await?;
            // Its connection is closed if there is more, or it fails.
            let _ = answer.body.collect(ANSWER).await;
            Ok::<_, FetchError>(answer.head.status)
        };
        let passed = match with_timeout(self.timeout, asked).await {
            Ok(Ok(status)) => status.is_success() || status.is_redirection(),
            // It was not asked, and nothing is known of it.
            Ok(Err(error)) if error.is_ours() => {
                let upstream = upstream.origin.as_str();
                say(
                    || tracing::warn!(target: "squall::forward", upstream, %error, "the upstream could not be checked"),
                );
                return;
            }
            _ => false,
        };
        upstream.checked(passed, self.rise, self.fall);
    }
}

/// The checks of a set, as they run.
#[derive(Debug)]
pub(super) struct Checks {
    check: HealthCheck,
    running: AtomicBool,
}

impl Checks {
    pub(super) fn of(check: HealthCheck) -> Arc<Self> {
        Arc::new(Self {
            check,
            running: AtomicBool::new(false),
        })
    }

    /// Starts the checks, unless they run.
    pub(super) fn begin(
        self: &Arc<Self>,
        set: &Arc<Set>,
        client: &AsyncHttpClient,
        exchange: &Exchange,
    ) {
        if self.running.load(Ordering::Relaxed)
            || exchange.is_draining()
            || self.running.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let draining = exchange.draining();
        // Apart from the requests: a check that stands in line with them says nothing about
        // the upstream.
        let client = client.with_own_pool();
        let (running, set) = (Running(self.clone()), Arc::downgrade(set));
        IoLoop::current().spawn_named("health checks of upstreams", async move {
            let mut draining = Box::pin(draining);
            while let Some(members) = set.upgrade().map(|set| set.known()) {
                running.round(&members, &client);
                let pause = running.0.check.every;
                if with_timeout(pause, draining.as_mut()).await.is_ok() {
                    return;
                }
            }
        });
    }
}

/// The task of the checks; when it ends, another one may begin.
struct Running(Arc<Checks>);

impl Running {
    /// Asks every member, each in a task of its own: a slow one keeps nobody waiting.
    fn round(&self, members: &[Arc<Upstream>], client: &AsyncHttpClient) {
        for upstream in members {
            let (checks, upstream) = (self.0.clone(), upstream.clone());
            let client = client.clone();
            IoLoop::current().spawn(async move { checks.check.ask(&client, &upstream).await });
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Relaxed);
    }
}
