//! Routing: from a method and a path to a route, over one radix tree.

mod methods;
mod policy;
mod route;
mod spans;
mod table;

pub use methods::{MethodRoutes, any, delete, get, head, on, options, patch, post, put};
pub use policy::Offload;
pub(crate) use route::Route;
pub(crate) use spans::Spans;
pub(crate) use table::{Place, Routes, Table};
