//! The polls whose lane was taken away, while they last.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crate::atomics::Mutex;
use crate::handoff::Claim;
use crate::metrics::{BlockedNow, LOOKED_AT};
use crate::sys;
use crate::watch::{Blocked, Watch};

/// Labels of a kind that are warned about; more than this share the debug level.
const LABELS: usize = 1024;

#[derive(Default)]
pub(crate) struct StuckList {
    stuck: Mutex<Vec<Stuck>>,
    /// The labels that were warned about: of waiting, and of burning CPU.
    warned: [Mutex<HashSet<String>>; 2],
}

/// A poll whose lane was taken away.
pub(crate) struct Stuck {
    since: Instant,
    blocked: Arc<Blocked>,
    watch: Option<Arc<dyn Watch>>,
}

impl Stuck {
    pub(crate) fn new(
        since: Instant,
        blocked: Arc<Blocked>,
        watch: Option<Arc<dyn Watch>>,
    ) -> Self {
        Self {
            since,
            blocked,
            watch,
        }
    }
}

impl StuckList {
    /// Enters a poll if its post can be taken. The entry is there before the thread
    /// can come back and look for it.
    pub(crate) fn enter(
        &self,
        entry: Stuck,
        take: impl FnOnce() -> Option<Claim>,
    ) -> Option<Claim> {
        let mut stuck = self.stuck.lock();
        let claim = take()?;
        stuck.push(entry);
        Some(claim)
    }

    /// The calling thread comes back from a poll and finds that its post is gone.
    pub(crate) fn released(&self) {
        let thread = sys::thread_id();
        let mut stuck = self.stuck.lock();
        let Some(place) = (stuck.iter()).position(|stuck| stuck.blocked.thread == thread) else {
            return;
        };
        let entry = stuck.swap_remove(place);
        drop(stuck);
        let total = entry.since.elapsed();
        if let Some(watch) = &entry.watch {
            watch.released(&entry.blocked, total);
        }
        tracing::debug!(
            target: "squall::loop",
            label = %entry.blocked.label,
            ms = total.as_millis(),
            "a blocking poll is over"
        );
    }

    /// Whether a poll that was caught still goes on.
    pub(crate) fn contains(&self, thread: u64, since: Instant) -> bool {
        (self.stuck.lock().iter())
            .any(|stuck| stuck.blocked.thread == thread && stuck.since == since)
    }

    /// Whether nobody was warned of such a poll yet.
    pub(crate) fn is_news(&self, blocked: &Blocked) -> bool {
        let mut warned = self.warned[usize::from(blocked.on_cpu)].lock();
        let news = warned.len() < LABELS && !warned.contains(&blocked.label);
        if news {
            warned.insert(blocked.label.clone());
        }
        news
    }

    /// The polls that are stuck at this moment.
    pub(crate) fn blocked_now(&self) -> Vec<BlockedNow> {
        let stuck: Vec<_> = (self.stuck.lock().iter())
            .map(|stuck| (stuck.blocked.clone(), stuck.since.elapsed()))
            .collect();
        (stuck.into_iter().enumerate())
            .map(|(place, (blocked, lasts))| {
                let caught = BlockedNow::caught(&blocked, lasts);
                if place < LOOKED_AT {
                    caught.look(blocked.thread)
                } else {
                    caught
                }
            })
            .collect()
    }
}
