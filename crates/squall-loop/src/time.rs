//! Time on a loop: sleeping, deadlines, and a clock that tests can turn.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::carrier::Context as Current;
use crate::ioloop::Shared;
use crate::lane::Lane;
use crate::timer::{Due, Nanos, TimerKey};
use parking_lot::Mutex;

/// Where a loop's time comes from.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The system's monotonic clock, counted from here.
    System(Instant),
    /// A test's.
    Turned(TestClock),
}

impl Clock {
    pub(crate) fn system() -> Self {
        Self::System(Instant::now())
    }

    pub(crate) fn now(&self) -> Nanos {
        match self {
            Self::System(start) => nanos(start.elapsed()),
            Self::Turned(clock) => clock.inner.now.load(Ordering::SeqCst),
        }
    }

    pub(crate) fn after(&self, delay: Duration) -> Nanos {
        self.now().saturating_add(nanos(delay))
    }

    pub(crate) fn at(&self, when: Instant) -> Nanos {
        nanos(when.saturating_duration_since(self.start()))
    }

    pub(crate) fn instant(&self) -> Instant {
        match self {
            Self::System(_) => Instant::now(),
            Self::Turned(clock) => clock.inner.start + Duration::from_nanos(self.now()),
        }
    }

    /// How long to wait in the reactor for a deadline; None: until woken.
    pub(crate) fn until(&self, deadline: Nanos) -> Option<Duration> {
        match self {
            Self::System(_) => Some(Duration::from_nanos(deadline.saturating_sub(self.now()))),
            Self::Turned(_) if deadline <= self.now() => Some(Duration::ZERO),
            Self::Turned(_) => None,
        }
    }

    pub(crate) fn start(&self) -> Instant {
        match self {
            Self::System(start) => *start,
            Self::Turned(clock) => clock.inner.start,
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A clock that stands still until a test turns it.
///
/// Give it to [`Builder::clock`](crate::Builder::clock). Only the loop's timers
/// follow it; blocking code and the monitor live in real time.
#[derive(Debug, Clone)]
pub struct TestClock {
    inner: Arc<Turned>,
}

struct Turned {
    start: Instant,
    now: AtomicU64,
    loops: Mutex<Vec<Weak<Shared>>>,
}

impl fmt::Debug for Turned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.now.load(Ordering::SeqCst))
    }
}

impl TestClock {
    /// A clock at zero.
    #[allow(clippy::new_without_default)] // A clock is made on purpose.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Turned {
                start: Instant::now(),
                now: AtomicU64::new(0),
                loops: Mutex::default(),
            }),
        }
    }

    /// Turns the clock; what is due by then fires.
    pub fn advance(&self, by: Duration) {
        self.inner.now.fetch_add(nanos(by), Ordering::SeqCst);
        for shared in self.inner.loops.lock().iter() {
            if let Some(shared) = shared.upgrade() {
                for lane in shared.lanes.iter() {
                    lane.wake();
                }
            }
        }
    }

    pub(crate) fn follow(&self, shared: &Arc<Shared>) {
        let mut loops = self.inner.loops.lock();
        loops.push(Arc::downgrade(shared));
    }
}

/// Nanoseconds of the loop's clock when this lane last looked at its sockets.
///
/// Costs no system call, and lags behind by at most one round of polls. What it
/// counts from is the loop's own ([`IoLoop::instant_of`](crate::IoLoop::instant_of)).
///
/// # Panics
/// Outside of a loop's threads.
pub fn coarse_nanos() -> u64 {
    Current::with(|_, lane| lane.coarse_now.load(Ordering::Relaxed))
        .expect("the loop's clock is read inside an IoLoop")
}

/// The loop's time ([`IoLoop::now`](crate::IoLoop::now)), and outside of a loop the
/// system's.
pub fn now() -> Instant {
    Current::with(|shared, _| shared.clock.instant()).unwrap_or_else(Instant::now)
}

/// The loop's time when this lane last looked at its sockets: when what it does now was
/// there to be done. No clock is read for it. Outside of a loop the system's time.
pub fn coarse_now() -> Instant {
    let coarse = |shared: &Arc<Shared>, lane: &Arc<Lane>| {
        let nanos = lane.coarse_now.load(Ordering::Relaxed);
        shared.clock.start() + Duration::from_nanos(nanos)
    };
    Current::with(coarse).unwrap_or_else(Instant::now)
}

/// Waits for `duration` without blocking anything.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        when: match Current::with(|shared, _| shared.clock.after(duration)) {
            Some(deadline) => When::Deadline(deadline),
            None => When::After(duration),
        },
        armed: None,
    }
}

/// Waits until `when`, on the loop's clock ([`IoLoop::now`](crate::IoLoop::now)).
pub fn sleep_until(when: Instant) -> Sleep {
    Sleep {
        when: When::At(when),
        armed: None,
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
/// Dropping it disarms its timer.
///
/// # Panics
/// When polled outside of a loop.
#[must_use = "a Sleep does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Sleep {
    when: When,
    armed: Option<(Arc<Lane>, TimerKey)>,
}

#[derive(Debug, Clone, Copy)]
enum When {
    After(Duration),
    At(Instant),
    Deadline(Nanos),
}

impl Sleep {
    /// Moves the deadline. The next poll arms it anew.
    pub fn reset(&mut self, when: Instant) {
        self.disarm();
        self.when = When::At(when);
    }

    fn disarm(&mut self) {
        if let Some((lane, key)) = self.armed.take() {
            lane.timers.cancel(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((lane, key)) = &self.armed {
            if lane.timers.set_waker(*key, cx.waker()) {
                return Poll::Pending;
            }
            self.armed = None;
            return Poll::Ready(());
        }
        let ours = Current::with(|shared, lane| {
            let deadline = match self.when {
                When::After(delay) => shared.clock.after(delay),
                When::At(when) => shared.clock.at(when),
                When::Deadline(deadline) => deadline,
            };
            if deadline <= shared.clock.now() {
                return None;
            }
            let key = lane.arm(deadline, Due::Wake(cx.waker().clone()));
            Some((lane.clone(), key))
        });
        match ours.expect("a Sleep is polled inside an IoLoop") {
            None => Poll::Ready(()),
            armed => {
                self.armed = armed;
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// Awaits a future, but not longer than `limit`, counted from this call.
///
/// # Errors
/// [`TimeoutError`] at the limit; the future is dropped then.
///
/// # Cancel safety
/// As safe as the future's own.
pub fn with_timeout<F: Future>(
    limit: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, TimeoutError>> {
    let sleep = sleep(limit);
    async move {
        let mut future = std::pin::pin!(future);
        let mut sleep = std::pin::pin!(sleep);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            sleep
                .as_mut()
                .poll(cx)
                .map(|()| Err(TimeoutError { limit }))
        })
        .await
    }
}

/// A limit of [`with_timeout`] was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutError {
    /// The limit.
    pub limit: Duration,
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done within {:?}", self.limit)
    }
}

impl std::error::Error for TimeoutError {}
