//! A scope: what holds for the routes of one router, or of one path.

use std::any::TypeId;
use std::sync::Arc;

use super::pattern::Pattern;
use crate::web::app::States;
use crate::web::handler::Endpoint;
use crate::web::middleware::Middleware;

/// What is around a route, complete: the outer scopes' parts are in it.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    /// From the outermost on.
    pub(crate) middleware: Box<[Arc<dyn Middleware>]>,
    /// Answers what no route fits.
    pub(crate) not_found: Option<Arc<dyn Endpoint>>,
    /// Shared values, the innermost first.
    pub(crate) states: States,
    /// What the middleware attaches to requests, by type.
    pub(super) provided: Vec<TypeId>,
}

/// The paths below a router, for those that no route fits.
pub(super) struct Subtree {
    /// The number of the host pattern; `None` for every host.
    pub(super) host: Option<u32>,
    pub(super) prefix: Pattern,
    pub(super) scope: u32,
}
