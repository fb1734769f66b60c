//! `Line`: those who wait, first come, first served, each by the number of its ticket.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::task::Waker;

/// Tickets rise, so the line is sorted by them.
#[derive(Default)]
pub(super) struct Line(VecDeque<(u64, Waker)>);

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Stands behind those with lower tickets: at the end, unless it has left the line for
    /// nothing.
    pub(super) fn join(&mut self, ticket: u64) {
        let at = self.0.partition_point(|(other, _)| *other < ticket);
        self.0.insert(at, (ticket, Waker::noop().clone()));
    }

    /// Who is next leaves the line.
    pub(super) fn pop(&mut self) -> Option<(u64, Waker)> {
        self.0.pop_front()
    }

    /// Who stands there from now on is woken by this.
    pub(super) fn wait(&mut self, ticket: u64, waker: &Waker) {
        if let Some((_, old)) = self.find(ticket).and_then(|at| self.0.get_mut(at)) {
            old.clone_from(waker);
        }
    }

    /// Leaves the line; false: it was not in it.
    pub(super) fn leave(&mut self, ticket: u64) -> bool {
        let left = self.find(ticket).and_then(|at| self.0.remove(at));
        left.is_some()
    }

    fn find(&self, ticket: u64) -> Option<usize> {
        self.0
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
            .ok()
    }
}

/// A map by numbers that nobody chooses: tickets, and hashes that are keyed already.
pub(super) type ByNumber<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;

/// Spreads a number over all bits, by the golden ratio.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The map takes its low bits for the place and its high ones to compare.
        self.0.rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_served_first_and_anybody_may_leave() {
        let mut line = Line::default();
        for ticket in [5, 9, 12, 3] {
            line.join(ticket);
        }
        assert!(line.leave(5) && !line.leave(5) && !line.leave(4));
        line.wait(9, Waker::noop());
        let served: Vec<_> = std::iter::from_fn(|| line.pop().map(|(ticket, _)| ticket)).collect();
        assert_eq!(served, [3, 9, 12]);
        assert!(line.is_empty());
    }
}
