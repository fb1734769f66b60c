//! Routing: from a host, a method and a path to a route, over a tree of segments.
//!
//! A [`Router`] is what the application's author writes, [`Routes`] what is read while it
//! runs. In between everything is checked, and what conflicts is named with the place in
//! the source.

mod build;
mod host;
mod methods;
mod pattern;
mod policy;
mod reverse;
mod route;
mod router;
mod scope;
mod slash;
mod spans;
mod table;
mod tree;

pub use methods::{MethodRoutes, any, delete, get, head, on, options, patch, post, put};
pub use policy::Offload;
pub use reverse::UrlArgs;
pub(crate) use route::Route;
pub use router::Router;
pub use slash::TrailingSlash;
pub(crate) use slash::toggled;
pub(crate) use spans::Spans;
pub(crate) use table::{Place, Routes};
