//! The one thread that watches the lanes and hands a stuck lane to a spare.
//!
//! It never runs a task, and it never logs by itself: a log may block. While
//! anything moves it looks at each post's ownership word every tick: a word that
//! stays the same, inside a poll, is a suspect. A suspect is inspected (waiting in
//! the kernel, or how much CPU did this poll burn?) so that a carrier which was
//! merely descheduled is left alone.
//!
//! Blocking polls come in storms. After a hand-off the monitor looks faster for a
//! while, and with each further one more threads relieve the stuck lane: they poll
//! what waits on it, all at the same time, so that the n-th blocker in its queue does
//! not wait n times as long. While every lane sleeps, so does the monitor.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::blame::Blame;
use crate::gate::Gate;
use crate::handoff::{Claim, Seen};
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::post::Post;
use crate::stuck::{Stuck, StuckList};
use crate::sys::{self, Activity};
use crate::threads::{Job, Pressure, RESERVE};
use crate::watch::Blocked;

/// How closely the monitor looks.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Between two looks; a poll that waits in the kernel is caught at the second.
    tick: Duration,
    /// CPU time that a poll may burn.
    cpu: Duration,
    /// Idle time before the monitor parks, so that steady traffic does not wake it.
    linger: Duration,
}

const CALM: Pace = Pace {
    tick: Duration::from_millis(2),
    cpu: Duration::from_millis(4),
    linger: Duration::from_millis(20),
};
const STORM: Pace = Pace {
    tick: Duration::from_micros(500),
    cpu: Duration::from_millis(1),
    // Looks are most of what a hand-off costs, so there is none while nothing moves.
    linger: Duration::from_micros(500),
};
/// How long after a hand-off the next one is expected.
const STORM_LASTS: Duration = Duration::from_secs(1);
/// The most threads that begin to relieve one lane at once.
const WIDEST: usize = 32;
/// A trouble that comes again within this time is the same.
const SAME_TROUBLE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Monitor {
    pub(crate) gate: Arc<Gate>,
    pub(crate) stuck: StuckList,
    pub(crate) blame: Blame,
}

impl Monitor {
    pub(crate) fn new(blame: Blame) -> Self {
        Self {
            blame,
            ..Self::default()
        }
    }
}

/// What the monitor remembers of a post between two looks.
#[derive(Clone, Copy)]
struct Suspect {
    seen: Seen,
    since: Instant,
    cpu: Option<Duration>,
}

/// Blocking polls that came shortly after each other.
#[derive(Default)]
struct Storm {
    until: Option<Instant>,
    /// How many threads relieve the next stuck lane.
    width: usize,
}

impl Storm {
    fn rages(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    fn grows(&mut self, now: Instant) {
        self.width = if self.rages(now) {
            (self.width * 2).clamp(1, WIDEST)
        } else {
            0
        };
        self.until = Some(now + STORM_LASTS);
    }
}

/// The monitor thread's life. It ends when the loop is gone or stops.
pub(crate) fn run(shared: &Weak<Shared>, gate: &Gate) {
    let mut lanes: Vec<Option<Suspect>> = Vec::new();
    let mut reliefs: HashMap<u64, Option<Suspect>> = HashMap::new();
    let mut storm = Storm::default();
    let mut troubles = Troubles::default();
    let mut last = Instant::now();
    let mut busy = last;
    loop {
        let Some(strong) = shared.upgrade().filter(|shared| !shared.is_stopping()) else {
            return;
        };
        lanes.resize(strong.lanes.len(), None);
        let now = Instant::now();
        let rages = storm.rages(now);
        let pace = if rages { STORM } else { CALM };
        if now.duration_since(last) > pace.tick * 8 {
            // The monitor itself did not run: what it measured means nothing.
            lanes.fill(None);
            reliefs.clear();
        }
        last = now;
        for (lane, suspect) in strong.lanes.iter().zip(&mut lanes) {
            let caught = look(&lane.post, suspect, now, pace);
            (lane.suspect).store(suspect.is_some_and(|it| it.since < now), Ordering::Relaxed);
            if let Some(caught) = caught
                && hand_over(&strong, lane, &caught)
            {
                *suspect = None;
                storm.grows(now);
                let width = storm.width.min(lane.queue.len());
                strong.threads.relieve(shared, lane, width);
            }
        }
        look_at_reliefs(&strong, &mut reliefs, now, pace);
        if rages {
            strong.threads.warm(shared, RESERVE + storm.width);
        }
        troubles.report(&strong, shared, now);
        let relief_polls = reliefs.values().any(Option::is_some);
        if !strong.all_asleep() || strong.threads.has_queued() || relief_polls {
            busy = now;
        }
        if now.duration_since(busy) < pace.linger {
            drop(strong);
            std::thread::sleep(pace.tick);
        } else {
            let all = strong.lanes.clone();
            drop(strong);
            gate.park(|| all.iter().all(|lane| asleep(lane)));
            lanes.fill(None);
            last = Instant::now();
            busy = last;
        }
    }
}

pub(crate) fn asleep(lane: &Lane) -> bool {
    lane.doze.is_asleep() && !lane.stopping.load(Ordering::SeqCst)
}

/// Looks at one post. Some: the poll that was seen there blocks.
fn look(post: &Post, suspect: &mut Option<Suspect>, now: Instant, pace: Pace) -> Option<Caught> {
    let seen = post.ownership.observe();
    if !seen.in_poll() {
        *suspect = None;
        return None;
    }
    let thread = post.thread();
    let Some(known) = suspect.filter(|known| known.seen == seen) else {
        *suspect = Some(Suspect {
            seen,
            since: now,
            cpu: sys::thread_cpu_time(thread),
        });
        return None;
    };
    let lasts = now.duration_since(known.since);
    if lasts < pace.tick {
        return None;
    }
    let (syscall, on_cpu) = match sys::inspect(thread) {
        Some(Activity::Waiting(syscall)) => (syscall, false),
        Some(Activity::Runnable) => {
            let burned = sys::thread_cpu_time(thread)
                .zip(known.cpu)
                .map_or(lasts, |(now, then)| now.saturating_sub(then));
            if burned < pace.cpu {
                return None; // Merely descheduled: another thread would not help.
            }
            (None, true)
        }
        None if lasts < pace.cpu => return None,
        None => (None, false),
    };
    Some(Caught {
        seen,
        thread,
        since: known.since,
        syscall,
        on_cpu,
        explicit: false,
    })
}

/// Looks at the threads that relieve a lane. One that blocks holds nothing up, but
/// its task's owner is told, as of any other.
fn look_at_reliefs(
    shared: &Arc<Shared>,
    suspects: &mut HashMap<u64, Option<Suspect>>,
    now: Instant,
    pace: Pace,
) {
    let reliefs = shared.threads.reliefs();
    if reliefs.is_empty() {
        suspects.clear();
        return;
    }
    for (slot, lane) in reliefs {
        let suspect = suspects.entry(slot.post.thread()).or_default();
        if let Some(caught) = look(&slot.post, suspect, now, pace)
            && take(shared, &lane, &slot.post, &caught).is_some()
        {
            *suspect = None;
        }
    }
}

/// A poll that blocks.
struct Caught {
    seen: Seen,
    thread: u64,
    since: Instant,
    syscall: Option<&'static str>,
    on_cpu: bool,
    explicit: bool,
}

/// Gives a stuck lane to a spare. False: there is none, or the poll is over.
fn hand_over(shared: &Arc<Shared>, lane: &Arc<Lane>, caught: &Caught) -> bool {
    let weak = Arc::downgrade(shared);
    let Some(spare) = shared.threads.reserve(&weak) else {
        return false; // At the cap: the next look tries again.
    };
    let Some(claim) = take(shared, lane, &lane.post, caught) else {
        shared.threads.give_back(spare);
        return false; // It has just returned by itself.
    };
    lane.polls_before
        .fetch_add(caught.seen.polls(), Ordering::Relaxed);
    lane.handoffs.fetch_add(1, Ordering::Relaxed);
    let stood = u64::try_from(caught.since.elapsed().as_micros()).unwrap_or(u64::MAX);
    lane.stuck_micros.fetch_add(stood, Ordering::Relaxed);
    shared.threads.give(spare, Job::Drive(lane.clone(), claim));
    true
}

/// Takes a post from the thread that is stuck there, and tells whoever wants to know.
fn take(shared: &Arc<Shared>, lane: &Arc<Lane>, post: &Post, caught: &Caught) -> Option<Claim> {
    let watch = lane.watch(post.current());
    let blocked = Blocked {
        label: watch
            .as_ref()
            .map_or_else(|| "a task".to_owned(), |watch| watch.label()),
        after: caught.since.elapsed(),
        syscall: caught.syscall,
        on_cpu: caught.on_cpu,
        explicit: caught.explicit,
        thread: caught.thread,
        lane: lane.id,
    };
    let stuck = Stuck::new(caught.since, &blocked, watch.clone());
    let claim = (shared.monitor.stuck).enter(stuck, || post.ownership.take(caught.seen))?;
    let warns = !blocked.explicit && shared.monitor.stuck.is_news(&blocked);
    let blames = !blocked.explicit && shared.monitor.blame.wants(&blocked);
    if warns || blames || watch.is_some() {
        let weak = Arc::downgrade(shared);
        let since = caught.since;
        // On the lane's next carrier, before all else: it is what the stuck task's
        // owner does about it.
        lane.spawn_first(async move {
            if let Some(watch) = watch {
                watch.caught(&blocked);
            }
            if blames {
                Blame::ask(weak, since, &blocked);
            }
            if warns {
                warn(&blocked);
            }
        });
    }
    Some(claim)
}

/// Hands over the lane that the calling thread drives, because the thread is about to
/// block: the explicit form of what the monitor does.
pub(crate) fn step_aside(shared: &Arc<Shared>, lane: &Arc<Lane>, seen: Seen) {
    let caught = Caught {
        seen,
        thread: sys::thread_id(),
        since: Instant::now(),
        syscall: None,
        on_cpu: false,
        explicit: true,
    };
    hand_over(shared, lane, &caught);
}

fn warn(blocked: &Blocked) {
    tracing::warn!(
        target: "squall::loop",
        label = %blocked.label,
        ms = blocked.after.as_millis(),
        syscall = blocked.syscall.unwrap_or(if blocked.on_cpu { "on CPU" } else { "unknown" }),
        thread = blocked.thread,
        lane = blocked.lane,
        "blocking code in an async task: its lane was handed to another thread; \
         use an async call, run_on_executor or blocking to spare the hand-off"
    );
}

/// What the monitor has the loop log: on a lane, where a log that blocks is rescued.
#[derive(Default)]
struct Troubles {
    pressed: Option<Instant>,
    refused: Option<Instant>,
}

impl Troubles {
    fn report(&mut self, shared: &Shared, weak: &Weak<Shared>, now: Instant) {
        if let Some(error) = shared.threads.recover(weak)
            && is_news(&mut self.refused, now)
        {
            shared.lanes[0].spawn_first(async move {
                tracing::error!(
                    target: "squall::loop",
                    %error,
                    "the system gives no more threads; load is shed until it does"
                );
            });
        }
        if shared.threads.pressure() != Pressure::Easy && is_news(&mut self.pressed, now) {
            let counts = shared.threads.counts();
            shared.lanes[0].spawn_first(async move {
                tracing::warn!(
                    target: "squall::loop",
                    carriers = counts.carriers,
                    executor = counts.workers,
                    cap = counts.cap,
                    "nearly every thread is blocked; load is shed until some come back \
                     (setting: thread_cap)"
                );
            });
        }
    }
}

/// Whether a trouble has been away for a while before it came again.
fn is_news(last: &mut Option<Instant>, now: Instant) -> bool {
    let before = last.replace(now);
    before.is_none_or(|before| now.duration_since(before) > SAME_TROUBLE)
}
