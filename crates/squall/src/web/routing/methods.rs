//! `get`, `post` and their sisters: which handler answers which method of a path.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::policy::{Offload, Policy};
use crate::web::handler::{Endpoint, Handler, Plain};
use crate::web::middleware::Middleware;

/// Handlers by method, for one path.
///
/// `HEAD` follows from `GET`, and `OPTIONS` is answered with `Allow`, unless there is
/// a handler of its own.
///
/// ```
/// use squall::{Application, get};
///
/// async fn show() -> &'static str { "here" }
/// async fn store(body: String) -> String { body }
///
/// let application = Application::new().route("/thing", get(show).post(store));
/// ```
///
/// How they are run is said here, too: [`offload`](Self::offload),
/// [`timeout`](Self::timeout), [`run_to_completion`](Self::run_to_completion) and
/// [`never_shed`](Self::never_shed) hold for every handler of this value, also for those
/// that are added after it. A type that is a [`RequestHandler`](crate::RequestHandler)
/// becomes such a value with [`into_route`](crate::IntoRoute::into_route).
///
/// ```
/// use std::time::Duration;
/// use squall::{Application, Context, IntoRoute, Offload, RequestHandler, Result, get};
///
/// async fn report() -> &'static str { "done" }
///
/// #[derive(Clone)]
/// struct Photos;
/// impl RequestHandler for Photos {
///     async fn get(&mut self, context: &mut Context) -> Result<()> {
///         context.write("here");
///         Ok(())
///     }
/// }
///
/// let application = Application::new()
///     .route("/report", get(report).timeout(Duration::from_secs(300)))
///     .route("/photos", Photos.into_route().offload(Offload::Always));
/// ```
#[derive(Default)]
#[must_use = "give it to Application::route"]
pub struct MethodRoutes {
    pub(crate) entries: Vec<(Option<Method>, Arc<dyn Endpoint>)>,
    pub(crate) policy: Policy,
    /// From the outermost on.
    pub(super) middleware: Vec<Arc<dyn Middleware>>,
    /// The name of the path, and where it was given.
    pub(super) name: Option<(Box<str>, &'static Location<'static>)>,
}

impl MethodRoutes {
    pub(crate) fn push(mut self, method: Option<Method>, endpoint: Arc<dyn Endpoint>) -> Self {
        self.entries.push((method, endpoint));
        self
    }

    /// Answers `method` with `handler`.
    pub fn on<M: 'static>(self, method: Method, handler: impl Handler<M>) -> Self {
        self.push(Some(method), Plain::boxed(handler))
    }

    /// Answers every method that has no handler of its own.
    pub fn any<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.push(None, Plain::boxed(handler))
    }

    /// Answers GET, and HEAD with it.
    pub fn get<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.on(Method::GET, handler)
    }

    /// Answers HEAD in another way than GET.
    pub fn head<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.on(Method::HEAD, handler)
    }

    /// Answers POST.
    pub fn post<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.on(Method::POST, handler)
    }

    /// Answers PUT.
    pub fn put<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.on(Method::PUT, handler)
    }

    /// Answers PATCH.
    pub fn patch<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.on(Method::PATCH, handler)
    }

    /// Answers DELETE.
    pub fn delete<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.on(Method::DELETE, handler)
    }

    /// Answers OPTIONS in place of the generated answer.
    pub fn options<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.on(Method::OPTIONS, handler)
    }

    /// Names the path, so that [`AppHandle::url`](crate::AppHandle::url) can build it.
    ///
    /// ```
    /// use squall::{AppHandle, Application, Path, Redirect, Result, get};
    ///
    /// async fn photo(Path(id): Path<u32>) -> String { format!("photo {id}") }
    /// async fn newest(app: AppHandle) -> Result<Redirect> {
    ///     Ok(Redirect::to(app.url("photo", (7,))?))
    /// }
    ///
    /// let application = Application::new()
    ///     .route("/photos/{id:[0-9]+}", get(photo).name("photo"))
    ///     .route("/newest", newest);
    /// ```
    #[track_caller]
    #[doc(alias = "URLSpec")]
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some((name.into(), Location::caller()));
        self
    }

    /// Puts a function around these handlers alone, inside of the router's and the
    /// application's. The first one is the outermost.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(Arc::new(middleware));
        self
    }

    /// Where the handlers are polled: default as
    /// [`Settings::offload`](crate::Settings::offload) says.
    pub fn offload(mut self, offload: Offload) -> Self {
        self.policy.offload = Some(offload);
        self
    }

    /// How long the handlers may take to answer, from the end of the request's head on, or
    /// from the last piece of its body that was read; then 504 is answered, also while the
    /// handler is stuck. Default: the server's `handler_timeout`, 60 s. A request may move
    /// its own deadline ([`Exchange::set_deadline`](crate::Exchange::set_deadline)).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.policy.timeout = Some(limit);
        self
    }

    /// Lets the handlers run to their end although nobody waits for the answer: the
    /// client has gone, or the deadline was answered in their place. The result is
    /// discarded and counted ([`AppStats::late`](crate::web::AppStats::late)). A shutdown
    /// waits for them within its grace.
    ///
    /// By default a handler's future is dropped then, at the next `.await`.
    ///
    /// The deadline is the answer's, not the work's: a fetch inside of such a handler
    /// has only its own limits.
    pub fn run_to_completion(mut self) -> Self {
        self.policy.completes = true;
        self
    }

    /// Bytes that an extractor which needs a whole body may collect, beyond it 413.
    /// Default: the application's
    /// [`max_collected_body`](crate::Settings::max_collected_body), 2 MiB.
    pub fn max_collected_body(mut self, limit: u64) -> Self {
        self.policy.max_collected_body = Some(limit);
        self
    }

    /// Answers these requests even when the server has no thread to spare and refuses
    /// the others with 503. For the health check: its handlers must not block.
    pub fn never_shed(mut self) -> Self {
        self.policy.never_shed = true;
        self
    }

    /// Lets pages of other sites send these requests, also with unsafe methods: for
    /// what does not know its users by cookies or addresses. Otherwise such requests are
    /// refused with 403 ([`Settings::cross_origin_protection`]).
    ///
    /// [`Settings::cross_origin_protection`]: crate::Settings::cross_origin_protection
    pub fn allow_cross_origin(mut self) -> Self {
        self.policy.cross_origin = true;
        self
    }
}

impl std::fmt::Debug for MethodRoutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let methods =
            (self.entries.iter()).map(|(method, _)| method.as_ref().map_or("ANY", Method::as_str));
        f.debug_list().entries(methods).finish()
    }
}

/// A path whose `method` is answered by `handler`.
pub fn on<M: 'static>(method: Method, handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().on(method, handler)
}

/// A path whose every method is answered by `handler`.
pub fn any<M: 'static>(handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().any(handler)
}

/// A path whose GET and HEAD are answered by `handler`.
pub fn get<M: 'static>(handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().get(handler)
}

/// A path whose HEAD is answered by `handler`.
pub fn head<M: 'static>(handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().head(handler)
}

/// A path whose POST is answered by `handler`.
pub fn post<M: 'static>(handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().post(handler)
}

/// A path whose PUT is answered by `handler`.
pub fn put<M: 'static>(handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().put(handler)
}

/// A path whose PATCH is answered by `handler`.
pub fn patch<M: 'static>(handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().patch(handler)
}

/// A path whose DELETE is answered by `handler`.
pub fn delete<M: 'static>(handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().delete(handler)
}

/// A path whose OPTIONS is answered by `handler`.
pub fn options<M: 'static>(handler: impl Handler<M>) -> MethodRoutes {
    MethodRoutes::default().options(handler)
}
