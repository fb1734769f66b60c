//! The one thread that watches the lanes and hands a stuck lane to a spare.
//!
//! It never runs a task. While anything moves it looks at each lane's ownership
//! word every tick: a word that stays the same, inside a poll, for longer than the
//! threshold is a suspect. A suspect is inspected (waiting in the kernel, or how
//! much CPU did this poll burn?) so that a carrier which was merely descheduled is
//! left alone. After a hand-off the monitor looks faster for a while, because
//! blocking polls come in storms. While every lane sleeps, so does the monitor.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::gate::Gate;
use crate::handoff::Seen;
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::metrics::BlockedNow;
use crate::sys::{self, Activity};
use crate::threads::Job;
use crate::watch::{Blocked, Watch};
use parking_lot::{Mutex, MutexGuard};

/// How closely the monitor looks.
#[derive(Debug, Clone, Copy)]
struct Pace {
    tick: Duration,
    threshold: Duration,
}

const CALM: Pace = Pace {
    tick: Duration::from_millis(2),
    threshold: Duration::from_millis(4),
};
const STORM: Pace = Pace {
    tick: Duration::from_micros(500),
    threshold: Duration::from_millis(1),
};
/// How long after a hand-off the next one is expected.
const STORM_LASTS: Duration = Duration::from_secs(1);
/// Idle time before the monitor parks, so that steady traffic does not wake it.
const LINGER: Duration = Duration::from_millis(20);
/// Labels that are warned about once each; more than this share the debug level.
const LABELS: usize = 1024;

#[derive(Default)]
pub(crate) struct Monitor {
    pub(crate) gate: Arc<Gate>,
    stuck: Mutex<Vec<Stuck>>,
    warned: Mutex<HashSet<String>>,
}

/// A poll whose lane was taken away, while it lasts.
struct Stuck {
    thread: u64,
    since: Instant,
    blocked: Blocked,
    watch: Option<Arc<dyn Watch>>,
}

/// What the monitor remembers of a lane between two looks.
#[derive(Clone, Copy)]
struct Suspect {
    seen: Seen,
    since: Instant,
    cpu: Option<Duration>,
}

/// The monitor thread's life. It ends when the loop is gone or stops.
pub(crate) fn run(shared: &Weak<Shared>, gate: &Gate) {
    let mut suspects: Vec<Option<Suspect>> = Vec::new();
    let mut storm_until: Option<Instant> = None;
    let mut last = Instant::now();
    let mut busy = last;
    loop {
        let Some(strong) = shared.upgrade().filter(|shared| !shared.is_stopping()) else {
            return;
        };
        suspects.resize(strong.lanes.len(), None);
        let now = Instant::now();
        let storm = storm_until.is_some_and(|until| now < until);
        let pace = if storm { STORM } else { CALM };
        if now.duration_since(last) > pace.tick * 8 {
            // The monitor itself did not run: what it measured means nothing.
            suspects.fill(None);
        }
        last = now;
        for (lane, suspect) in strong.lanes.iter().zip(&mut suspects) {
            if look(&strong, lane, suspect, now, pace) {
                storm_until = Some(now + STORM_LASTS);
            }
        }
        if storm {
            strong.threads.warm(shared);
        }
        strong.threads.retry_queued(shared);
        if !strong.all_asleep() {
            busy = now;
        }
        if now.duration_since(busy) < LINGER || storm {
            drop(strong);
            std::thread::sleep(pace.tick);
        } else {
            let lanes = strong.lanes.clone();
            drop(strong);
            gate.park(|| lanes.iter().all(|lane| asleep(lane)));
            suspects.fill(None);
            last = Instant::now();
            busy = last;
        }
    }
}

pub(crate) fn asleep(lane: &Lane) -> bool {
    lane.doze.is_asleep() && !lane.stopping.load(Ordering::SeqCst)
}

/// Looks at one lane. True: it was handed over.
fn look(
    shared: &Arc<Shared>,
    lane: &Arc<Lane>,
    suspect: &mut Option<Suspect>,
    now: Instant,
    pace: Pace,
) -> bool {
    let seen = lane.ownership.observe();
    if !seen.in_poll() {
        *suspect = None;
        return false;
    }
    let thread = lane.carrier.load(Ordering::Acquire);
    let Some(known) = suspect.filter(|known| known.seen == seen) else {
        *suspect = Some(Suspect {
            seen,
            since: now,
            cpu: sys::thread_cpu_time(thread),
        });
        return false;
    };
    if now.duration_since(known.since) < pace.threshold {
        return false;
    }
    let (syscall, on_cpu) = match sys::inspect(thread) {
        Some(Activity::Waiting(syscall)) => (syscall, false),
        Some(Activity::Runnable) => {
            let burned = sys::thread_cpu_time(thread)
                .zip(known.cpu)
                .map(|(now, then)| now.saturating_sub(then));
            if burned.is_some_and(|burned| burned < pace.threshold) {
                return false; // Merely descheduled: another thread would not help.
            }
            (None, true)
        }
        None => (None, false),
    };
    let caught = Caught {
        seen,
        thread,
        since: known.since,
        syscall,
        on_cpu,
    };
    *suspect = None;
    hand_over(shared, lane, caught)
}

struct Caught {
    seen: Seen,
    thread: u64,
    since: Instant,
    syscall: Option<&'static str>,
    on_cpu: bool,
}

fn hand_over(shared: &Arc<Shared>, lane: &Arc<Lane>, caught: Caught) -> bool {
    let weak = Arc::downgrade(shared);
    let Some(spare) = shared.threads.reserve(&weak) else {
        return false; // At the cap: the next look tries again.
    };
    let watch = lane.watch(lane.current.load(Ordering::Relaxed));
    let blocked = Blocked {
        label: watch
            .as_ref()
            .map_or_else(|| "a task".to_owned(), |watch| watch.label()),
        after: caught.since.elapsed(),
        syscall: caught.syscall,
        on_cpu: caught.on_cpu,
        lane: lane.id,
    };
    // The entry is there before the old carrier can come and look for it.
    let mut stuck = shared.monitor.stuck();
    let Some(claim) = lane.ownership.take(caught.seen) else {
        drop(stuck);
        shared.threads.give_back(spare);
        return false; // It has just returned by itself.
    };
    stuck.push(Stuck {
        thread: caught.thread,
        since: caught.since,
        blocked: blocked.clone(),
        watch: watch.clone(),
    });
    drop(stuck);
    lane.polls_before
        .fetch_add(caught.seen.polls(), Ordering::Relaxed);
    lane.handoffs.fetch_add(1, Ordering::Relaxed);
    let stood = u64::try_from(blocked.after.as_micros()).unwrap_or(u64::MAX);
    lane.stuck_micros.fetch_add(stood, Ordering::Relaxed);
    if let Some(watch) = watch {
        let blocked = blocked.clone();
        drop(lane.spawn(async move { watch.caught(&blocked) }, None));
    }
    shared.threads.give(spare, Job::Drive(lane.clone(), claim));
    shared.monitor.warn(&blocked);
    shared.threads.warm(&weak);
    true
}

impl Monitor {
    /// A carrier comes back from a poll and finds that its lane is gone.
    pub(crate) fn released(&self) {
        let thread = sys::thread_id();
        let mut stuck = self.stuck();
        let Some(place) = stuck.iter().position(|stuck| stuck.thread == thread) else {
            return;
        };
        let stuck = {
            let entry = stuck.swap_remove(place);
            drop(stuck);
            entry
        };
        let total = stuck.since.elapsed();
        if let Some(watch) = &stuck.watch {
            watch.released(&stuck.blocked, total);
        }
        tracing::debug!(
            target: "squall::loop",
            label = %stuck.blocked.label,
            ms = total.as_millis(),
            "a blocking poll is over"
        );
    }

    /// The polls that are stuck at this moment.
    pub(crate) fn blocked_now(&self) -> Vec<BlockedNow> {
        (self.stuck().iter())
            .map(|stuck| {
                BlockedNow::look(&stuck.blocked.label, stuck.since.elapsed(), stuck.thread)
            })
            .collect()
    }

    /// One warning per label; after that only counts.
    fn warn(&self, blocked: &Blocked) {
        let mut warned = self.warned.lock();
        if warned.len() >= LABELS || !warned.insert(blocked.label.clone()) {
            return;
        }
        drop(warned);
        tracing::warn!(
            target: "squall::loop",
            label = %blocked.label,
            ms = blocked.after.as_millis(),
            syscall = blocked.syscall.unwrap_or(if blocked.on_cpu { "on CPU" } else { "unknown" }),
            lane = blocked.lane,
            "blocking code in an async task: its lane was handed to another thread; \
             use run_on_executor, or an async call, to spare the hand-off"
        );
    }

    fn stuck(&self) -> MutexGuard<'_, Vec<Stuck>> {
        self.stuck.lock()
    }
}
