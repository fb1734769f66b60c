//! The pool: which connections exist, who may open one, who waits.
//!
//! ```text
//! acquire --room--> Lease --(idle connection or dial)--> exchange --clean--> idle
//!    `-- no room --> Waiting --granted, in order--> Lease      `-- else --> closed
//! ```
//! Whoever has a permit and no idle connection lets run what is runnable, which may set one
//! free, and then dials; at most some at a time, the others stand in line for their turn or
//! for a connection that comes free.
//!
//! A [`Lease`] is a permit: one per connection in use, given back by dropping it wherever
//! a fetch is cancelled. Limits count connections in use, per origin and in total; idle
//! ones are bounded apart. The youngest idle connection is used first, so that the
//! surplus grows old and is reaped. Everything is under one short lock.
//!
//! Where the limit in total is reached, the origins that somebody waits for are served by
//! turns, so that those who wait for a slow one keep nobody from another.

mod line;
mod places;
mod reaper;
mod turn;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use squall_http::client::{Connection, Home};
use squall_loop::yield_now;

use super::route::Route;
use line::{ByNumber, Line};
use places::{Idle, Places};
pub(super) use turn::Turn;

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
/// A hundred years.
const FOREVER: Duration = Duration::from_secs(3_153_600_000);

/// What the client's pool holds at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PoolStats {
    /// Connections in use or idle.
    pub open: usize,
    /// Connections that wait for their next request.
    pub idle: usize,
    /// Connections that are being made.
    pub dialling: usize,
    /// Fetches that wait for a connection, or for their turn to make one.
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
    /// Connections that are being made, over all origins, and who stands in line for a turn
    /// to make one.
    dialling: usize,
    in_line: usize,
    next_ticket: u64,
    /// The origins that another permit would be for, in the order of their turns.
    ready: BTreeMap<u64, u32>,
    /// Tickets that were granted and not yet taken.
    granted: ByNumber<()>,
    /// What those who waited for their turn to dial were given and have not taken.
    handed: ByNumber<Handed>,
    reaping: bool,
}

/// What ends the wait for a connection of one's own.
enum Handed {
    Connection(Idle),
    Dial,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    pub(super) fn limits(&self) -> PoolLimits {
        self.limits
    }

    pub(super) fn stats(&self) -> PoolStats {
        let state = self.state.lock();
        let to_come = state.dialling + state.in_line;
        PoolStats {
            open: (state.active + state.idle).saturating_sub(to_come),
            idle: state.idle,
            dialling: state.dialling,
            waiting: state.waiting + state.in_line,
        }
    }

    /// Asks for a place; `Err`: too many wait already, the number allowed.
    pub(super) fn acquire(
        self: &Arc<Self>,
        origin: &str,
        route: &Arc<Route>,
    ) -> Result<Acquired, usize> {
        let mut state = self.state.lock();
        let State { places, active, .. } = &mut *state;
        let place = places.find(origin, route);
        let Some(found) = places.get_mut(place) else {
            return Err(self.limits.waiters);
        };
        if found.waiters().is_none_or(Line::is_empty)
            && (found.active as usize) < self.limits.per_origin
            && *active < self.limits.total
        {
            found.active += 1;
            *active += 1;
            return Ok(Acquired::Now(Lease::new(self, place)));
        }
        if state.waiting >= self.limits.waiters {
            state.places.forget_if_unused(place);
            return Err(self.limits.waiters);
        }
        let ticket = state.ticket();
        state.waiting += 1;
        if let Some(origin) = state.places.get_mut(place) {
            origin.crowd_in().waiters.join(ticket);
        }
        state.list(place, self.limits.per_origin);
        Ok(Acquired::Later(Waiting {
            pool: self.clone(),
            place,
            ticket,
            taken: false,
        }))
    }

    /// A permit is free again: the oldest waiter of its origin gets it, or of the one whose turn
    /// it is where the limit in total was reached.
    fn release(&self, state: &mut State, place: u32) -> Option<Waker> {
        let per_origin = self.limits.per_origin;
        let total_was_full = state.active >= self.limits.total;
        state.active = state.active.saturating_sub(1);
        let origin = state.places.get_mut(place)?;
        origin.active = origin.active.saturating_sub(1);
        if state.waiting == 0 {
            state.places.forget_if_unused(place);
            return None;
        }
        let own =
            (origin.active as usize) < per_origin && !origin.waiters().is_none_or(Line::is_empty);
        state.list(place, per_origin);
        let next = match own && !total_was_full {
            true => Some(place),
            false => state.ready.first_key_value().map(|(_, place)| *place),
        };
        let Some(next) = next else {
            state.places.forget_if_unused(place);
            return None;
        };
        let origin = state.places.get_mut(next)?;
        let crowd = origin.crowd()?;
        let (ticket, waker) = crowd.waiters.pop()?;
        let turn = crowd.listed.take();
        crowd.granted += 1;
        origin.active += 1;
        state.active += 1;
        state.waiting -= 1;
        state.granted.insert(ticket, ());
        if let Some(turn) = turn {
            state.ready.remove(&turn);
        }
        state.list(next, per_origin);
        state.places.forget_if_unused(place);
        Some(waker)
    }

    /// A connection is free: for the next one in line, or to be kept.
    fn put(&self, state: &mut State, place: u32, connection: Box<Connection>) -> Put {
        let mut put = Put::default();
        let (Some(until), Some(origin)) =
            (self.idle_until(&connection), state.places.get_mut(place))
        else {
            put.closed = Some(connection);
            return put;
        };
        if let Some((ticket, waker)) = origin.crowd().and_then(|crowd| crowd.dialers.pop()) {
            let idle = Idle { connection, until };
            state.handed.insert(ticket, Handed::Connection(idle));
            state.in_line -= 1;
            put.wake = Some(waker);
            return put;
        }
        let wanted = self.limits.idle_per_origin + origin.granted() as usize;
        let oldest = match origin.idle.len() >= wanted {
            true => Some(place),
            false if state.idle >= self.limits.idle_total => match state.places.long_idle() {
                None => {
                    put.closed = Some(connection);
                    return put;
                }
                found => found,
            },
            false => None,
        };
        put.closed = oldest.and_then(|place| state.places.take_oldest(place));
        if let Some(origin) = state.places.get_mut(place) {
            origin.push_idle(Idle { connection, until });
        }
        if let Some(other) = oldest {
            state.places.forget_if_unused(other);
        }
        state.idle += usize::from(put.closed.is_none());
        put.reap = !std::mem::replace(&mut state.reaping, true);
        put
    }

    /// Until when a connection may be idle; `None`: it is not worth keeping.
    fn idle_until(&self, connection: &Connection) -> Option<Instant> {
        let idle = match connection.keep_alive() {
            Some(told) => told
                .checked_sub(ADVERTISED_MARGIN)?
                .min(ADVERTISED_MAX.max(self.limits.idle_timeout)),
            None => self.limits.idle_timeout,
        };
        let (heard, retires) = (connection.heard(), connection.retires());
        let until = heard
            .checked_add(idle)
            .map_or(retires, |until| until.min(retires));
        (until > heard && self.limits.idle_per_origin > 0).then_some(until)
    }

    /// When a connection that was made just now is too old to be kept: between 0.9 and 1.1
    /// times `max_age`, so that what was opened together is not closed together.
    pub(super) fn retires(&self, born: Instant) -> Instant {
        let share = 1152 + RandomState::new().hash_one(0_u8) as u32 % 256;
        let age = (self.limits.max_age / 1280).saturating_mul(share);
        // A clock that cannot count so far has no end that matters.
        born.checked_add(age).unwrap_or(born + FOREVER)
    }
}

impl State {
    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Whether this waiter was given its permit, which it takes now.
    fn take_grant(&mut self, place: u32, ticket: u64) -> bool {
        let granted = self.granted.remove(&ticket).is_some();
        if granted && let Some(crowd) = self.places.get_mut(place).and_then(|at| at.crowd()) {
            crowd.granted -= 1;
        }
        granted
    }

    /// Lists an origin, behind the others, if another permit of its own would be for it.
    fn list(&mut self, place: u32, per_origin: usize) {
        let Some(origin) = self.places.get_mut(place) else {
            return;
        };
        let has_room = (origin.active as usize) < per_origin;
        let Some(crowd) = origin.crowd() else {
            return;
        };
        match (has_room && !crowd.waiters.is_empty(), crowd.listed) {
            (true, None) => {
                self.next_ticket += 1;
                crowd.listed = Some(self.next_ticket);
                self.ready.insert(self.next_ticket, place);
            }
            (false, Some(turn)) => {
                crowd.listed = None;
                self.ready.remove(&turn);
            }
            _ => {}
        }
    }
}

/// What is left to do for a connection that was put back, without the lock.
#[derive(Default)]
struct Put {
    wake: Option<Waker>,
    closed: Option<Box<Connection>>,
    reap: bool,
}

impl Put {
    fn finish(self, pool: &Arc<Pool>) {
        if let Some(waker) = self.wake {
            waker.wake();
        }
        if self.reap {
            pool.reap_later();
        }
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
    place: u32,
    ticket: u64,
    taken: bool,
}

impl Future for Waiting {
    type Output = Lease;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Lease> {
        let this = self.get_mut();
        let mut state = this.pool.state.lock();
        if state.take_grant(this.place, this.ticket) {
            this.taken = true;
            return Poll::Ready(Lease::new(&this.pool, this.place));
        }
        if let Some(crowd) = state.places.get_mut(this.place).and_then(|at| at.crowd()) {
            crowd.waiters.wait(this.ticket, cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut state = self.pool.state.lock();
        let waker = if state.take_grant(self.place, self.ticket) {
            self.pool.release(&mut state, self.place)
        } else {
            let crowd = state.places.get_mut(self.place).and_then(|at| at.crowd());
            if crowd.is_some_and(|crowd| crowd.waiters.leave(self.ticket)) {
                state.waiting -= 1;
            }
            state.list(self.place, self.pool.limits.per_origin);
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
    place: u32,
    /// It was given back together with its connection.
    returned: bool,
}

impl Lease {
    fn new(pool: &Arc<Pool>, place: u32) -> Self {
        Self {
            pool: pool.clone(),
            place,
            returned: false,
        }
    }

    /// An idle connection, or one that comes free in this turn of the loop: many requests
    /// and answers come in one, and the answers set free what the requests would dial for.
    pub(super) async fn idle(&self, now: Instant, ask: bool) -> Option<Box<Connection>> {
        let idle = self.take_idle(now, ask);
        if idle.is_some() || !self.has_company() {
            return idle;
        }
        yield_now().await;
        self.take_idle(now, ask)
    }

    /// Whether the origin has other connections in use.
    fn has_company(&self) -> bool {
        let mut state = self.pool.state.lock();
        (state.places.get_mut(self.place)).is_some_and(|origin| origin.active > 1)
    }

    /// The youngest idle connection that is still quiet; `ask` asks the system about it.
    fn take_idle(&self, now: Instant, ask: bool) -> Option<Box<Connection>> {
        loop {
            let idle = {
                let mut state = self.pool.state.lock();
                let idle = state.places.get_mut(self.place)?.idle.pop()?;
                state.idle -= 1;
                idle
            };
            if idle.is_fit(now, ask) {
                return Some(idle.connection);
            }
        }
    }
}

impl Home for Lease {
    fn give_back(mut self, connection: Box<Connection>) {
        self.returned = true;
        let (put, waker) = {
            let mut state = self.pool.state.lock();
            let put = self.pool.put(&mut state, self.place, connection);
            (put, self.pool.release(&mut state, self.place))
        };
        put.finish(&self.pool);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.returned {
            return;
        }
        let waker = {
            let mut state = self.pool.state.lock();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(pool: &Arc<Pool>, origin: &str) -> Acquired {
        pool.acquire(origin, &Arc::default()).expect("room to wait")
    }

    fn now_at(pool: &Arc<Pool>, origin: &str) -> Lease {
        match ask(pool, origin) {
            Acquired::Now(lease) => lease,
            Acquired::Later(_) => panic!("{origin} has room"),
        }
    }

    fn later_at(pool: &Arc<Pool>, origin: &str) -> Waiting {
        match ask(pool, origin) {
            Acquired::Now(_) => panic!("{origin} has no room"),
            Acquired::Later(waiting) => waiting,
        }
    }

    fn served(waiting: &mut Waiting) -> Option<Lease> {
        match Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(lease) => Some(lease),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_full_pool_serves_the_origins_that_have_room_by_turns() {
        let pool = Pool::new(PoolLimits {
            per_origin: 1,
            total: 2,
            ..PoolLimits::default()
        });
        let (at_a, at_b) = (now_at(&pool, "a"), now_at(&pool, "b"));
        let mut second_at_a = later_at(&pool, "a");
        let gone = later_at(&pool, "c");
        let (mut at_c, mut at_d) = (later_at(&pool, "c"), later_at(&pool, "d"));
        drop(gone);
        drop(at_b);
        assert!(served(&mut second_at_a).is_none() && served(&mut at_d).is_none());
        let at_c = served(&mut at_c).expect("the first that fits");
        drop(at_a);
        let at_d = served(&mut at_d).expect("the next that fits");
        drop(at_c);
        drop(served(&mut second_at_a).expect("the last"));
        drop(at_d);
        let state = pool.state.lock();
        assert_eq!((state.active, state.waiting), (0, 0));
        assert!(state.ready.is_empty() && state.granted.is_empty());
    }

    #[test]
    fn many_who_wait_for_one_origin_keep_nobody_from_another() {
        let pool = Pool::new(PoolLimits {
            total: 2,
            ..PoolLimits::default()
        });
        let (first, second) = (now_at(&pool, "slow"), now_at(&pool, "slow"));
        let mut at_slow: Vec<_> = (0..10).map(|_| later_at(&pool, "slow")).collect();
        let mut at_quick: Vec<_> = (0..2).map(|_| later_at(&pool, "quick")).collect();
        drop(first);
        let first = served(&mut at_slow[0]).expect("its turn");
        drop(second);
        let quick = served(&mut at_quick[0]).expect("its turn");
        drop(quick);
        let second = served(&mut at_slow[1]).expect("its turn");
        drop(first);
        drop(served(&mut at_quick[1]).expect("its turn"));
        drop((second, at_slow));
        let state = pool.state.lock();
        assert_eq!((state.active, state.waiting), (0, 0));
        assert!(state.ready.is_empty() && state.granted.is_empty());
    }
}
