//! A lane's run queue: the only place where runnable tasks wait.
//!
//! A mutex around a deque. Its critical sections are a few instructions long,
//! and the mutex is what proves that no wake is lost: see `Lane::push`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::task::Runnable;

/// Runnable tasks, first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<VecDeque<Runnable>>);

impl Queue {
    pub(crate) fn push(&self, runnable: Runnable) {
        self.lock().push_back(runnable);
    }

    pub(crate) fn pop(&self) -> Option<Runnable> {
        self.lock().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Runnable>> {
        // A panic cannot happen while it is held; poison would mean nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
