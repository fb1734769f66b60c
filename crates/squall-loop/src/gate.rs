//! Where the monitor rests, and what wakes it.
//!
//! It costs a thread switch to wake it, so that is done by an alarm, and seldom.
//!
//! While every lane sleeps it is parked, and no alarm is set. It announces that it
//! parks, then looks at the lanes once more; a carrier clears its lane's sleeping flag,
//! then looks at the announcement. Both pairs are sequentially consistent, so at least
//! one of the two sees the other. The carrier sets the alarm and wakes nobody: most
//! wakes come to nothing.
//!
//! While lanes move the carriers **vouch** for each other: one that comes by when half
//! of the alarm's time is over looks at the lanes' words, and puts the alarm off if no
//! lane is inside the poll in which it was before. So the monitor sleeps through a load
//! without blocking code. A lane that stands still is found by another's carrier; where
//! all stand still, nobody puts the alarm off.
//!
//! There are two **chairs**, each with an alarm that a thread hears. The thread on one of
//! them is the monitor. When it leaves for a lane, the other one is, without being woken:
//! only the alarm that is set is another.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::atomics::{AtomicBool, AtomicU8, AtomicU64, Mutex, Ordering};
use crate::handoff::Seen;
use crate::lane::Lane;
use crate::sys::Alarm;
use crate::timer::Nanos;

/// Threads that hear an alarm: the monitor, and who is the monitor when that leaves.
pub(crate) const CHAIRS: usize = 2;
/// No carrier vouches.
const NEVER: Nanos = Nanos::MAX;

/// The monitor's place and its alarm clock.
#[derive(Debug)]
pub(crate) struct Gate {
    parked: AtomicBool,
    /// The monitor's chair. Written under the lock of `seat`, which is held while an
    /// alarm is set: too long for who only asks.
    chair: AtomicU8,
    /// When a carrier vouches next. Written under the lock of `seat`.
    vouch_at: AtomicU64,
    alarms: [Alarm; CHAIRS],
    /// None: the monitor is up.
    seat: Mutex<Option<Rest>>,
}

/// One rest of the monitor: what it was told, and what it is told afterwards.
#[derive(Debug)]
pub(crate) struct Rest {
    /// From the beginning, or from a carrier's wake, to the alarm.
    pub(crate) delay: Duration,
    /// Whether carriers may put the alarm off.
    pub(crate) vouched: bool,
    /// The lanes' words at the last look, whoever it was that looked.
    pub(crate) seen: Vec<Seen>,
    /// When that was.
    pub(crate) since: Instant,
    /// The lane that woke first, and when, if nobody has looked since then.
    pub(crate) first: Option<(usize, Instant)>,
}

impl Rest {
    /// `seen` is of an earlier rest, or empty.
    pub(crate) fn new(
        mut seen: Vec<Seen>,
        delay: Duration,
        vouched: bool,
        lanes: &[Arc<Lane>],
    ) -> Self {
        seen.clear();
        seen.extend(words(lanes));
        Self {
            delay,
            vouched,
            seen,
            since: Instant::now(),
            first: None,
        }
    }

    /// Somebody looks, and finds nothing wrong.
    fn look(&mut self, lanes: &[Arc<Lane>]) {
        self.seen.clear();
        self.seen.extend(words(lanes));
        self.since = Instant::now();
        self.first = None;
    }

    /// Whether a lane is still in the poll in which it was at the last look.
    fn finds_a_suspect(&self, lanes: &[Arc<Lane>]) -> bool {
        (words(lanes).zip(&self.seen)).any(|(now, before)| now.in_poll() && now == *before)
    }
}

fn words(lanes: &[Arc<Lane>]) -> impl Iterator<Item = Seen> {
    lanes.iter().map(|lane| lane.post.ownership.observe())
}

impl Gate {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            parked: AtomicBool::new(false),
            chair: AtomicU8::default(),
            vouch_at: AtomicU64::new(NEVER),
            alarms: [Alarm::new()?, Alarm::new()?],
            seat: Mutex::default(),
        })
    }

    /// The carrier of a lane woke up: the monitor must look before long.
    #[inline]
    pub(crate) fn carrier_woke(&self, lane: usize, now: Nanos) {
        if self.parked.load(Ordering::SeqCst) {
            self.end_parking(Some(lane), now);
        }
    }

    #[cold]
    fn end_parking(&self, lane: Option<usize>, now: Nanos) {
        // The first one only: later ones would put the alarm off.
        if self.parked.swap(false, Ordering::SeqCst)
            && let Some(rest) = &mut *self.seat.lock()
        {
            rest.first = lane.map(|lane| (lane, Instant::now()));
            self.set_alarm(rest, now);
        }
    }

    /// Whether a carrier that comes by should vouch.
    #[inline]
    pub(crate) fn asks(&self, now: Nanos) -> bool {
        now >= self.vouch_at.load(Ordering::Relaxed)
    }

    /// A carrier, which moves, looks whether the others do.
    #[cold]
    pub(crate) fn vouch(&self, now: Nanos, lanes: &[Arc<Lane>], at_ease: impl FnOnce() -> bool) {
        let mut seat = self.seat.lock();
        let Some(rest) = seat.as_mut().filter(|_| self.asks(now)) else {
            return; // The monitor is up, or another carrier has just been here.
        };
        if rest.finds_a_suspect(lanes) {
            self.vouch_at.store(NEVER, Ordering::Relaxed);
            self.alarm().set(Duration::ZERO);
        } else if !at_ease() {
            self.vouch_at.store(NEVER, Ordering::Relaxed);
        } else {
            rest.look(lanes);
            self.set_alarm(rest, now);
        }
    }

    fn chair(&self) -> usize {
        usize::from(self.chair.load(Ordering::SeqCst))
    }

    fn alarm(&self) -> &Alarm {
        &self.alarms[self.chair()]
    }

    fn set_alarm(&self, rest: &Rest, now: Nanos) {
        self.alarm().set(rest.delay);
        let next = match rest.vouched {
            true => now.saturating_add(u64::try_from(rest.delay.as_nanos() / 2).unwrap_or(NEVER)),
            false => NEVER,
        };
        self.vouch_at.store(next, Ordering::Relaxed);
    }

    /// Wakes the threads on the chairs, now or when they rest next.
    pub(crate) fn open(&self) {
        for alarm in &self.alarms {
            alarm.set(Duration::ZERO);
        }
    }

    /// Whether who sits here is the monitor.
    pub(crate) fn is_monitors(&self, chair: usize) -> bool {
        self.chair() == chair
    }

    /// Rests until the alarm that a carrier sets when it wakes, unless `still_idle` says
    /// no.
    pub(crate) fn park(
        &self,
        chair: usize,
        rest: Rest,
        still_idle: impl Fn() -> bool,
    ) -> Option<Rest> {
        *self.seat.lock() = Some(rest);
        self.parked.store(true, Ordering::SeqCst);
        if still_idle() {
            self.alarms[chair].wait();
        }
        self.rise(chair)
    }

    /// Rests while lanes move.
    pub(crate) fn nap(&self, chair: usize, rest: Rest, now: Nanos) -> Option<Rest> {
        let mut seat = self.seat.lock();
        self.set_alarm(seat.insert(rest), now);
        drop(seat);
        self.alarms[chair].wait();
        self.rise(chair)
    }

    /// Waits on a chair to be the monitor, which then ends that rest. None: it is not yet.
    pub(crate) fn wait(&self, chair: usize) -> Option<Rest> {
        self.alarms[chair].wait();
        self.rise(chair)
    }

    /// The monitor leaves its chair, as `left` enters in the books. Who sits on the other
    /// one is the monitor, and parked.
    pub(crate) fn leave(
        &self,
        rest: Rest,
        now: Nanos,
        left: impl FnOnce(),
        still_idle: impl Fn() -> bool,
    ) {
        let mut seat = self.seat.lock();
        // First: whoever takes the free chair is not to think it the monitor's.
        let other = 1 - self.chair.load(Ordering::SeqCst);
        self.chair.store(other, Ordering::SeqCst);
        left();
        *seat = Some(rest);
        self.parked.store(true, Ordering::SeqCst);
        drop(seat);
        if !still_idle() {
            self.end_parking(None, now);
        }
    }

    /// Who has taken a lane over falls asleep, and nothing moves: the monitor parks again,
    /// and is spared the look at what the hand-over alone has set going.
    pub(crate) fn park_again(
        &self,
        lanes: &[Arc<Lane>],
        now: Nanos,
        still_idle: impl Fn() -> bool,
    ) {
        if self.parked.load(Ordering::SeqCst) {
            return;
        }
        let mut seat = self.seat.lock();
        let Some(rest) = seat.as_mut().filter(|_| still_idle()) else {
            return;
        };
        rest.look(lanes);
        self.alarm().clear();
        self.vouch_at.store(NEVER, Ordering::Relaxed);
        self.parked.store(true, Ordering::SeqCst);
        drop(seat);
        // Also a stop, whose alarm has been cleared.
        if !still_idle() {
            self.end_parking(None, now);
        }
    }

    fn rise(&self, chair: usize) -> Option<Rest> {
        let mut seat = self.seat.lock();
        if !self.is_monitors(chair) {
            return None;
        }
        self.parked.store(false, Ordering::SeqCst);
        self.vouch_at.store(NEVER, Ordering::Relaxed);
        seat.take()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const HALF: Nanos = 300_000_000_000;

    fn lanes(gate: &Arc<Gate>) -> [Arc<Lane>; 2] {
        [0, 1].map(|id| Lane::new(id, gate.clone()).expect("a lane").0)
    }

    #[test]
    #[cfg_attr(miri, ignore = "miri has no timer descriptors")]
    fn lanes_that_move_put_the_alarm_off_and_one_that_stands_sets_it_off() {
        let gate = Arc::new(Gate::new().expect("a gate"));
        let lanes = lanes(&gate);
        let mut claim = lanes[1].post.ownership.resume();
        let begun = Rest::new(Vec::new(), LONG, true, &lanes);
        let since = begun.since;
        let rested = std::thread::scope(|scope| {
            let monitor = scope.spawn(|| gate.nap(0, begun, 0));
            while !gate.asks(HALF) {
                std::thread::yield_now();
            }
            assert!(!gate.asks(HALF - 1), "half of the alarm's time");
            lanes[1].post.ownership.enter(&mut claim);
            gate.vouch(HALF, &lanes, || true);
            assert!(!gate.asks(2 * HALF - 1), "put off: the poll is a new one");
            gate.vouch(HALF, &lanes, || true);
            assert!(gate.asks(2 * HALF), "nobody asked: the look does not count");
            gate.vouch(2 * HALF, &lanes, || true);
            assert!(!gate.asks(NEVER - 1), "nobody puts it off any more");
            monitor.join().expect("no panic")
        });
        let rest = rested.expect("it rested");
        assert!(rest.since > since, "since somebody saw the poll");
        assert_eq!(rest.seen[1], lanes[1].post.ownership.observe());
    }

    #[test]
    #[cfg_attr(miri, ignore = "miri has no timer descriptors")]
    fn nothing_is_put_off_when_the_monitor_has_more_to_look_after() {
        let gate = Arc::new(Gate::new().expect("a gate"));
        let lanes = lanes(&gate);
        std::thread::scope(|scope| {
            scope.spawn(|| gate.nap(0, Rest::new(Vec::new(), LONG, true, &lanes), 0));
            while !gate.asks(HALF) {
                std::thread::yield_now();
            }
            gate.vouch(HALF, &lanes, || false);
            assert!(!gate.asks(NEVER - 1), "the alarm comes when it was to come");
            gate.open();
        });
        assert!(
            !gate.asks(NEVER - 1),
            "and nobody vouches for one that is up"
        );
    }
}
