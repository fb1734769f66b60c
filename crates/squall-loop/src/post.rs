//! Where a thread polls tasks: the part of a lane, or of a relief, that the monitor
//! looks at.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::budget;
use crate::handoff::{Claim, Ownership};
use crate::sys;
use crate::task::Runnable;

/// One place at which one thread at a time polls.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) ownership: Ownership,
    /// The thread that polls here, for the monitor.
    thread: AtomicU64,
    /// The watch of the task that is being polled; 0 is none.
    current: AtomicU64,
}

impl Post {
    pub(crate) fn new() -> (Self, Claim) {
        let (ownership, claim) = Ownership::new();
        let post = Self {
            ownership,
            thread: AtomicU64::new(0),
            current: AtomicU64::new(0),
        };
        (post, claim)
    }

    /// The calling thread polls here from now on.
    pub(crate) fn man(&self) {
        self.thread.store(sys::thread_id(), Ordering::Release);
    }

    /// Which thread polls here.
    pub(crate) fn thread(&self) -> u64 {
        self.thread.load(Ordering::Acquire)
    }

    /// The watch of the task that is being polled; 0 is none.
    pub(crate) fn current(&self) -> u64 {
        self.current.load(Ordering::Relaxed)
    }

    /// Polls a task. False: the post was taken away meanwhile.
    #[inline]
    #[must_use]
    pub(crate) fn poll(&self, claim: &mut Claim, runnable: Runnable) -> bool {
        self.current
            .store(runnable.metadata().watch, Ordering::Relaxed);
        budget::renew();
        self.ownership.enter(claim);
        runnable.run();
        self.ownership.leave(claim)
    }

    /// What is polled from now on is no task.
    pub(crate) fn no_task(&self) {
        self.current.store(0, Ordering::Relaxed);
    }
}
