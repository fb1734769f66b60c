//! Handlers in a task of their own: on an executor, or on the lane to their end.
//!
//! The connection's task awaits the answer. When it stops waiting (the deadline has
//! answered, the client is gone) an offloaded handler is cancelled, and one that runs to
//! completion goes on without it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;
use squall_http::Body;
use squall_http::server::{Exchange, Response, ResponseFuture, Working};
use squall_loop::{Blocked, IoLoop, JoinHandle, Watch};

use super::app::App;
use super::learned::RunsOn;
use super::routing::Route;

/// Runs a handler apart from its connection's task. Dropping the future cancels the
/// handler, unless its route runs to completion.
pub(super) async fn apart(
    app: Arc<App>,
    tag: u32,
    exchange: Exchange,
    handler: ResponseFuture,
) -> Response {
    let task = RouteTask { app, tag };
    let (runs_on, completes) = (task.route()).map_or((RunsOn::Lane, false), |route| {
        (route.learned.runs_on(), route.policy.completes)
    });
    let apart = Apart {
        handler,
        working: completes.then(|| exchange.working()),
        exchange,
        task: task.clone(),
        offloaded: runs_on != RunsOn::Lane,
        slow: false,
    };
    let io_loop = IoLoop::current();
    let watch = Arc::new(task.clone());
    let running = match runs_on {
        RunsOn::Lane => io_loop.spawn_watched(apart, watch),
        RunsOn::Executor => io_loop.executor().spawn(apart, Some(watch)),
        RunsOn::Cores => task.app.cores.spawn(apart, Some(watch)),
    };
    let mut running = Running {
        task: Some(running),
        completes,
    };
    let answer = std::future::poll_fn(|cx| match &mut running.task {
        Some(handle) => Pin::new(handle).poll(cx).map(Result::ok),
        None => Poll::Ready(None),
    });
    // Without an answer the loop is stopping: nobody will see this one.
    answer
        .await
        .unwrap_or_else(|| Response::new(StatusCode::SERVICE_UNAVAILABLE, Body::empty()))
}

/// A handler's task, as whoever awaits it holds it.
struct Running {
    task: Option<JoinHandle<Response>>,
    completes: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = self.task.take().filter(|_| !self.completes) {
            task.cancel();
        }
    }
}

/// A handler in a task of its own.
struct Apart {
    handler: ResponseFuture,
    exchange: Exchange,
    task: RouteTask,
    offloaded: bool,
    /// One of its polls was.
    slow: bool,
    /// It runs to completion: a shutdown waits for it.
    working: Option<Working>,
}

impl Future for Apart {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        // The deadline is the answer's. Work that goes on without it has none.
        let scope = (self.working.is_none()).then(|| self.exchange.deadline_scope());
        let begun = Instant::now();
        let poll = self.handler.as_mut().poll(cx);
        let lasted = begun.elapsed();
        drop(scope);
        let this = &mut *self;
        if let Some(route) = this.task.route().filter(|_| this.offloaded) {
            this.slow |= route.learned.polled(lasted);
            if poll.is_ready() {
                (route.learned).answered(&route.label, this.slow, this.task.app.nanos());
            }
        }
        if poll.is_ready() && this.exchange.is_over() {
            this.exchange.late(this.task.tag);
        }
        poll
    }
}

/// Names a handler in reports on what blocks now, and hears what it blocks.
#[derive(Clone)]
struct RouteTask {
    app: Arc<App>,
    tag: u32,
}

impl RouteTask {
    fn route(&self) -> Option<&Route> {
        self.app.routes.tagged(self.tag)
    }
}

impl Watch for RouteTask {
    fn label(&self) -> String {
        self.app.label(self.tag)
    }

    fn caught(&self, blocked: &Blocked) {
        caught(&self.app, self.tag, blocked);
    }

    fn released(&self, blocked: &Blocked, total: Duration) {
        released(&self.app, self.tag, blocked, total);
    }
}

/// The handler of a route was caught blocking its lane. Called on the lane.
pub(super) fn caught(app: &Arc<App>, tag: u32, blocked: &Blocked) {
    let Some(route) = blamed(app, tag, blocked) else {
        return;
    };
    let Some(left) = (route.learned).caught(&route.label, blocked, app.at(route)) else {
        return;
    };
    let (app, blocked) = (app.clone(), blocked.clone());
    IoLoop::current().call_later(left, move || {
        if let Some(route) = app.routes.tagged(tag) {
            (route.learned).look_again(&route.label, &blocked, app.at(route));
        }
    });
}

/// A poll that was caught is over.
pub(super) fn released(app: &Arc<App>, tag: u32, blocked: &Blocked, total: Duration) {
    if let Some(route) = blamed(app, tag, blocked) {
        (route.learned).released(&route.label, blocked, total, app.at(route));
    }
}

/// The route that was caught. By the time its owner hears of that, its connection may
/// have gone on to a request of another one.
fn blamed<'a>(app: &'a App, tag: u32, blocked: &Blocked) -> Option<&'a Route> {
    (app.routes.tagged(tag)).filter(|route| *route.label == *blocked.label)
}
