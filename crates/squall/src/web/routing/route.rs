//! A route: a method and a path, what answers it, and what is known about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;

use super::policy::{Offload, Policy};
use crate::web::handler::Endpoint;
use crate::web::learned::Learned;

/// One method of one path.
pub(crate) struct Route {
    /// `None` answers every method.
    pub(crate) method: Option<Method>,
    /// `GET /block/{ms}`.
    pub(crate) label: Box<str>,
    /// The names of the path's parameters, in order.
    pub(crate) names: Box<[Box<str>]>,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    pub(crate) policy: Policy,
    pub(crate) learned: Learned,
    requests: AtomicU64,
}

impl Route {
    pub(super) fn new(
        method: Option<Method>,
        path: &str,
        endpoint: Arc<dyn Endpoint>,
        policy: Policy,
    ) -> Self {
        let verb = method.as_ref().map_or("ANY", Method::as_str);
        Self {
            label: format!("{verb} {path}").into(),
            names: names(path),
            method,
            endpoint,
            policy,
            learned: Learned::new(Offload::default()),
            requests: AtomicU64::new(0),
        }
    }

    /// The application runs: what was not said about the route is as the settings say.
    pub(super) fn settle(&mut self, offload: Offload) {
        self.learned = Learned::new(self.policy.offload.unwrap_or(offload));
    }

    pub(crate) fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that was counted is shed after all.
    pub(crate) fn uncount(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// The names in a path like `/a/{id}/{*rest}`; doubled braces are literal.
fn names(path: &str) -> Box<[Box<str>]> {
    let mut names = Vec::new();
    let literal = path.replace("{{", "").replace("}}", "");
    for piece in literal.split('{').skip(1) {
        if let Some((name, _)) = piece.split_once('}') {
            names.push(name.trim_start_matches('*').into());
        }
    }
    names.into()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_in_order_without_stars_and_literal_braces() {
        assert_eq!(names("/a/b").len(), 0);
        assert_eq!(*names("/{a}/x/{*b}"), [Box::from("a"), Box::from("b")]);
        assert_eq!(*names("/{{a}}/{b}.png"), [Box::from("b")]);
    }
}
