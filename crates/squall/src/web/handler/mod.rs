//! Handlers: async functions with extractors, and types with a method per verb.

mod context;
mod endpoint;
mod function;
mod into_route;
mod outgoing;
mod request_handler;

pub use context::Context;
pub(crate) use endpoint::{Endpoint, Needs, Plain};
pub use function::Handler;
pub use into_route::IntoRoute;
pub use request_handler::RequestHandler;
