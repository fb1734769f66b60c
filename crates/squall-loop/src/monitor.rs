//! The one thread that watches the lanes and hands a stuck lane to a spare.
//!
//! It never runs a task, and it never logs by itself: a log may block. While
//! anything moves it looks at each post's ownership word every tick: a word that
//! stays the same, inside a poll, is a suspect. A suspect is inspected (waiting in
//! the kernel, or how much CPU did this poll burn?) so that a carrier which was
//! merely descheduled is left alone.
//!
//! Looks are nearly all that the monitor costs, so there are few. While every lane
//! sleeps it is parked; the first carrier that wakes sets its alarm and does not wake
//! it. Where that carrier then blocks, the alarm's look is the only one.
//!
//! Blocking polls come in storms. After a hand-off the monitor looks faster for a
//! while, and with each further one more threads relieve the stuck lane: they poll
//! what waits on it, all at the same time, so that the n-th blocker in its queue does
//! not wait n times as long.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::blame::Blame;
use crate::gate::{Gate, Rest};
use crate::handoff::{Claim, Seen};
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::post::Post;
use crate::stuck::{Stuck, StuckList};
use crate::sys::{self, Activity, Inspector};
use crate::threads::{Job, Pressure, RESERVE};
use crate::watch::Blocked;

/// How closely the monitor looks.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Between two looks, and from a wake to the first one.
    tick: Duration,
    /// How long a poll must have been seen that waits in the kernel.
    waits: Duration,
    /// CPU time that a poll may burn.
    cpu: Duration,
}

const CALM: Pace = Pace {
    tick: Duration::from_millis(4),
    waits: Duration::from_millis(1),
    cpu: Duration::from_millis(4),
};
const STORM: Pace = Pace {
    tick: Duration::from_micros(500),
    waits: Duration::from_micros(500),
    cpu: Duration::from_millis(1),
};
/// How long after a hand-off the next one is expected.
const STORM_LASTS: Duration = Duration::from_secs(1);
/// The most threads that begin to relieve one lane at once.
const WIDEST: usize = 32;
/// A trouble that comes again within this time is the same.
const SAME_TROUBLE: Duration = Duration::from_secs(10);

pub(crate) struct Monitor {
    pub(crate) gate: Arc<Gate>,
    pub(crate) stuck: StuckList,
    pub(crate) blame: Blame,
}

impl Monitor {
    pub(crate) fn new(blame: Blame) -> io::Result<Self> {
        Ok(Self {
            gate: Arc::new(Gate::new()?),
            stuck: StuckList::default(),
            blame,
        })
    }
}

/// What the monitor remembers of a post between two looks.
#[derive(Clone, Copy)]
struct Suspect {
    seen: Seen,
    since: Instant,
    /// What the thread had burned by then. None: not asked, or nobody can tell.
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

    fn pace(&self, now: Instant) -> Pace {
        if self.rages(now) { STORM } else { CALM }
    }

    /// A lane was handed over in whose queue so much waits.
    fn grows(&mut self, now: Instant, waiting: usize) {
        if !self.rages(now) {
            self.width = 0;
        } else if waiting > 0 {
            self.width = (self.width * 2).clamp(1, WIDEST);
        }
        self.until = Some(now + STORM_LASTS);
    }
}

/// The monitor thread's life. It ends when the loop is gone or stops.
pub(crate) fn run(shared: &Weak<Shared>, gate: &Gate) {
    let mut suspects: Vec<Option<Suspect>> = Vec::new();
    let mut reliefs: HashMap<u64, Option<Suspect>> = HashMap::new();
    let mut inspector = Inspector::default();
    let mut storm = Storm::default();
    let mut troubles = Troubles::default();
    let mut last = Instant::now();
    loop {
        let Some(strong) = shared.upgrade().filter(|shared| !shared.is_stopping()) else {
            return;
        };
        suspects.resize(strong.lanes.len(), None);
        let now = Instant::now();
        let pace = storm.pace(now);
        if now.duration_since(last) > pace.tick * 8 {
            // The monitor itself did not run: what it measured means nothing.
            suspects.fill(None);
            reliefs.clear();
        }
        last = now;
        let mut again = pace.tick;
        for (lane, suspect) in strong.lanes.iter().zip(&mut suspects) {
            match look(&lane.post, suspect, &mut inspector, now, pace) {
                Look::Fine => {}
                Look::Suspicious => again = pace.waits,
                Look::Blocks(caught) => {
                    if hand_over(&strong, lane, &caught) {
                        *suspect = None;
                        let waiting = lane.queue.len();
                        storm.grows(now, waiting);
                        (strong.threads).relieve(shared, lane, storm.width.min(waiting));
                    }
                }
            }
            (lane.suspect).store(suspect.is_some_and(|it| it.since < now), Ordering::Relaxed);
        }
        look_at_reliefs(&strong, &mut reliefs, &mut inspector, now, pace);
        if storm.rages(now) {
            strong.threads.warm(shared, RESERVE + storm.width);
        }
        troubles.report(&strong, shared, now);
        let relief_polls = reliefs.values().any(Option::is_some);
        let idle = strong.all_asleep() && !relief_polls && !strong.threads.has_queued();
        let stands = suspects.iter().flatten().any(|it| it.since < now);
        let calm = !storm.rages(now) && again == pace.tick && !stands;
        let vouched = calm && strong.threads.is_at_ease();
        let (lanes, loop_now) = (strong.lanes.clone(), strong.clock.now());
        drop(strong);
        if !(idle || vouched) {
            std::thread::sleep(again);
            continue;
        }
        let rest = Rest::new(storm.pace(now).tick, vouched, &lanes);
        let rested = if idle {
            if !storm.rages(now) {
                inspector.rest();
            }
            gate.park(rest, || lanes.iter().all(|lane| asleep(lane)))
        } else {
            gate.nap(rest, loop_now)
        };
        for (lane, suspect) in lanes.iter().zip(&mut suspects) {
            *suspect = (rested.as_ref()).and_then(|rest| blocks_since(lane, rest));
        }
        last = Instant::now();
    }
}

/// Whether a lane sleeps, or has no carrier yet that could do anything else first.
pub(crate) fn asleep(lane: &Lane) -> bool {
    lane.doze.is_asleep() && !lane.stopping.load(Ordering::SeqCst)
}

/// A lane is still in the poll in which it was at the last look, or woke since then and
/// is still in what it did first: in the wakers' turn or in the task that they woke.
fn blocks_since(lane: &Lane, rest: &Rest) -> Option<Suspect> {
    let seen = lane.post.ownership.observe();
    let before = rest.seen.get(lane.id).filter(|_| seen.in_poll())?;
    let first = seen.generation() == before.generation()
        && seen.polls().saturating_sub(before.polls()) <= 2;
    let since = match rest.first {
        _ if seen == *before => rest.since,
        Some((woken, since)) if woken == lane.id && first => since,
        _ => return None,
    };
    Some(Suspect {
        seen,
        since,
        cpu: None,
    })
}

/// What a look at a post has found.
enum Look {
    Fine,
    /// It waits in the kernel, since when is not known.
    Suspicious,
    Blocks(Caught),
}

/// Looks at one post.
fn look(
    post: &Post,
    suspect: &mut Option<Suspect>,
    inspector: &mut Inspector,
    now: Instant,
    pace: Pace,
) -> Look {
    let seen = post.ownership.observe();
    if !seen.in_poll() {
        *suspect = None;
        return Look::Fine;
    }
    let thread = post.thread();
    let Some(known) = suspect.filter(|known| known.seen == seen) else {
        *suspect = Some(Suspect {
            seen,
            since: now,
            cpu: sys::thread_cpu_time(thread),
        });
        let worth_it = pace.waits < pace.tick;
        return match worth_it.then(|| inspector.inspect(thread)).flatten() {
            Some(Activity::Waiting(_)) => Look::Suspicious,
            _ => Look::Fine,
        };
    };
    let lasts = now.duration_since(known.since);
    if lasts < pace.waits {
        return Look::Suspicious;
    }
    let (syscall, on_cpu) = match inspector.inspect(thread) {
        Some(Activity::Waiting(syscall)) => (syscall, false),
        Some(Activity::Runnable) => {
            let cpu = sys::thread_cpu_time(thread);
            if cpu.is_some() && known.cpu.is_none() {
                *suspect = Some(Suspect { cpu, ..known });
                return Look::Fine;
            }
            let burned = (cpu.zip(known.cpu)).map_or(lasts, |(now, then)| now.saturating_sub(then));
            if burned < pace.cpu {
                return Look::Fine; // Merely descheduled: another thread would not help.
            }
            (None, true)
        }
        None if lasts < pace.cpu => return Look::Fine,
        None => (None, false),
    };
    Look::Blocks(Caught {
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
    inspector: &mut Inspector,
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
        if let Look::Blocks(caught) = look(&slot.post, suspect, inspector, now, pace)
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
    // The next carrier looks at the reactor before all else, and wakes as from a sleep.
    lane.doze.about_to_sleep();
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
