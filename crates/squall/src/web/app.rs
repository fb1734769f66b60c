//! An application that runs, and the handle by which handlers see it.

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use squall_http::server::Response;
use squall_loop::{Executor, IoLoop};

use super::http_error::Problem;
use super::learned::{At, RunsOn};
use super::routing::{Offload, Route, Routes, UrlArgs};
use crate::{Result, Settings};

pub(crate) type Renderer = Box<dyn Fn(&Problem<'_>) -> Response + Send + Sync>;

/// An application that is complete; nothing of it changes any more but the figures.
pub(crate) struct App {
    pub(crate) routes: Routes,
    pub(crate) renderer: Option<Renderer>,
    pub(crate) settings: Settings,
    /// For each listener the port of `https` that it redirects to, if it does.
    pub(crate) redirects: Vec<Option<u16>>,
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
    /// A shutdown has begun.
    pub(crate) draining: AtomicBool,
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

/// Shared values: at most one of each type, or the innermost first.
#[derive(Default, Clone)]
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

    /// Adds what is shared around these: it is found where these have nothing.
    pub(crate) fn add_outer(&mut self, outer: &Self) {
        self.values.extend(outer.values.iter().cloned());
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

    pub(super) fn shared(&self) -> &App {
        &self.app
    }

    /// Whether a shutdown has begun, the `drain_delay` included.
    pub fn is_draining(&self) -> bool {
        self.app.draining.load(Ordering::Relaxed)
    }

    pub(super) fn drain(&self) {
        self.app.draining.store(true, Ordering::Relaxed);
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

    /// The application's shared value of type `T`, if there is one. Those of its routers
    /// are found by [`Request::state`](crate::Request::state).
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.app.routes.states()?.get()
    }

    /// The path of the route with this name, with arguments in the place of its
    /// parameters, percent-encoded. A route of a host has the same: its path.
    ///
    /// ```
    /// # use squall::{AppHandle, Application, Path, get};
    /// # use squall::testing::TestServer;
    /// async fn show(Path((_, _)): Path<(String, u32)>) {}
    /// async fn link(app: AppHandle) -> squall::Result<String> {
    ///     app.url("photo", ("Ann & Bob", 7))
    /// }
    ///
    /// let server = TestServer::start(
    ///     Application::new().route("/{user}/photos/{id}", get(show).name("photo")).route("/", link),
    /// );
    /// assert_eq!(server.get("/").text(), "/Ann%20&%20Bob/photos/7");
    /// ```
    ///
    /// # Errors
    /// 500 when no route has that name, or an argument does not fit its place: it is
    /// empty, its constraint does not match, or a browser would read another path.
    #[doc(alias = "reverse_url")]
    pub fn url(&self, name: &str, args: impl UrlArgs) -> Result<String> {
        self.app.routes.url(name, &args)
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
