//! The polls whose lane was taken away, while they last.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crate::atomics::Mutex;
use crate::handoff::Claim;
use crate::metrics::{BlockedNow, LOOKED_AT};
use crate::suspect::Caught;
use crate::sys;
use crate::task::say;
use crate::watch::{Blocked, UNNAMED, Watch};

/// Labels of a kind that are warned about; more than this share the debug level.
const LABELS: usize = 1024;

#[derive(Default)]
pub(crate) struct StuckList {
    stuck: Mutex<Vec<Stuck>>,
    /// What was warned about: of waiting, and of burning CPU.
    warned: [Mutex<Warned>; 2],
}

/// The labels that were warned about, and whether tasks without one were.
#[derive(Default)]
struct Warned {
    labels: HashSet<String>,
    unnamed: bool,
}

/// A poll whose lane was taken away.
#[derive(Clone)]
pub(crate) struct Stuck {
    caught: Caught,
    lane: usize,
    told: Option<Told>,
}

/// Who hears of a stuck poll, and what. Nobody hears of a task without a name, so nothing
/// is made for it.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) watch: Arc<dyn Watch>,
    pub(crate) blocked: Arc<Blocked>,
}

impl Stuck {
    pub(crate) fn new(caught: &Caught, lane: usize, watch: Option<Arc<dyn Watch>>) -> Self {
        let mut stuck = Self {
            caught: *caught,
            lane,
            told: None,
        };
        stuck.told = watch.map(|watch| Told {
            blocked: Arc::new(stuck.labelled(watch.label())),
            watch,
        });
        stuck
    }

    pub(crate) fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// What the task is called.
    pub(crate) fn label(&self) -> &str {
        (self.told()).map_or(UNNAMED, |told| told.blocked.label.as_str())
    }

    pub(crate) fn since(&self) -> Instant {
        self.caught.since
    }

    /// What is told of it.
    pub(crate) fn blocked(&self) -> Arc<Blocked> {
        match &self.told {
            Some(told) => told.blocked.clone(),
            None => Arc::new(self.labelled(UNNAMED.to_owned())),
        }
    }

    fn labelled(&self, label: String) -> Blocked {
        Blocked {
            label,
            after: self.caught.after,
            syscall: self.caught.syscall,
            on_cpu: self.caught.on_cpu,
            explicit: self.caught.explicit,
            thread: self.caught.thread,
            lane: self.lane,
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
        let Some(place) = (stuck.iter()).position(|stuck| stuck.caught.thread == thread) else {
            return;
        };
        let entry = stuck.swap_remove(place);
        drop(stuck);
        let since = entry.since();
        if let Some(Told { watch, blocked }) = entry.told() {
            say(|| watch.released(blocked, since.elapsed()));
        }
        say(|| {
            tracing::debug!(
                target: "squall::loop",
                label = entry.label(),
                ms = since.elapsed().as_millis(),
                "a blocking poll is over"
            );
        });
    }

    /// Whether a poll that was caught still goes on.
    pub(crate) fn contains(&self, thread: u64, since: Instant) -> bool {
        (self.stuck.lock().iter())
            .any(|stuck| stuck.caught.thread == thread && stuck.since() == since)
    }

    /// Whether nobody was warned of such a poll yet.
    pub(crate) fn is_news(&self, stuck: &Stuck) -> bool {
        let mut warned = self.warned[usize::from(stuck.caught.on_cpu)].lock();
        if stuck.told().is_none() {
            return !std::mem::replace(&mut warned.unnamed, true);
        }
        let labels = &mut warned.labels;
        let news = labels.len() < LABELS && !labels.contains(stuck.label());
        if news {
            labels.insert(stuck.label().to_owned());
        }
        news
    }

    /// The polls that are stuck at this moment.
    pub(crate) fn blocked_now(&self) -> Vec<BlockedNow> {
        let stuck: Vec<_> = (self.stuck.lock().iter())
            .map(|stuck| (stuck.blocked(), stuck.since().elapsed()))
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
