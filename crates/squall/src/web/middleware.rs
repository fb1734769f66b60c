//! Middleware: `async fn(Request, Next) -> Response`, around every handler.
//!
//! [`Application::middleware`](crate::Application::middleware) takes such functions, and
//! these, which come with the house:
//!
//! | type | what it does |
//! |---|---|
//! | [`Cors`] | lets pages of other sites read answers |
//! | [`SecurityHeaders`] | tells browsers what not to do |
//! | [`RequestIds`] | names each request, in the log and in the answer |
//! | [`Traces`] | continues W3C traces |
//! | [`Metrics`] | counts, and shows it to Prometheus |
//! | [`RateLimit`] | 429 for who sends too much |
//! | [`ConcurrencyLimit`] | 503 when too much is being answered |
//! | [`BasicAuth`] | a name and a password in front of everything |
//! | [`Sessions`](crate::session::Sessions) | remembers visitors |
//!
//! Panics are caught without any of them, deadlines are the routes' own
//! ([`MethodRoutes::timeout`](crate::MethodRoutes::timeout)), and requests of other sites'
//! pages are refused by default
//! ([`Settings::cross_origin_protection`](crate::Settings::cross_origin_protection)).

mod basic_auth;
mod concurrency_limit;
mod cors;
mod metrics;
mod rate_limit;
mod request_id;
mod security_headers;
mod trace_context;

use squall_http::server::ResponseFuture;

use super::execute;
use super::handler::Needs;
use super::request::Request;
use super::respond::IntoResponse;
use super::visit::Visit;

pub use basic_auth::{BasicAuth, same_secret};
pub use concurrency_limit::ConcurrencyLimit;
pub use cors::Cors;
pub use metrics::Metrics;
pub use rate_limit::RateLimit;
pub use request_id::{RequestId, RequestIds};
pub use security_headers::SecurityHeaders;
pub use trace_context::{TraceContext, Traces};

/// A function around the handlers, given to [`Application::middleware`], to
/// [`Router::middleware`](crate::Router::middleware) or to
/// [`MethodRoutes::middleware`](crate::MethodRoutes::middleware).
///
/// They are called in that order, the first one that was added to each as the outermost.
/// One of the application or of a router sees every request below it, also those that no
/// route fits, and every answer, also those to errors: what [`Next::run`] gives is always
/// a whole [`Response`](crate::Response).
///
/// ```
/// use squall::{Application, Next, Request, Response};
///
/// async fn branded(request: Request, next: Next) -> Response {
///     let mut response = next.run(request).await;
///     if let Err(error) = response.headers_mut().set("X-Served-By", "squall") {
///         tracing::error!(%error, "no brand");
///     }
///     response
/// }
///
/// let application = Application::new().middleware(branded);
/// ```
///
/// [`Application::middleware`]: crate::Application::middleware
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a middleware",
    label = "not a middleware",
    note = "a middleware is `async fn(squall::Request, squall::Next) -> squall::Response`; \
            its future has to be `Send`"
)]
pub trait Middleware: Send + Sync + 'static {
    /// Answers the request, by calling [`Next::run`] or without.
    fn call(&self, request: Request, next: Next) -> ResponseFuture;

    /// Says what the application has to have.
    #[doc(hidden)]
    fn needs(&self, needs: &mut Needs) {
        let _ = needs;
    }
}

impl<F, Fut> Middleware for F
where
    F: Fn(Request, Next) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoResponse,
{
    fn call(&self, request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let answer = self(request, next);
        Box::pin(visit.attend(async move { answer.await.into_response() }))
    }
}

/// What makes an answer of a middleware's error or panic.
pub(crate) fn visit(request: &Request) -> Visit {
    Visit::inner(request.shared(), request.place, request)
}

/// The rest of the way: further middleware, then the handler.
#[derive(Debug)]
pub struct Next {
    index: usize,
}

impl Next {
    pub(super) fn first() -> Self {
        Self { index: 0 }
    }

    /// Goes on with the request.
    ///
    /// # Cancel safety
    /// Dropping the future gives the request up.
    pub fn run(self, request: Request) -> ResponseFuture {
        let app = request.shared().clone();
        let scope = app.routes.scope(request.place);
        if let Some(middleware) = scope.and_then(|scope| scope.middleware.get(self.index)) {
            let next = Self {
                index: self.index + 1,
            };
            return middleware.call(request, next);
        }
        let visit = Visit::inner(&app, request.place, &request);
        execute::answer(&app, visit, request)
    }
}
