//! Shedding: 503 for requests that would only make a shortage of threads worse.
//!
//! | the loop's threads | shed |
//! |---|---|
//! | plenty | nothing |
//! | few are left | routes that were caught blocking a lane, and still run there |
//! | none to spare | every route that is not [never shed](crate::MethodRoutes::never_shed) |
//!
//! What runs on the executor is shed when as much waits for it as may. Nothing has to be
//! done to recover: each request looks anew.

use std::sync::atomic::Ordering;

use squall_http::server::Response;
use squall_loop::{Pressure, say};

use super::app::App;
use super::http_error::{self, Prefers};
use super::learned::RunsOn;
use super::routing::{Place, Route};
use crate::Error;
use crate::error::RETRY_AFTER;

/// Between two warnings, in nanoseconds.
const SAY_AGAIN: u64 = 60_000_000_000;

/// The setting that rules, if a request to this place is refused for want of threads.
pub(super) fn refuses(app: &App, place: Place, pressure: Pressure) -> Option<&'static str> {
    let route = app.routes.route(place);
    if route.is_some_and(|route| route.policy.never_shed) {
        return None;
    }
    let shed = match pressure {
        Pressure::Easy => false,
        Pressure::Tight => route.is_some_and(|route| would_block(app, route)),
        Pressure::Exhausted => true,
    };
    shed.then_some("thread_cap")
}

fn would_block(app: &App, route: &Route) -> bool {
    let learned = &route.learned;
    learned.runs_on() == RunsOn::Lane && learned.blocks(app.at(route))
}

/// As [`refuses`], for a route that runs on an executor.
pub(super) fn is_full(app: &App, route: &Route) -> Option<&'static str> {
    let full = match route.learned.runs_on() {
        RunsOn::Lane => false,
        RunsOn::Executor => app.io_loop.executor().is_full(),
        RunsOn::Cores => app.cores.is_full(),
    };
    (full && !route.policy.never_shed).then_some("executor_queue")
}

/// The answer to a request that is shed; counts it.
pub(super) fn answer(app: &App, place: Place, prefers: Prefers, setting: &str) -> Response {
    let shed = app.shed.fetch_add(1, Ordering::Release) + 1;
    let now = app.nanos();
    let said = app.shed_said.load(Ordering::Relaxed);
    let news = said == 0 || now.saturating_sub(said) > SAY_AGAIN;
    if news
        && (app.shed_said)
            .compare_exchange(said, now.max(1), Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    {
        say(|| {
            tracing::warn!(
                target: "squall::web",
                route = app.label(place.tag()),
                setting,
                shed,
                "requests are refused with 503, because too much blocks at once; said at most once a minute"
            );
        });
    }
    let error = Error::service_unavailable(format!(
        "too many requests are being waited for (setting: {setting})"
    ));
    http_error::render(app, &error.retry_after(RETRY_AFTER), prefers)
}
