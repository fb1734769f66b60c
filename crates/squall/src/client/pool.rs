//! The pool: which connections exist, who may open one, who waits.
//!
//! ```text
//! acquire --room--> Lease --(idle connection or dial)--> exchange --clean--> idle
//!    `-- no room --> Waiting --granted, in order--> Lease      `-- else --> closed
//! ```
//! Whoever has a permit and no idle connection dials; at most some at a time, the others
//! stand in line for their turn or for a connection that comes free.
//!
//! A [`Lease`] is a permit: one per connection in use, given back by dropping it wherever
//! a fetch is cancelled. Limits count connections in use, per origin and in total; idle
//! ones are bounded apart. The youngest idle connection is used first, so that the
//! surplus grows old and is reaped. Everything is under one short lock.

mod places;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use squall_http::client::{Connection, Home};
use squall_loop::IoLoop;
use squall_loop::time::now;

use super::route::Route;
use places::{Idle, Places};

/// The pool's bounds; see the builder of the client for what each is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolLimits {
    pub(super) per_origin: usize,
    pub(super) total: usize,
    pub(super) idle_per_origin: usize,
    pub(super) idle_total: usize,
    pub(super) waiters: usize,
    pub(super) dials: usize,
    pub(super) idle_timeout: Duration,
    pub(super) max_age: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            per_origin: 64,
            total: 512,
            idle_per_origin: 32,
            idle_total: 512,
            waiters: 4096,
            dials: 8,
            idle_timeout: Duration::from_secs(15),
            max_age: Duration::from_secs(300),
        }
    }
}

/// How much longer than `idle_timeout` a server may ask us to keep a connection.
const ADVERTISED_MAX: Duration = Duration::from_secs(90);
/// How much earlier than the server says a connection is given up.
const ADVERTISED_MARGIN: Duration = Duration::from_secs(1);

/// What the client's pool holds at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PoolStats {
    /// Connections in use or idle.
    pub open: usize,
    /// Connections that wait for their next request.
    pub idle: usize,
    /// Fetches that wait for a connection.
    pub waiting: usize,
}

pub(super) struct Pool {
    limits: PoolLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    places: Places,
    /// Permits given out, over all origins.
    active: usize,
    idle: usize,
    waiting: usize,
    next_ticket: u64,
    /// Tickets that were granted and not yet taken.
    granted: HashSet<u64>,
    /// What those who waited for their turn to dial were given and have not taken.
    handed: HashMap<u64, Handed>,
    reaping: bool,
}

/// What ends the wait for a connection of one's own.
enum Handed {
    Connection(Box<Connection>),
    Dial,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    pub(super) fn stats(&self) -> PoolStats {
        let state = self.lock();
        PoolStats {
            open: state.active + state.idle,
            idle: state.idle,
            waiting: state.waiting,
        }
    }

    /// Asks for a place; `Err`: too many wait already, the number allowed.
    pub(super) fn acquire(
        self: &Arc<Self>,
        origin: &str,
        route: &Arc<Route>,
    ) -> Result<Acquired, usize> {
        let mut state = self.lock();
        let State { places, active, .. } = &mut *state;
        let place = places.find(origin, route);
        let Some(found) = places.get_mut(place) else {
            return Err(self.limits.waiters);
        };
        if found.waiters.is_empty()
            && found.active < self.limits.per_origin
            && *active < self.limits.total
        {
            found.active += 1;
            *active += 1;
            let pool = self.clone();
            return Ok(Acquired::Now(Lease { pool, place }));
        }
        if state.waiting >= self.limits.waiters {
            state.places.forget_if_unused(place);
            return Err(self.limits.waiters);
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting += 1;
        if let Some(origin) = state.places.get_mut(place) {
            origin.waiters.insert(ticket, Waker::noop().clone());
        }
        Ok(Acquired::Later(Waiting {
            pool: self.clone(),
            place,
            ticket,
            taken: false,
        }))
    }

    /// A permit is free again: the oldest waiter that fits gets it.
    fn release(&self, state: &mut State, place: usize) -> Option<Waker> {
        let total_was_full = state.active >= self.limits.total;
        state.active = state.active.saturating_sub(1);
        let origin = state.places.get_mut(place)?;
        origin.active = origin.active.saturating_sub(1);
        let own = !origin.waiters.is_empty() && origin.active < self.limits.per_origin;
        let next = if state.waiting == 0 {
            None
        } else if own && !total_was_full {
            Some(place)
        } else {
            state.oldest_waiter(self.limits.per_origin)
        };
        let Some(next) = next else {
            state.places.forget_if_unused(place);
            return None;
        };
        let origin = state.places.get_mut(next)?;
        let (ticket, waker) = origin.waiters.pop_first()?;
        origin.active += 1;
        origin.granted += 1;
        state.active += 1;
        state.waiting -= 1;
        state.granted.insert(ticket);
        state.places.forget_if_unused(place);
        Some(waker)
    }

    fn keep(self: &Arc<Self>, place: usize, connection: Box<Connection>) {
        let Some(life) = self.idle_life(&connection) else {
            return;
        };
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(origin) = state.places.get_mut(place) else {
            return;
        };
        if let Some((ticket, waker)) = origin.line.pop_first() {
            state.handed.insert(ticket, Handed::Connection(connection));
            drop(guard);
            return waker.wake();
        }
        if state.idle >= self.limits.idle_total {
            return;
        }
        let wanted = self.limits.idle_per_origin + origin.granted;
        let surplus = (origin.idle.len() >= wanted).then(|| origin.idle.remove(0));
        let until = connection.heard() + life;
        origin.push_idle(Idle { connection, until });
        state.idle += usize::from(surplus.is_none());
        let reap = !std::mem::replace(&mut state.reaping, true);
        drop(guard);
        drop(surplus);
        if reap {
            self.reap_later();
        }
    }

    /// How long a connection may be idle; `None`: it is not worth keeping.
    fn idle_life(&self, connection: &Connection) -> Option<Duration> {
        // Between 0.9 and 1.1 times, so that what was opened together is not closed together.
        let share = 1152 + u32::from(connection.salt());
        let oldest = (self.limits.max_age / 1280).saturating_mul(share);
        let age = (connection.heard()).saturating_duration_since(connection.born());
        let rest = oldest.checked_sub(age)?;
        let idle = match connection.keep_alive() {
            Some(told) => told
                .checked_sub(ADVERTISED_MARGIN)?
                .min(ADVERTISED_MAX.max(self.limits.idle_timeout)),
            None => self.limits.idle_timeout,
        };
        let life = idle.min(rest);
        (!life.is_zero() && self.limits.idle_per_origin > 0).then_some(life)
    }

    /// Sweeps while there is something to sweep; holds no pool alive.
    fn reap_later(self: &Arc<Self>) {
        let Some(io_loop) = IoLoop::try_current() else {
            self.lock().reaping = false;
            return;
        };
        let every = (self.limits.idle_timeout / 3).max(Duration::from_millis(100));
        let pool = Arc::downgrade(self);
        io_loop.call_later(every, move || {
            if let Some(pool) = pool.upgrade()
                && pool.reap()
            {
                pool.reap_later();
            }
        });
    }

    /// Closes what has been idle for too long; says whether to come again.
    fn reap(&self) -> bool {
        let now = now();
        let mut gone = Vec::new();
        let mut state = self.lock();
        let mut unused = Vec::new();
        for (place, origin) in state.places.iter_mut() {
            gone.extend(origin.idle.extract_if(.., |idle| idle.until <= now));
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether this waiter was given its permit, which it takes now.
    fn take_grant(&mut self, place: usize, ticket: u64) -> bool {
        let granted = self.granted.remove(&ticket);
        if granted && let Some(origin) = self.places.get_mut(place) {
            origin.granted -= 1;
        }
        granted
    }

    fn oldest_waiter(&self, per_origin: usize) -> Option<usize> {
        (self.places.iter())
            .filter(|(_, origin)| origin.active < per_origin)
            .filter_map(|(place, origin)| Some((origin.waiters.first_key_value()?.0, place)))
            .min_by_key(|(ticket, _)| **ticket)
            .map(|(_, place)| place)
    }
}

/// A place, or the wait for one.
pub(super) enum Acquired {
    Now(Lease),
    Later(Waiting),
}

/// Waits for a permit. Dropping it leaves the queue, or passes the permit on.
pub(super) struct Waiting {
    pool: Arc<Pool>,
    place: usize,
    ticket: u64,
    taken: bool,
}

impl Future for Waiting {
    type Output = Lease;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Lease> {
        let this = self.get_mut();
        let mut state = this.pool.lock();
        if state.take_grant(this.place, this.ticket) {
            this.taken = true;
            return Poll::Ready(Lease {
                pool: this.pool.clone(),
                place: this.place,
            });
        }
        if let Some(waker) = (state.places.get_mut(this.place))
            .and_then(|origin| origin.waiters.get_mut(&this.ticket))
        {
            waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut state = self.pool.lock();
        let waker = if state.take_grant(self.place, self.ticket) {
            self.pool.release(&mut state, self.place)
        } else {
            let found = state.places.get_mut(self.place);
            if found.is_some_and(|origin| origin.waiters.remove(&self.ticket).is_some()) {
                state.waiting -= 1;
            }
            state.places.forget_if_unused(self.place);
            None
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The permit for one connection. Dropping it lets the next fetch in.
pub(super) struct Lease {
    pool: Arc<Pool>,
    place: usize,
}

impl Lease {
    /// The youngest idle connection that is still quiet; `ask` asks the system about it.
    pub(super) fn take_idle(&self, now: Instant, ask: bool) -> Option<Box<Connection>> {
        loop {
            let idle = {
                let mut state = self.pool.lock();
                let idle = state.places.get_mut(self.place)?.idle.pop()?;
                state.idle -= 1;
                idle
            };
            if idle.until > now && idle.connection.is_quiet(ask) {
                return Some(idle.connection);
            }
        }
    }
}

/// What a fetch without an idle connection gets.
pub(super) enum Turn {
    /// It may dial, while it holds this.
    Dial(Dialling),
    /// A connection came free before.
    Connection(Box<Connection>),
}

impl Lease {
    /// Waits for the turn to dial, or for a connection that comes free.
    pub(super) async fn turn(&self) -> Turn {
        let ticket = {
            let mut state = self.pool.lock();
            let ticket = state.next_ticket;
            let Some(origin) = state.places.get_mut(self.place) else {
                return Turn::Dial(self.dialling());
            };
            if origin.dialling < self.pool.limits.dials && origin.line.is_empty() {
                origin.dialling += 1;
                return Turn::Dial(self.dialling());
            }
            origin.line.insert(ticket, Waker::noop().clone());
            state.next_ticket += 1;
            ticket
        };
        let place = InLine {
            lease: self,
            ticket,
        };
        std::future::poll_fn(|cx| place.poll(cx)).await
    }

    /// Its share of `dialling` was counted.
    fn dialling(&self) -> Dialling {
        Dialling {
            pool: self.pool.clone(),
            place: self.place,
        }
    }
}

/// A place in the line of those who want to dial. Dropping it passes on what was handed.
struct InLine<'a> {
    lease: &'a Lease,
    ticket: u64,
}

impl InLine<'_> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Turn> {
        let mut state = self.lease.pool.lock();
        match state.handed.remove(&self.ticket) {
            Some(Handed::Connection(connection)) => {
                return Poll::Ready(Turn::Connection(connection));
            }
            Some(Handed::Dial) => return Poll::Ready(Turn::Dial(self.lease.dialling())),
            None => {}
        }
        let origin = state.places.get_mut(self.lease.place);
        if let Some(waker) = origin.and_then(|origin| origin.line.get_mut(&self.ticket)) {
            waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut state = self.lease.pool.lock();
        if let Some(origin) = state.places.get_mut(self.lease.place) {
            origin.line.remove(&self.ticket);
        }
        let handed = state.handed.remove(&self.ticket);
        drop(state);
        match handed {
            Some(Handed::Connection(connection)) => {
                self.lease.pool.keep(self.lease.place, connection);
            }
            Some(Handed::Dial) => drop(self.lease.dialling()),
            None => {}
        }
    }
}

/// One of the dials that are allowed at a time. Dropping it lets the next one begin.
pub(super) struct Dialling {
    pool: Arc<Pool>,
    place: usize,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let Some(origin) = state.places.get_mut(self.place) else {
            return;
        };
        let Some((ticket, waker)) = origin.line.pop_first() else {
            origin.dialling = origin.dialling.saturating_sub(1);
            return;
        };
        state.handed.insert(ticket, Handed::Dial);
        drop(state);
        waker.wake();
    }
}

impl Home for Lease {
    fn give_back(self, connection: Box<Connection>) {
        self.pool.keep(self.place, connection);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.pool.lock();
            self.pool.release(&mut state, self.place)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}
