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
    /// The names of the parameters in order: those of the host, then those of the path.
    pub(crate) names: Box<[Box<str>]>,
    /// How many of them the host has.
    pub(crate) in_host: usize,
    /// The number of its scope.
    pub(super) scope: u32,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    pub(crate) policy: Policy,
    pub(crate) learned: Learned,
    requests: AtomicU64,
}

impl Route {
    pub(super) fn new(
        method: Option<Method>,
        label: Box<str>,
        names: Names,
        scope: u32,
        endpoint: Arc<dyn Endpoint>,
        (policy, offload): (Policy, Offload),
    ) -> Self {
        Self {
            method,
            label,
            names: names.all,
            in_host: names.in_host,
            scope,
            endpoint,
            policy,
            learned: Learned::new(policy.offload.unwrap_or(offload)),
            requests: AtomicU64::new(0),
        }
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

/// The names of a route's parameters.
#[derive(Clone)]
pub(super) struct Names {
    pub(super) all: Box<[Box<str>]>,
    /// How many of them, from the first on, are the host's.
    pub(super) in_host: usize,
}
