//! A lane's run queue: the only place where runnable tasks wait.
//!
//! A mutex around a deque. Its critical sections are a few instructions long,
//! and the mutex is what proves that no wake is lost: see `Lane::push`.

use std::collections::VecDeque;

use crate::task::Runnable;
use parking_lot::Mutex;

/// Runnable tasks, first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<VecDeque<Runnable>>);

impl Queue {
    pub(crate) fn push(&self, runnable: Runnable) {
        self.0.lock().push_back(runnable);
    }

    pub(crate) fn pop(&self) -> Option<Runnable> {
        self.0.lock().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
