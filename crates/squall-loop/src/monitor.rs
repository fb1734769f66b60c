//! Who watches the lanes and hands a stuck lane to another thread.
//!
//! The monitor never runs a task, and it never logs by itself: a log may block. It looks
//! at each post's ownership word; `suspect.rs` says what it makes of that. Looks are
//! nearly all that it costs, so there are few, and `gate.rs` says when.
//!
//! A thread of the pool is the monitor, and another one sits beside it. Where nothing
//! moves but the lane that is stuck, the monitor takes it and drives it itself, and the
//! other thread is the monitor from then on: nobody has to be woken for a hand-off. Where
//! more is to be looked after, the monitor stays and wakes a spare.
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
use crate::slot::Job;
use crate::stuck::{Stuck, StuckList};
use crate::suspect::{CALM, Caught, Eye, Look, Pace, STORM, Suspect, TRACED, blocks_since, look};
use crate::sys;
use crate::threads::{Pressure, RESERVE};
use crate::watch::Blocked;
use parking_lot::Mutex;

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
    duty: Mutex<Duty>,
}

impl Monitor {
    pub(crate) fn new(blame: Blame) -> io::Result<Self> {
        Ok(Self {
            gate: Arc::new(Gate::new()?),
            stuck: StuckList::default(),
            blame,
            duty: Mutex::new(Duty::new()),
        })
    }
}

/// A thread of the pool sits down on a chair: it is the monitor while that chair is the
/// monitor's. Returns the lane for which it leaves. None: the loop stops.
pub(crate) fn sit(shared: &Arc<Shared>, chair: usize) -> Option<(Arc<Lane>, Claim)> {
    let Monitor { gate, duty, .. } = &shared.monitor;
    let mut rested = None;
    while !shared.is_stopping() {
        if !gate.is_monitors(chair) {
            rested = gate.wait(chair);
            continue;
        }
        let mut on_duty = duty.lock();
        if let Some(rest) = rested.take() {
            on_duty.resume(rest, &shared.lanes);
        }
        let next = on_duty.look_around(shared);
        drop(on_duty);
        match next {
            Next::Look(after) => std::thread::sleep(after),
            Next::Nap(rest) => rested = gate.nap(chair, rest, shared.clock.now()),
            Next::Park(rest) => rested = gate.park(chair, rest, || shared.all_asleep()),
            Next::Leave(rest, lane, claim) => {
                let left = || shared.threads.leave_chair(chair);
                gate.leave(rest, shared.clock.now(), left, || is_idle(shared));
                return Some((lane, claim));
            }
        }
    }
    None
}

/// Whether nothing moves that the monitor would have to look at.
fn is_idle(shared: &Shared) -> bool {
    shared.all_asleep() && shared.threads.is_at_ease()
}

/// A carrier that has taken its lane over finds nothing more to do, and falls asleep.
pub(crate) fn carrier_rests(shared: &Arc<Shared>, lane: &Lane) {
    lane.doze.about_to_sleep();
    let now = shared.clock.now();
    (shared.monitor.gate).park_again(&shared.lanes, now, || is_idle(shared));
}

/// What the monitor does after a look.
enum Next {
    /// Look again.
    Look(Duration),
    /// Sleep until an alarm that is set now.
    Nap(Rest),
    /// Sleep until a lane wakes.
    Park(Rest),
    /// Drive a lane.
    Leave(Rest, Arc<Lane>, Claim),
}

/// Blocking polls that came shortly after each other.
#[derive(Default)]
struct Storm {
    until: Option<Instant>,
    /// How many threads relieve the next stuck lane.
    width: usize,
    /// Whether a tracer was found at the start, or when the last one began.
    traced: bool,
    /// Whether that was looked at in this one.
    asked: bool,
}

impl Storm {
    fn rages(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    fn pace(&self, now: Instant) -> Pace {
        match self.rages(now) {
            _ if self.traced => TRACED,
            true => STORM,
            false => CALM,
        }
    }

    /// Once in a storm, which may be none: where a tracer holds threads up, all seem to block.
    fn ask_for_tracer(&mut self, now: Instant, is_traced: impl FnOnce() -> bool) {
        let rages = self.rages(now);
        if rages && !self.asked {
            self.traced = is_traced();
        }
        self.asked = rages;
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

/// What the monitor remembers, whoever it is.
struct Duty {
    suspects: Vec<Option<Suspect>>,
    reliefs: HashMap<u64, Option<Suspect>>,
    eye: Eye,
    storm: Storm,
    troubles: Troubles,
    /// When it looked last, or was told to.
    last: Instant,
    /// What the last rest was told in, for the next one.
    seen: Vec<Seen>,
}

impl Duty {
    fn new() -> Self {
        Self {
            suspects: Vec::new(),
            reliefs: HashMap::new(),
            eye: Eye::default(),
            storm: Storm {
                traced: sys::is_traced(),
                ..Storm::default()
            },
            troubles: Troubles::default(),
            last: Instant::now(),
            seen: Vec::new(),
        }
    }

    /// Takes over what was seen meanwhile.
    fn resume(&mut self, rest: Rest, lanes: &[Arc<Lane>]) {
        self.suspects.clear();
        (self.suspects).extend(lanes.iter().map(|lane| blocks_since(lane, &rest)));
        self.last = Instant::now();
        self.seen = rest.seen;
    }

    /// Looks at all that moves.
    fn look_around(&mut self, shared: &Arc<Shared>) -> Next {
        let weak = Arc::downgrade(shared);
        let now = Instant::now();
        self.storm.ask_for_tracer(now, sys::is_traced);
        let pace = self.storm.pace(now);
        if !self.storm.rages(now) {
            self.eye.doubt();
        }
        self.suspects.resize(shared.lanes.len(), None);
        if now.duration_since(self.last) > pace.tick * 8 {
            // The monitor itself did not run: what it measured means nothing.
            self.suspects.fill(None);
            self.reliefs.clear();
        }
        self.last = now;
        let mut again = pace.tick;
        let mut own = None;
        for (lane, suspect) in shared.lanes.iter().zip(&mut self.suspects) {
            let alone = suspect.is_some() && own.is_none() && moves_alone(shared, lane);
            let believe = alone && !shared.monitor.blame.is_on();
            match look(&lane.post, suspect, &mut self.eye, now, pace, believe) {
                Look::Fine => {}
                Look::Suspicious => again = pace.waits,
                Look::Blocks(caught) => {
                    let waiting = lane.queue.len();
                    let handed_over = if alone && shared.threads.reserve_monitor() {
                        own = take_over(shared, lane, &caught);
                        own.is_some()
                    } else {
                        hand_over(shared, lane, &caught)
                    };
                    if handed_over {
                        *suspect = None;
                        self.storm.grows(now, waiting);
                        let width = self.storm.width.min(waiting);
                        shared.threads.relieve(&weak, lane, width);
                    }
                }
            }
            (lane.suspect).store(suspect.is_some_and(|it| it.since < now), Ordering::Relaxed);
        }
        self.look_at_reliefs(shared, now, pace);
        if self.storm.rages(now) {
            shared.threads.warm(&weak, RESERVE + self.storm.width);
        }
        self.troubles.report(shared, &weak, now);
        self.next(shared, now, again, own)
    }

    fn next(
        &mut self,
        shared: &Shared,
        now: Instant,
        again: Duration,
        own: Option<(Arc<Lane>, Claim)>,
    ) -> Next {
        let stands = self.suspects.iter().flatten().any(|it| it.since < now);
        let tick = self.storm.pace(now).tick;
        let calm = !self.storm.rages(now) && again == tick && !stands;
        let vouched = calm && shared.threads.is_at_ease();
        let seen = std::mem::take(&mut self.seen);
        let rest = || Rest::new(seen, tick, vouched, &shared.lanes);
        if let Some((lane, claim)) = own {
            return Next::Leave(rest(), lane, claim);
        }
        let relief_polls = self.reliefs.values().any(Option::is_some);
        if shared.all_asleep() && !relief_polls && !shared.threads.is_to_recover() {
            let rest = rest();
            if !self.storm.rages(now) {
                self.eye.rest();
            }
            return Next::Park(rest);
        }
        match vouched {
            true => Next::Nap(rest()),
            false => Next::Look(again),
        }
    }

    /// Looks at the threads that relieve a lane. One that blocks holds nothing up, but
    /// its task's owner is told, as of any other.
    fn look_at_reliefs(&mut self, shared: &Arc<Shared>, now: Instant, pace: Pace) {
        let reliefs = shared.threads.reliefs();
        if reliefs.is_empty() {
            self.reliefs.clear();
            return;
        }
        for (slot, lane) in reliefs {
            let suspect = self.reliefs.entry(slot.post.thread()).or_default();
            if let Look::Blocks(caught) = look(&slot.post, suspect, &mut self.eye, now, pace, false)
                && take(shared, &lane, &slot.post, &caught).is_some()
            {
                *suspect = None;
            }
        }
    }
}

/// Whether a stuck lane is all that moves, so that the monitor may leave for it.
fn moves_alone(shared: &Shared, stuck: &Lane) -> bool {
    stuck.queue.is_empty()
        && shared.threads.is_at_ease()
        && (shared.lanes.iter()).all(|lane| lane.id == stuck.id || asleep(lane))
}

/// Whether a lane sleeps, or has no carrier yet that could do anything else first.
pub(crate) fn asleep(lane: &Lane) -> bool {
    lane.doze.is_asleep() && !lane.stopping.load(Ordering::SeqCst)
}

/// Gives a stuck lane to a spare. False: there is none, or the poll is over.
#[inline(never)]
fn hand_over(shared: &Arc<Shared>, lane: &Arc<Lane>, caught: &Caught) -> bool {
    let weak = Arc::downgrade(shared);
    let Some(spare) = shared.threads.reserve(&weak) else {
        return false; // At the cap: the next look tries again.
    };
    let Some(claim) = take_lane(shared, lane, caught) else {
        shared.threads.give_back(spare);
        return false; // It has just returned by itself.
    };
    shared.threads.give(spare, Job::Drive(lane.clone(), claim));
    true
}

/// Takes a stuck lane for the monitor itself, which is set aside. None: the poll is over.
fn take_over(
    shared: &Arc<Shared>,
    lane: &Arc<Lane>,
    caught: &Caught,
) -> Option<(Arc<Lane>, Claim)> {
    let Some(claim) = take_lane(shared, lane, caught) else {
        shared.threads.give_back_monitor();
        return None;
    };
    Some((lane.clone(), claim))
}

fn take_lane(shared: &Arc<Shared>, lane: &Arc<Lane>, caught: &Caught) -> Option<Claim> {
    let claim = take(shared, lane, &lane.post, caught)?;
    lane.polls_before
        .fetch_add(caught.seen.polls(), Ordering::Relaxed);
    lane.handoffs.fetch_add(1, Ordering::Relaxed);
    let stood = u64::try_from(caught.after.as_micros()).unwrap_or(u64::MAX);
    lane.stuck_micros.fetch_add(stood, Ordering::Relaxed);
    // The next carrier looks at the reactor before all else, and wakes as from a sleep.
    lane.doze.about_to_sleep();
    Some(claim)
}

/// Takes a post from the thread that is stuck there, and tells whoever wants to know.
fn take(shared: &Arc<Shared>, lane: &Arc<Lane>, post: &Post, caught: &Caught) -> Option<Claim> {
    let monitor = &shared.monitor;
    let stuck = Stuck::new(caught, lane.id, lane.watch(post.current()));
    let claim = (monitor.stuck).enter(stuck.clone(), || post.ownership.take(caught.seen))?;
    let warns = !caught.explicit && monitor.stuck.is_news(&stuck);
    let blames = !caught.explicit && monitor.blame.wants(stuck.label(), caught.on_cpu);
    if warns || blames || stuck.told().is_some() {
        tell(shared, lane, &stuck, warns, blames);
    }
    Some(claim)
}

/// On the lane's next carrier, before all else: it is what the stuck task's owner does
/// about it.
#[inline(never)]
fn tell(shared: &Arc<Shared>, lane: &Arc<Lane>, stuck: &Stuck, warns: bool, blames: bool) {
    let weak = Arc::downgrade(shared);
    let (since, blocked) = (stuck.since(), stuck.blocked());
    let watch = stuck.told().map(|told| told.watch.clone());
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

/// Hands over the lane that the calling thread drives, because the thread is about to
/// block: the explicit form of what the monitor does.
pub(crate) fn step_aside(shared: &Arc<Shared>, lane: &Arc<Lane>, seen: Seen) {
    let caught = Caught {
        seen,
        thread: sys::thread_id(),
        since: Instant::now(),
        after: Duration::ZERO,
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_tracer_is_asked_for_once_a_storm() {
        let mut storm = Storm::default();
        let begin = Instant::now();
        storm.ask_for_tracer(begin, || unreachable!("there is no storm"));
        assert_eq!(storm.pace(begin), CALM);
        storm.grows(begin, 0);
        storm.ask_for_tracer(begin, || true);
        storm.ask_for_tracer(begin, || unreachable!("it is known"));
        assert_eq!(storm.pace(begin), TRACED);
        let later = begin + STORM_LASTS;
        storm.ask_for_tracer(later, || unreachable!("there is no storm"));
        assert_eq!(storm.pace(later), TRACED);
        storm.grows(later, 0);
        storm.ask_for_tracer(later, || false);
        assert_eq!(storm.pace(later), STORM);
    }
}
