//! The web layer: routing, handlers, extractors, answers, errors and middleware.
//!
//! The life of a request is one function, in `execute`.

mod app;
mod application;
#[cfg(feature = "compression")]
mod compress;
pub mod cookies;
mod cross_origin;
mod etag;
mod execute;
pub mod explain;
pub mod extract;
mod handler;
mod http_error;
mod learned;
mod listen;
mod listener;
pub mod middleware;
mod offload;
mod panic;
mod readiness;
mod redirect_to_https;
mod request;
pub mod respond;
mod routing;
mod service;
pub mod session;
mod shed;
mod static_files;
pub mod upload;
mod user;
mod visit;

pub use app::{AppHandle, AppStats, LearnedRoute, RouteStats};
pub use application::Application;
#[cfg(feature = "compression")]
pub use compress::{Compression, compressible};
pub(crate) use handler::Needs;
pub use handler::{Context, Handler, IntoRoute, RequestHandler};
pub use http_error::Problem;
pub use learned::RunsOn;
pub use listen::Running;
pub use listener::Listener;
pub use middleware::{Middleware, Next};
pub use readiness::readiness;
pub use request::Request;
pub use routing::{
    MethodRoutes, Offload, Router, TrailingSlash, UrlArgs, any, delete, get, head, on, options,
    patch, post, put,
};
pub use static_files::StaticFiles;
pub use user::{CurrentUser, User};
