//! The thread that drives a lane at the moment: the one loop of this crate.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use crate::handoff::{Claim, Seen};
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::monitor;
use crate::post::Post;
use crate::time::Clock;
use crate::timer::{Due, Nanos};
use crate::vigil::Vigil;

/// Polls before the reactor and the timers are looked at again.
const BATCH: usize = 128;

/// Drives `lane` until it is taken away or stops.
pub(crate) fn drive(shared: &Arc<Shared>, lane: &Arc<Lane>, mut claim: Claim) {
    let _context = Context::enter(shared, lane);
    let _driving = Driving::begin(&claim);
    lane.post.man();
    lane.doze.man();
    let mut wakers = Vec::new();
    let mut due = Vec::new();
    let mut vigil = Vigil::default();
    let mut taken_over = claim.generation() != 0;
    loop {
        lane.post.no_task();
        if taken_over && lane.queue.is_empty() {
            taken_over = false;
            monitor::carrier_rests(shared, lane);
        }
        // Before all else, also on a lane that was just taken over: it ends with
        // `awake`, and from then on the monitor looks.
        let now = wait(&shared.clock, lane, &mut vigil, &mut wakers, &mut due);
        if shared.monitor.gate.asks(now) {
            (shared.monitor.gate).vouch(now, &shared.lanes, || shared.threads.is_at_ease());
        }
        if !(wakers.is_empty() && due.is_empty()) {
            // A waker may be anybody's code, so this counts as a poll too.
            lane.post.ownership.enter(&mut claim);
            for waker in wakers.drain(..) {
                waker.wake();
            }
            for due in due.drain(..) {
                match due {
                    Due::Wake(waker) => waker.wake(),
                    Due::Call(call) => drop(lane.spawn(async move { call() }, None)),
                }
            }
            if !lane.post.ownership.leave(&claim) {
                return shared.monitor.stuck.released();
            }
        }
        for _ in 0..BATCH {
            let Some(runnable) = lane.queue.pop() else {
                break;
            };
            if !lane.post.poll(&mut claim, runnable) {
                lane.polled_beside();
                return shared.monitor.stuck.released();
            }
        }
        if lane.stopping.load(Ordering::SeqCst) {
            return lane.drain();
        }
    }
}

/// Polls what waits on a lane whose carrier is stuck, beside its carrier, until
/// nothing waits any more. One blocking poll ends it: the thread is then as stuck as
/// the carrier was, but holds nothing up.
pub(crate) fn relieve(shared: &Arc<Shared>, lane: &Arc<Lane>, post: &Post) {
    let _context = Context::enter(shared, lane);
    post.man();
    let mut claim = post.ownership.resume();
    while !lane.stopping.load(Ordering::SeqCst)
        && let Some(runnable) = lane.queue.pop()
    {
        let ours = post.poll(&mut claim, runnable);
        lane.polled_beside();
        if !ours {
            return shared.monitor.stuck.released();
        }
    }
}

/// Collects what became ready and due; sleeps when there is nothing to run. Returns when
/// that was.
pub(crate) fn wait(
    clock: &Clock,
    lane: &Lane,
    vigil: &mut Vigil,
    wakers: &mut Vec<Waker>,
    due: &mut Vec<Due>,
) -> Nanos {
    let stays_up = vigil.begins();
    if stays_up {
        lane.doze.about_to_stay_up();
    } else {
        lane.doze.about_to_sleep();
    }
    // Whoever arms an earlier one from here on rouses the carrier.
    let next = lane.timers.next();
    let idle = lane.queue.is_empty() && !lane.stopping.load(Ordering::SeqCst);
    let mut timeout = match idle {
        true => next.and_then(|next| clock.until(next)),
        false => Some(Duration::ZERO),
    };
    let sleeps = timeout != Some(Duration::ZERO);
    if stays_up && sleeps && vigil.ended(lane.doze.stay_up()) {
        timeout = Some(Duration::ZERO);
    }
    match timeout {
        timeout if lane.reactor.has_sockets() => lane.reactor.wait(timeout, wakers),
        Some(Duration::ZERO) => {}
        timeout => lane.doze.park(timeout.map(whole_millis)),
    }
    let now = clock.now();
    let roused = lane.awake(now);
    if sleeps {
        vigil.woke(roused);
    }
    lane.coarse_now.store(now, Ordering::Relaxed);
    if roused || next.is_some_and(|next| next <= now) {
        lane.timers.take_due(now, due);
    }
    now
}

/// Rounded up, as the reactor does: many timers fire in one wake.
fn whole_millis(timeout: Duration) -> Duration {
    let more = Duration::from_nanos(999_999);
    let millis = timeout.saturating_add(more).as_millis();
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(not(loom))]
thread_local! {
    static CURRENT: RefCell<Option<(Arc<Shared>, Arc<Lane>)>> = const { RefCell::new(None) };
}
#[cfg(loom)]
loom::thread_local! {
    static CURRENT: RefCell<Option<(Arc<Shared>, Arc<Lane>)>> = RefCell::new(None);
}

/// The loop and lane that code on this thread belongs to, while it lives.
pub(crate) struct Context(Option<(Arc<Shared>, Arc<Lane>)>);

impl Context {
    pub(crate) fn enter(shared: &Arc<Shared>, lane: &Arc<Lane>) -> Self {
        let entered = Some((shared.clone(), lane.clone()));
        Self(CURRENT.with(|current| current.replace(entered)))
    }

    /// Looks at the current loop and lane; None outside of any.
    pub(crate) fn with<R>(f: impl FnOnce(&Arc<Shared>, &Arc<Lane>) -> R) -> Option<R> {
        CURRENT.with(|current| {
            let current = current.borrow();
            current.as_ref().map(|(shared, lane)| f(shared, lane))
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| drop(current.replace(before)));
    }
}

thread_local! {
    static DRIVING: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Says, while it lives, under which generation this thread drives a lane.
struct Driving(Option<u32>);

impl Driving {
    fn begin(claim: &Claim) -> Self {
        Self(DRIVING.replace(Some(claim.generation())))
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        DRIVING.set(self.0.take());
    }
}

/// Whether this thread drives the lane whose post was seen so, at this moment.
pub(crate) fn is_driving(seen: Seen) -> bool {
    DRIVING.get() == Some(seen.generation())
}
