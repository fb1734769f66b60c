//! `Places`: the origins of a pool, found by name once and by number from then on.
//!
//! A permit holds the number of its origin, which stays its own as long as the origin is
//! in use: what a fetch does to the pool needs one search, and a host costs little.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use slab::Slab;
use squall_http::client::Connection;

use crate::client::route::Route;

/// One origin, by one way there: what has to be equal for a connection to be shared.
pub(super) struct Origin {
    /// Scheme, host and port.
    name: Arc<str>,
    route: Arc<Route>,
    /// The next one of the same name, by another way.
    next: Option<usize>,
    pub(super) active: usize,
    /// Oldest first.
    pub(super) idle: Vec<Idle>,
    /// By ticket, so oldest first too.
    pub(super) waiters: BTreeMap<u64, Waker>,
    /// Permits that waiters were given and have not taken: each will want a connection.
    pub(super) granted: usize,
    /// Connections that are being made.
    pub(super) dialling: usize,
    /// Those who have a permit and wait until they may dial; by ticket.
    pub(super) line: BTreeMap<u64, Waker>,
}

pub(super) struct Idle {
    pub(super) connection: Box<Connection>,
    pub(super) until: Instant,
}

impl Origin {
    pub(super) fn is_used(&self) -> bool {
        self.active > 0 || !self.idle.is_empty() || !self.waiters.is_empty()
    }

    /// Keeps a connection as the youngest one.
    pub(super) fn push_idle(&mut self, idle: Idle) {
        if self.idle.len() == self.idle.capacity() {
            // Most hosts have one, and there may be thousands of hosts.
            self.idle.reserve_exact(self.idle.len().max(1));
        }
        self.idle.push(idle);
    }
}

#[derive(Default)]
pub(super) struct Places {
    origins: Slab<Origin>,
    /// The first one of each name.
    by_name: HashMap<Arc<str>, usize>,
    /// The one that was found last, and most likely is looked for next.
    last: usize,
}

impl Places {
    /// The number of an origin, which is made if there is none.
    pub(super) fn find(&mut self, name: &str, route: &Arc<Route>) -> usize {
        let is_it = |last: &Origin| *last.name == *name && last.route == *route;
        if !self.get(self.last).is_some_and(is_it) {
            self.last = self.search(name, route);
        }
        self.last
    }

    fn search(&mut self, name: &str, route: &Arc<Route>) -> usize {
        let first = self.by_name.get(name).copied();
        let mut at = first;
        while let Some((place, origin)) = at.and_then(|place| Some((place, self.get(place)?))) {
            if origin.route == *route {
                return place;
            }
            at = origin.next;
        }
        let name = (first.and_then(|place| self.get(place)))
            .map_or_else(|| name.into(), |origin| origin.name.clone());
        let place = self.origins.insert(Origin {
            name: name.clone(),
            route: route.clone(),
            next: first,
            active: 0,
            idle: Vec::new(),
            waiters: BTreeMap::new(),
            granted: 0,
            dialling: 0,
            line: BTreeMap::new(),
        });
        self.by_name.insert(name, place);
        place
    }

    fn get(&self, place: usize) -> Option<&Origin> {
        self.origins.get(place)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Origin> {
        self.origins.get_mut(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Origin)> {
        self.origins.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Origin)> {
        self.origins.iter_mut()
    }

    /// Lets go of an origin that nobody uses.
    pub(super) fn forget_if_unused(&mut self, place: usize) {
        if self.get(place).is_none_or(Origin::is_used) {
            return;
        }
        let Some(gone) = self.origins.try_remove(place) else {
            return;
        };
        let first = self.by_name.get(&gone.name).copied();
        if first == Some(place) {
            match gone.next {
                Some(next) => self.by_name.insert(gone.name, next),
                None => self.by_name.remove(&gone.name),
            };
            return;
        }
        let mut at = first;
        while let Some(before) = at.and_then(|at| self.origins.get_mut(at)) {
            if before.next == Some(place) {
                before.next = gone.next;
                return;
            }
            at = before.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(server_name: &str) -> Arc<Route> {
        Arc::new(Route {
            server_name: Some(server_name.to_owned()),
            ..Route::default()
        })
    }

    #[test]
    fn each_name_and_way_has_its_place_until_it_is_unused() {
        let mut places = Places::default();
        let ways = [route("a"), route("b"), route("c")];
        let found = ways.each_ref().map(|way| places.find("http://x", way));
        let other = places.find("http://y", &ways[0]);
        for (way, place) in ways.iter().zip(found) {
            // Equal is enough.
            assert_eq!(places.find("http://x", &Arc::new(Route::clone(way))), place);
        }
        places.get_mut(found[2]).unwrap().active = 1;
        for place in [found[1], found[2], found[0], other] {
            places.forget_if_unused(place);
        }
        assert_eq!(places.find("http://x", &ways[2]), found[2]);
        assert_eq!(places.iter().count(), 1);
        places.get_mut(found[2]).unwrap().active = 0;
        places.forget_if_unused(found[2]);
        assert_eq!((places.iter().count(), places.by_name.len()), (0, 0));
    }
}
