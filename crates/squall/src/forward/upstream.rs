//! `Upstream`: one server that requests go to, how busy it is and whether it works.
//!
//! ```text
//!   up --failures in a row--> ejected --time, longer with each time--> on probation
//!    ^                           ^                                      |     |
//!    |                           `--------------one failure-------------'     |
//!    `--------------------------------an answer-------------------------------'
//! ```
//! On probation it gets one request at a time, where there are others. What comes of requests
//! that were begun before it was ejected says nothing of it any more. Beside that a health
//! check says that it is down, and that it is up again.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use squall_http::{Body, BodyError, BodyStream, Chunk, Headers};
use squall_loop::{IoLoop, say};

use bytes::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::client::Origin;

/// The longest that an upstream is left alone.
const LONGEST_EJECTION: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) origin: Origin,
    in_flight: AtomicUsize,
    /// Since the last answer.
    failures: AtomicU32,
    /// In a row.
    ejections: AtomicU32,
    /// How often it was ejected ever. What was begun before the last time says nothing.
    generation: AtomicU32,
    /// In nanoseconds of the clock of `io_loop`; 0: it is not.
    ejected_until: AtomicU64,
    /// The generation in whose probation a request tries it; 0: none does.
    probed: AtomicU32,
    /// The loop that was the first to eject it.
    io_loop: OnceLock<IoLoop>,
    /// A health check says so.
    down: AtomicBool,
    /// Health checks in a row that contradict that.
    contradicted: AtomicU32,
}

/// What an upstream does at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamStats {
    /// Scheme, host and port; or `unix:` and a path.
    pub address: String,
    /// Requests and tunnels whose end is not there yet.
    pub in_flight: usize,
    /// Whether requests are sent to it.
    pub state: UpstreamState,
}

/// Whether requests are sent to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpstreamState {
    /// They are.
    Up,
    /// It has failed too often in a row, and is left alone for a while.
    Ejected,
    /// The health check fails.
    Down,
}

/// When an upstream that fails is left alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ejection {
    /// After so many failures in a row; 0: never.
    pub(super) after: u32,
    /// For so long at first.
    pub(super) base: Duration,
}

impl Upstream {
    pub(super) fn new(origin: Origin) -> Arc<Self> {
        Arc::new(Self {
            origin,
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            generation: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            probed: AtomicU32::new(0),
            io_loop: OnceLock::new(),
            down: AtomicBool::new(false),
            contradicted: AtomicU32::new(0),
        })
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> UpstreamState {
        let until = self.ejected_until.load(Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            UpstreamState::Down
        } else if until != 0
            && self
                .io_loop
                .get()
                .is_some_and(|io_loop| io_loop.now() < io_loop.instant_of(until))
        {
            UpstreamState::Ejected
        } else {
            UpstreamState::Up
        }
    }

    pub(super) fn stats(&self) -> UpstreamStats {
        UpstreamStats {
            address: self.origin.as_str().to_owned(),
            in_flight: self.in_flight(),
            state: self.state(),
        }
    }

    /// Whether it is on probation, and a request tries it already.
    pub(super) fn is_probed(&self) -> bool {
        self.ejected_until.load(Ordering::Relaxed) != 0
            && self.probed.load(Ordering::Relaxed) == self.generation.load(Ordering::Relaxed)
    }

    /// It has answered a request that was begun in this generation.
    fn has_answered(&self, generation: u32) {
        let until = self.ejected_until.load(Ordering::Relaxed);
        // Mostly there is nothing to forget, and nothing to be written.
        if until == 0 && self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        if generation != self.generation.load(Ordering::Relaxed) {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        if until != 0 && self.comes_back(until) {
            self.ejections.store(0, Ordering::Relaxed);
            let upstream = self.origin.as_str();
            say(
                || tracing::info!(target: "squall::forward", upstream, "the upstream answers again"),
            );
        }
    }

    /// It has not. True: it should be ejected, if there are others.
    fn has_failed(&self, generation: u32, ejection: Ejection) -> bool {
        if generation != self.generation.load(Ordering::Relaxed) {
            return false;
        }
        let is_tried = self.ejected_until.load(Ordering::Relaxed) != 0;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        ejection.after > 0 && (failures >= ejection.after || is_tried)
    }

    /// Whether this very call has ended the ejection until then.
    fn comes_back(&self, until: u64) -> bool {
        (self.ejected_until)
            .compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether this very call has begun the generation after this one.
    fn ends(&self, generation: u32) -> bool {
        let next = generation.wrapping_add(1);
        (self.generation)
            .compare_exchange(generation, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Leaves it alone for a while.
    fn eject(&self, generation: u32, ejection: Ejection) {
        let times = self.ejections.load(Ordering::Relaxed);
        let time = (ejection.base)
            .saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
            .min(LONGEST_EJECTION.max(ejection.base));
        let clock = self.io_loop.get_or_init(IoLoop::current);
        let now = clock.now().duration_since(clock.instant_of(0));
        let until = now.saturating_add(time);
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX).max(1);
        if !self.ends(generation) {
            return; // by another request that failed at the same time
        }
        self.ejected_until.store(until, Ordering::Relaxed);
        self.ejections
            .store(times.saturating_add(1), Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        let upstream = self.origin.as_str();
        say(
            || tracing::warn!(target: "squall::forward", upstream, ?time, "the upstream fails and is left alone"),
        );
    }

    /// A health check has passed or failed; the state changes after so many of the other
    /// kind in a row.
    pub(super) fn checked(&self, passed: bool, rise: u32, fall: u32) {
        let down = self.down.load(Ordering::Relaxed);
        if passed != down {
            return self.contradicted.store(0, Ordering::Relaxed);
        }
        let times = self.contradicted.fetch_add(1, Ordering::Relaxed) + 1;
        if times < if down { rise } else { fall } {
            return;
        }
        self.contradicted.store(0, Ordering::Relaxed);
        self.down.store(!down, Ordering::Relaxed);
        let upstream = self.origin.as_str();
        say(|| match down {
            true => tracing::info!(target: "squall::forward", upstream, "the upstream is up"),
            false => tracing::warn!(target: "squall::forward", upstream, "the upstream is down"),
        });
    }
}

/// A request on its way to an upstream, until its answer has ended.
#[derive(Debug)]
pub(super) struct InFlight {
    upstream: Arc<Upstream>,
    /// The upstream's, when it was begun.
    generation: u32,
    /// It was begun on probation.
    probes: bool,
}

impl InFlight {
    /// One more, unless there are `limit` already.
    pub(super) fn begin(upstream: &Arc<Upstream>, limit: usize) -> Option<Self> {
        if upstream.in_flight.fetch_add(1, Ordering::Relaxed) >= limit {
            upstream.in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let generation = upstream.generation.load(Ordering::Relaxed);
        let probes = upstream.ejected_until.load(Ordering::Relaxed) != 0;
        if probes {
            upstream.probed.store(generation, Ordering::Relaxed);
        }
        Some(Self {
            upstream: upstream.clone(),
            generation,
            probes,
        })
    }

    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The upstream has answered.
    pub(super) fn has_answered(&self) {
        self.upstream.has_answered(self.generation);
    }

    /// The upstream has not. True: it should be ejected, if there are others.
    pub(super) fn has_failed(&self, ejection: Ejection) -> bool {
        self.upstream.has_failed(self.generation, ejection)
    }

    /// Leaves the upstream alone for a while.
    pub(super) fn eject(&self, ejection: Ejection) {
        self.upstream.eject(self.generation, ejection);
    }

    /// Another request may try, if this one has told nothing.
    #[cold]
    fn ends_probe(&self) {
        let probed = &self.upstream.probed;
        // An error: it is about another ejection by now.
        let _ = probed.compare_exchange(self.generation, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Lets it last as long as the body of its answer.
    pub(super) fn until_end_of(self, body: Body) -> Body {
        match body.as_bytes() {
            Some(_) => body,
            None => Body::stream(Counted { body, _of: self }),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.upstream.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.probes {
            self.ends_probe();
        }
    }
}

struct Counted {
    body: Body,
    _of: InFlight,
}

impl BodyStream for Counted {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.body.poll_chunk(cx)
    }

    fn poll_unseen(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        self.body.poll_unseen(cx)
    }

    fn drive(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.body.drive(cx);
    }

    fn remaining(&self) -> Option<u64> {
        self.body.len()
    }

    fn take_trailers(mut self: Pin<&mut Self>) -> Option<Headers> {
        self.body.take_trailers()
    }
}
