//! A lane's run queue: the only place where runnable tasks wait.
//!
//! A mutex around a deque. Its critical sections are a few instructions long,
//! and the mutex is what proves that no wake is lost: see `Doze`.

use std::collections::VecDeque;

use crate::atomics::Mutex;

/// Runnable tasks, first in, first out.
#[derive(Debug)]
pub(crate) struct Queue<T>(Mutex<VecDeque<T>>);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&self, item: T) {
        self.0.lock().push_back(item);
    }

    pub(crate) fn push_first(&self, item: T) {
        self.0.lock().push_front(item);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
