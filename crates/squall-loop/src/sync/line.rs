//! A line of waiting futures, first come, first served.

use std::collections::BTreeMap;
use std::task::Waker;

/// Who waits, in order of arrival.
///
/// Leaving the line is the answer: a future that does not find its place any more
/// has been served.
#[derive(Debug, Default)]
pub(crate) struct Line {
    next: u64,
    places: BTreeMap<u64, Option<Waker>>,
}

impl Line {
    /// A new place at the end. Later places have larger numbers.
    pub(crate) fn join(&mut self, waker: Option<Waker>) -> u64 {
        let place = self.next;
        self.next += 1;
        self.places.insert(place, waker);
        place
    }

    /// The number of the place that is given next.
    pub(crate) fn end(&self) -> u64 {
        self.next
    }

    /// Still waiting, from here on with this waker; None: it has been served.
    ///
    /// The caller drops the old waker when it has let go of its lock, for a waker
    /// may own a task, and that task whatever.
    pub(crate) fn wait(&mut self, place: u64, waker: &Waker) -> Option<Option<Waker>> {
        let known = self.places.get_mut(&place)?;
        Some(match known {
            Some(known) if known.will_wake(waker) => None,
            _ => known.replace(waker.clone()),
        })
    }

    /// Serves the first in line. The caller wakes it without its lock.
    pub(crate) fn serve(&mut self) -> Option<Option<Waker>> {
        self.places.pop_first().map(|(_, place)| place)
    }

    /// Gives a place up; None: it has been served. The caller drops what it gets
    /// without its lock.
    pub(crate) fn leave(&mut self, place: u64) -> Option<Option<Waker>> {
        self.places.remove(&place)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}
