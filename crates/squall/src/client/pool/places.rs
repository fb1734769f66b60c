//! `Places`: the origins of a pool, found by name once and by number from then on.
//!
//! A permit holds the number of its origin, which stays its own as long as the origin is
//! in use: what a fetch does to the pool needs one search. A host costs little, for a
//! client may know thousands of them.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;
use squall_http::client::Connection;

use super::line::{ByNumber, Line};
use crate::client::route::Route;

/// Origins that are looked at for the one that has been idle for longest. To look at all
/// would cost more than a connection is worth.
const LOOKED_AT: usize = 16;

/// One origin, by one way there: what has to be equal for a connection to be shared.
pub(super) struct Origin {
    /// Scheme, host and port.
    name: Box<str>,
    route: Arc<Route>,
    /// The next one whose name has the same hash; mostly the same name, by another way.
    next: Option<u32>,
    pub(super) active: u32,
    /// Connections that are being made.
    pub(super) dialling: u32,
    /// Oldest first.
    pub(super) idle: Vec<Idle>,
    /// `None`: nobody has waited lately.
    crowd: Option<Box<Crowd>>,
}

/// Those who wait at an origin.
#[derive(Default)]
pub(super) struct Crowd {
    /// For a permit.
    pub(super) waiters: Line,
    /// The turn at which the pool lists the origin as one that a permit would be for.
    pub(super) listed: Option<u64>,
    /// Permits that waiters were given and have not taken: each will want a connection.
    pub(super) granted: u32,
    /// Those who have a permit and wait until they may dial.
    pub(super) dialers: Line,
}

pub(super) struct Idle {
    pub(super) connection: Box<Connection>,
    pub(super) until: Instant,
}

impl Idle {
    /// Whether it may carry another exchange; `ask` asks the system about it.
    pub(super) fn is_fit(&self, now: Instant, ask: bool) -> bool {
        self.until > now && self.connection.is_quiet(ask)
    }
}

impl Origin {
    pub(super) fn is_used(&self) -> bool {
        self.active > 0 || !self.idle.is_empty() || !self.waiters().is_none_or(Line::is_empty)
    }

    /// Who waits for a permit.
    pub(super) fn waiters(&self) -> Option<&Line> {
        Some(&self.crowd.as_ref()?.waiters)
    }

    /// Those who wait, if anybody does or has.
    pub(super) fn crowd(&mut self) -> Option<&mut Crowd> {
        self.crowd.as_deref_mut()
    }

    /// Those who wait, with somebody to come.
    pub(super) fn crowd_in(&mut self) -> &mut Crowd {
        self.crowd.get_or_insert_default()
    }

    /// Permits that waiters were given and have not taken.
    pub(super) fn granted(&self) -> u32 {
        self.crowd.as_ref().map_or(0, |crowd| crowd.granted)
    }

    /// Keeps a connection as the youngest one.
    pub(super) fn push_idle(&mut self, idle: Idle) {
        if self.idle.len() == self.idle.capacity() {
            // Most hosts have one, and there may be thousands of hosts.
            self.idle.reserve_exact(self.idle.len().max(1));
        }
        self.idle.push(idle);
    }

    /// Takes out what has been idle for too long, and lets go of the memory of a rush that
    /// is over.
    pub(super) fn sweep(&mut self, now: Instant, gone: &mut Vec<Idle>) {
        gone.extend(self.idle.extract_if(.., |idle| idle.until <= now));
        let rests = |crowd: &Crowd| {
            crowd.granted == 0 && crowd.waiters.is_empty() && crowd.dialers.is_empty()
        };
        self.crowd.take_if(|crowd| rests(crowd));
        if self.idle.len() < self.idle.capacity() / 2 {
            self.idle.shrink_to_fit();
        }
    }
}

#[derive(Default)]
pub(super) struct Places {
    origins: Slab<Origin>,
    /// The first one of each hash of a name.
    by_hash: ByNumber<u32>,
    hasher: RandomState,
    /// The one that was found last, and most likely is looked for next.
    last: u32,
    /// Where a long idle connection is looked for next.
    next: usize,
}

impl Places {
    /// The number of an origin, which is made if there is none.
    pub(super) fn find(&mut self, name: &str, route: &Arc<Route>) -> u32 {
        if !self.get(self.last).is_some_and(|last| last.is(name, route)) {
            self.last = self.search(name, route);
        }
        self.last
    }

    fn search(&mut self, name: &str, route: &Arc<Route>) -> u32 {
        let hash = self.hasher.hash_one(name);
        let first = self.by_hash.get(&hash).copied();
        let mut at = first;
        while let Some((place, origin)) = at.and_then(|place| Some((place, self.get(place)?))) {
            if origin.is(name, route) {
                return place;
            }
            at = origin.next;
        }
        let place = self.origins.insert(Origin {
            name: name.into(),
            route: route.clone(),
            next: first,
            active: 0,
            dialling: 0,
            idle: Vec::new(),
            crowd: None,
        });
        // Each of them is in use: there is memory for far fewer.
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        self.by_hash.insert(hash, place);
        place
    }

    fn get(&self, place: u32) -> Option<&Origin> {
        self.origins.get(place as usize)
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Origin> {
        self.origins.get_mut(place as usize)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Origin)> {
        (self.origins.iter_mut()).map(|(place, origin)| (place as u32, origin))
    }

    /// An origin with an idle connection that nobody is about to use: of some of them the one
    /// whose has been idle for longest.
    pub(super) fn long_idle(&mut self) -> Option<u32> {
        let slots = self.origins.capacity().max(1);
        let some = (self.next..self.next + LOOKED_AT).map(|at| at % slots);
        self.next = (self.next + LOOKED_AT) % slots;
        let idle = some.filter_map(|at| {
            let origin = self.origins.get(at)?;
            let is_spare = origin.idle.len() > origin.granted() as usize;
            let oldest = origin.idle.first().filter(|_| is_spare)?;
            Some((oldest.connection.heard(), at))
        });
        u32::try_from(idle.min()?.1).ok()
    }

    /// Takes an origin's oldest idle connection.
    pub(super) fn take_oldest(&mut self, place: u32) -> Option<Box<Connection>> {
        let idle = &mut self.get_mut(place)?.idle;
        (!idle.is_empty()).then(|| idle.remove(0).connection)
    }

    /// Lets go of an origin that nobody uses.
    pub(super) fn forget_if_unused(&mut self, place: u32) {
        if self.get(place).is_none_or(Origin::is_used) {
            return;
        }
        let Some(gone) = self.origins.try_remove(place as usize) else {
            return;
        };
        let hash = self.hasher.hash_one(&*gone.name);
        let first = self.by_hash.get(&hash).copied();
        if first == Some(place) {
            match gone.next {
                Some(next) => self.by_hash.insert(hash, next),
                None => self.by_hash.remove(&hash),
            };
            return;
        }
        let mut at = first;
        while let Some(before) = at.and_then(|at| self.origins.get_mut(at as usize)) {
            if before.next == Some(place) {
                before.next = gone.next;
                return;
            }
            at = before.next;
        }
    }
}

impl Origin {
    fn is(&self, name: &str, route: &Arc<Route>) -> bool {
        *self.name == *name && self.route == *route
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
        assert_eq!(places.origins.len(), 1);
        places.get_mut(found[2]).unwrap().active = 0;
        places.forget_if_unused(found[2]);
        assert_eq!((places.origins.len(), places.by_hash.len()), (0, 0));
    }
}
