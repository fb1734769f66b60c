//! Which item a queue gives next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The items of a queue, and which of them is next.
///
/// [`Fifo`], [`Lifo`] and [`Smallest`] are all there are.
pub trait Order: Default + sealed::Sealed {
    /// What is in the queue.
    type Item;

    /// Puts an item in.
    fn push(&mut self, item: Self::Item);

    /// Takes the next item out.
    fn pop(&mut self) -> Option<Self::Item>;

    /// How many there are.
    fn count(&self) -> usize;
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::Fifo<T> {}
    impl<T> Sealed for super::Lifo<T> {}
    impl<T> Sealed for super::Smallest<T> {}
}

/// First in, first out: the order of a [`Queue`](super::Queue).
#[derive(Debug)]
pub struct Fifo<T>(VecDeque<T>);

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Order for Fifo<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.0.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// Last in, first out: the order of a [`LifoQueue`](super::LifoQueue).
#[derive(Debug)]
pub struct Lifo<T>(Vec<T>);

impl<T> Default for Lifo<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Order for Lifo<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// The smallest first, equal ones in the order they came: the order of a
/// [`PriorityQueue`](super::PriorityQueue).
#[derive(Debug)]
pub struct Smallest<T> {
    heap: BinaryHeap<Reverse<(T, u64)>>,
    pushed: u64,
}

impl<T: Ord> Default for Smallest<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            pushed: 0,
        }
    }
}

impl<T: Ord> Order for Smallest<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.heap.push(Reverse((item, self.pushed)));
        self.pushed += 1;
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|Reverse((item, _))| item)
    }

    fn count(&self) -> usize {
        self.heap.len()
    }
}
