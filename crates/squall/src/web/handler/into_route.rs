//! What `Application::route` takes: functions, methods, and handler types.

use super::function::Handler;
use super::request_handler::{self, RequestHandler};
use crate::web::routing::MethodRoutes;

/// Anything that can answer a path; see [`Application::route`](crate::Application::route).
///
/// `M` tells the kinds apart and is never written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer a route",
    label = "not a handler",
    note = "a handler is an `async fn` of up to eight extractors (`squall::FromRequest`), the last of which \
            may be `Request`, with a result that is `squall::IntoResponse`",
    note = "its future has to be `Send`: nothing like `Rc` or a lock's guard may live across an `.await`",
    note = "to hear which of these it is, write `squall::web::explain::with_one(f)` for a handler `f` of one \
            parameter, `with_two(f)` for one of two, and so on",
    note = "`get(f).post(g)` and values of a type that is `squall::RequestHandler` fit, too"
)]
pub trait IntoRoute<M> {
    /// The handlers by method.
    fn into_route(self) -> MethodRoutes;
}

/// An async function.
#[derive(Debug)]
#[doc(hidden)]
pub enum Function {}

/// Functions by method.
#[derive(Debug)]
#[doc(hidden)]
pub enum ByMethod {}

/// A type with a method per verb.
#[derive(Debug)]
#[doc(hidden)]
pub enum Type {}

impl<H: Handler<M>, M: 'static> IntoRoute<(Function, M)> for H {
    fn into_route(self) -> MethodRoutes {
        MethodRoutes::default().get(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoRoute<ByMethod> for MethodRoutes {
    fn into_route(self) -> MethodRoutes {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<H: RequestHandler> IntoRoute<Type> for H {
    fn into_route(self) -> MethodRoutes {
        request_handler::routes(self)
    }
}
