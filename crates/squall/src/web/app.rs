//! An application that runs, and the handle by which handlers see it.

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use squall_http::server::Response;
use squall_loop::{Executor, IoLoop};

use super::handler::Endpoint;
use super::http_error::Problem;
use super::learned::{At, RunsOn};
use super::middleware::Middleware;
use super::routing::{Offload, Route, Routes};
use crate::Settings;

pub(crate) type Renderer = Box<dyn Fn(&Problem<'_>) -> Response + Send + Sync>;

/// An application that is complete; nothing of it changes any more but the figures.
pub(crate) struct App {
    pub(crate) routes: Routes,
    pub(crate) middleware: Vec<Box<dyn Middleware>>,
    pub(crate) not_found: Option<Arc<dyn Endpoint>>,
    pub(crate) renderer: Option<Renderer>,
    pub(crate) settings: Settings,
    pub(crate) states: States,
    /// For learned routes that burn CPU.
    pub(crate) cores: Executor,
    pub(crate) io_loop: IoLoop,
    pub(crate) unrouted: AtomicU64,
    /// Results that came when nobody waited for them any more.
    pub(crate) late: AtomicU64,
    /// Requests that were refused for want of threads.
    pub(crate) shed: AtomicU64,
    /// When that was last said, in nanoseconds of the loop's clock; 0: never.
    pub(crate) shed_said: AtomicU64,
    pub(crate) started: Instant,
}

impl App {
    pub(crate) fn count_unrouted(&self) {
        self.unrouted.fetch_add(1, Ordering::Relaxed);
    }

    /// Nanoseconds of the loop's clock.
    pub(crate) fn nanos(&self) -> u64 {
        let since = (self.io_loop.now()).saturating_duration_since(self.io_loop.instant_of(0));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// This moment in a route's history.
    pub(crate) fn at(&self, route: &Route) -> At {
        At {
            now: self.nanos(),
            requests: route.requests(),
        }
    }

    /// The name of the route with this tag, for people.
    pub(crate) fn label(&self, tag: u32) -> String {
        (self.routes.tagged(tag))
            .map_or_else(|| "no route".to_owned(), |route| route.label.to_string())
    }
}

/// The application's shared state: at most one value of each type.
#[derive(Default)]
pub(crate) struct States {
    values: Vec<(TypeId, Arc<dyn Any + Send + Sync>)>,
}

impl States {
    /// False: there is a value of this type already.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> bool {
        let fresh = self.find(TypeId::of::<T>()).is_none();
        if fresh {
            self.values.push((TypeId::of::<T>(), Arc::new(value)));
        }
        fresh
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.find(TypeId::of::<T>())?.clone().downcast().ok()
    }

    fn find(&self, id: TypeId) -> Option<&Arc<dyn Any + Send + Sync>> {
        let (_, value) = self.values.iter().find(|(known, _)| *known == id)?;
        Some(value)
    }
}

/// A running application, as its handlers see it. It is an extractor.
///
/// ```
/// use squall::AppHandle;
///
/// async fn count(app: AppHandle) -> String {
///     format!("{} requests so far", app.stats().requests)
/// }
/// ```
#[derive(Clone)]
pub struct AppHandle {
    app: Arc<App>,
}

impl AppHandle {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// The application's figures at this moment.
    pub fn stats(&self) -> AppStats {
        // Before the routes: a request that is shed late was one of a route's first.
        let shed = self.app.shed.load(Ordering::Acquire);
        let routes: Vec<_> = (self.app.routes.iter())
            .map(|route| RouteStats {
                route: route.label.to_string(),
                requests: route.requests(),
                polls_blocked: route.learned.polls_blocked(),
                longest: route.learned.longest(),
                runs_on: route.learned.runs_on(),
                offload: route.learned.offload(),
            })
            .collect();
        let unrouted = self.app.unrouted.load(Ordering::Relaxed);
        AppStats {
            requests: unrouted + shed + routes.iter().map(|route| route.requests).sum::<u64>(),
            unrouted,
            shed,
            learned: (self.app.routes.iter())
                .filter(|route| route.learned.is_learned())
                .map(|route| LearnedRoute {
                    route: route.label.to_string(),
                    polls_blocked: route.learned.polls_blocked(),
                    longest: route.learned.longest(),
                    runs_on: route.learned.runs_on(),
                })
                .collect(),
            routes,
            late: self.app.late.load(Ordering::Relaxed),
            uptime: self.app.started.elapsed(),
        }
    }

    /// The shared state of type `T`, if there is one.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.app.states.get()
    }

    /// What the application was told.
    pub fn settings(&self) -> &Settings {
        &self.app.settings
    }
}

impl std::fmt::Debug for AppHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppHandle").finish_non_exhaustive()
    }
}

/// An application's figures.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AppStats {
    /// All requests.
    pub requests: u64,
    /// Those that found no route.
    pub unrouted: u64,
    /// Those that were answered with 503 at once, because threads were short.
    pub shed: u64,
    /// Every route.
    pub routes: Vec<RouteStats>,
    /// The routes that run on an executor because they kept blocking.
    pub learned: Vec<LearnedRoute>,
    /// Results of handlers that came after their deadline, or after their client had
    /// gone, and were discarded.
    pub late: u64,
    /// Since the application was started.
    pub uptime: Duration,
}

/// One route's figures.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RouteStats {
    /// Its name, such as `GET /block/{ms}`.
    pub route: String,
    /// Requests that it answered or is answering.
    pub requests: u64,
    /// Polls of its handler that blocked a thread.
    pub polls_blocked: u64,
    /// The longest of them.
    pub longest: Duration,
    /// Where its handler is polled now.
    pub runs_on: RunsOn,
    /// What decides on that.
    pub offload: Offload,
}

/// A route that was learned to block.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LearnedRoute {
    /// Its name, such as `GET /block/{ms}`.
    pub route: String,
    /// Polls of its handler that blocked a thread.
    pub polls_blocked: u64,
    /// The longest of them.
    pub longest: Duration,
    /// Where its handler is polled now.
    pub runs_on: RunsOn,
}
