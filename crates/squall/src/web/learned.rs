//! Learned offload: a route that keeps blocking its lane runs on an executor instead.
//!
//! ```text
//!   on its lane --caught twice--> offloaded --50 answers, no slow poll--> on its lane
//! ```
//!
//! Work that waits goes to the loop's executor; work that burns CPU goes to one with as
//! many workers as there are cores, so that it cannot thrash. Each change is logged once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;
use squall_http::Body;
use squall_http::server::{Response, ResponseFuture};
use squall_loop::{Blocked, IoLoop, JoinHandle, Watch};

use super::app::App;
use super::routing::Route;

/// So often a route may be caught before it is learned.
const LEARN_AFTER: u32 = 2;
/// So many answers in a row without a slow poll, and the lane is tried again.
const FORGET_AFTER: u32 = 50;
/// A poll that lasts longer would be felt by others on the lane.
const SLOW: Duration = Duration::from_millis(1);
/// A poll that lasts longer would have been handed off.
const BLOCKED: Duration = Duration::from_millis(4);

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

/// What was learned about one route.
#[derive(Default)]
pub(crate) struct Learned {
    state: AtomicU8,
    caught_waiting: AtomicU32,
    caught_on_cpu: AtomicU32,
    fast_in_a_row: AtomicU32,
    polls_blocked: AtomicU64,
    longest_micros: AtomicU64,
}

impl Learned {
    #[inline]
    pub(crate) fn runs_on(&self) -> RunsOn {
        match self.state.load(Ordering::Relaxed) {
            0 => RunsOn::Lane,
            1 => RunsOn::Executor,
            _ => RunsOn::Cores,
        }
    }

    pub(crate) fn polls_blocked(&self) -> u64 {
        self.polls_blocked.load(Ordering::Relaxed)
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_micros.load(Ordering::Relaxed))
    }

    /// The route was caught blocking its lane.
    pub(crate) fn caught(&self, label: &str, blocked: &Blocked) {
        self.polls_blocked.fetch_add(1, Ordering::Relaxed);
        self.lasted(blocked.after);
        let (caught, other) = if blocked.on_cpu {
            (&self.caught_on_cpu, &self.caught_waiting)
        } else {
            (&self.caught_waiting, &self.caught_on_cpu)
        };
        let caught = caught.fetch_add(1, Ordering::Relaxed) + 1;
        let other = other.load(Ordering::Relaxed);
        if caught + other < LEARN_AFTER {
            return;
        }
        let next = if blocked.on_cpu == (caught >= other) {
            RunsOn::Cores
        } else {
            RunsOn::Executor
        };
        let changed = self.state.compare_exchange(
            RunsOn::Lane as u8,
            next as u8,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if changed.is_ok() {
            self.fast_in_a_row.store(0, Ordering::Relaxed);
            tracing::warn!(
                target: "squall::web",
                route = label,
                syscall = blocked.syscall.unwrap_or("none"),
                on_cpu = blocked.on_cpu,
                "this route keeps blocking its lane, so it runs on the executor from now on; \
                 use run_on_executor or an async call"
            );
        }
    }

    /// A blocking poll is over, after `total`.
    pub(crate) fn released(&self, total: Duration) {
        self.lasted(total);
    }

    fn lasted(&self, poll: Duration) {
        let micros = u64::try_from(poll.as_micros()).unwrap_or(u64::MAX);
        self.longest_micros.fetch_max(micros, Ordering::Relaxed);
    }

    /// A poll on the executor is over.
    fn polled(&self, lasted: Duration) {
        if lasted >= BLOCKED {
            self.polls_blocked.fetch_add(1, Ordering::Relaxed);
            self.lasted(lasted);
        }
    }

    /// An offloaded handler has answered; `slow` when one of its polls was.
    fn answered(&self, label: &str, slow: bool) {
        if slow {
            self.fast_in_a_row.store(0, Ordering::Relaxed);
            return;
        }
        if self.fast_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 < FORGET_AFTER {
            return;
        }
        self.caught_waiting.store(0, Ordering::Relaxed);
        self.caught_on_cpu.store(0, Ordering::Relaxed);
        if self.state.swap(RunsOn::Lane as u8, Ordering::Relaxed) != RunsOn::Lane as u8 {
            tracing::warn!(
                target: "squall::web",
                route = label,
                "this route has not blocked for {FORGET_AFTER} answers, so it runs on its lane again; \
                 use run_on_executor or an async call if it may block"
            );
        }
    }
}

/// Runs a handler where it does no harm. Dropping the future cancels the handler.
pub(super) async fn offload(app: Arc<App>, tag: u32, handler: ResponseFuture) -> Response {
    let route = OnExecutor {
        app: app.clone(),
        tag,
    };
    let measured = Measured {
        handler,
        route: route.clone(),
        slow: false,
    };
    let executor = match route.route().map(|route| route.learned.runs_on()) {
        Some(RunsOn::Cores) => app.cores.clone(),
        _ => IoLoop::current().executor(),
    };
    let mut task = Cancelled(Some(executor.spawn(measured, Some(Arc::new(route)))));
    let answer = std::future::poll_fn(|cx| match &mut task.0 {
        Some(handle) => Pin::new(handle).poll(cx).map(Result::ok),
        None => Poll::Ready(None),
    });
    // Without an answer the loop is stopping: nobody will see this one.
    answer
        .await
        .unwrap_or_else(|| Response::new(StatusCode::SERVICE_UNAVAILABLE, Body::empty()))
}

/// Cancels its task when it is dropped.
struct Cancelled(Option<JoinHandle<Response>>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.cancel();
        }
    }
}

/// Measures each poll of an offloaded handler.
struct Measured {
    handler: ResponseFuture,
    route: OnExecutor,
    slow: bool,
}

impl Future for Measured {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let begun = Instant::now();
        let poll = self.handler.as_mut().poll(cx);
        let lasted = begun.elapsed();
        self.slow |= lasted >= SLOW;
        if let Some(route) = self.route.route() {
            route.learned.polled(lasted);
            if poll.is_ready() {
                route.learned.answered(&route.label, self.slow);
            }
        }
        poll
    }
}

/// Names an offloaded handler in reports on what blocks now.
#[derive(Clone)]
struct OnExecutor {
    app: Arc<App>,
    tag: u32,
}

impl OnExecutor {
    fn route(&self) -> Option<&Route> {
        self.app.routes.tagged(self.tag)
    }
}

impl Watch for OnExecutor {
    fn label(&self) -> String {
        self.app.label(self.tag)
    }

    fn caught(&self, _: &Blocked) {}

    fn released(&self, _: &Blocked, _: Duration) {}
}
