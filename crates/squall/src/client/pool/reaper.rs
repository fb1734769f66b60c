//! `Reaper`: closes what has been idle for too long.

use std::sync::{Arc, Weak};
use std::time::Duration;

use squall_loop::IoLoop;
use squall_loop::time::now;

use super::Pool;

impl Pool {
    /// Sweeps while there is something to sweep; holds no pool alive.
    pub(super) fn reap_later(self: &Arc<Self>) {
        Reaper(Arc::downgrade(self)).later();
    }

    /// Closes what has been idle for too long; says whether to come again.
    fn reap(&self) -> bool {
        let now = now();
        let mut gone = Vec::new();
        let mut state = self.state.lock();
        let mut unused = Vec::new();
        for (place, origin) in state.places.iter_mut() {
            origin.sweep(now, &mut gone);
            if !origin.is_used() {
                unused.push(place);
            }
        }
        for place in unused {
            state.places.forget_if_unused(place);
        }
        state.idle -= gone.len();
        state.reaping = state.idle > 0;
        state.reaping
    }
}

/// Whoever sweeps next. Where it is dropped before, as with its loop, the next connection
/// that is put back finds another one.
struct Reaper(Weak<Pool>);

impl Reaper {
    fn later(mut self) {
        let (Some(io_loop), Some(pool)) = (IoLoop::try_current(), self.0.upgrade()) else {
            return;
        };
        let every = (pool.limits.idle_timeout / 3).max(Duration::from_millis(100));
        io_loop.call_later(every, move || {
            match self.0.upgrade().is_some_and(|pool| pool.reap()) {
                true => self.later(),
                false => drop(std::mem::take(&mut self.0)),
            }
        });
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.state.lock().reaping = false;
        }
    }
}
