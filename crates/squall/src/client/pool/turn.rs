//! `Turn`: who has a permit and no idle connection dials, when it is their turn.
//!
//! At most so many of an origin dial at a time. The others stand in line, for their turn
//! or for a connection that comes free before.

use std::sync::Arc;
use std::task::{Context, Poll};

use squall_http::client::Connection;
use squall_loop::time::now;

use super::{Handed, Lease, Pool};

/// What a fetch without an idle connection gets.
pub(in crate::client) enum Turn {
    /// It may dial, while it holds this.
    Dial(Dialling),
    /// A connection came free before.
    Connection(Box<Connection>),
}

impl Lease {
    /// Waits for the turn to dial, or for a connection that comes free.
    pub(in crate::client) async fn turn(&self) -> Turn {
        let ticket = self.pool.state.lock().ticket();
        if let Some(turn) = self.line_up(ticket) {
            return turn;
        }
        let mut place = InLine {
            lease: self,
            ticket,
            served: false,
        };
        std::future::poll_fn(|cx| place.poll(cx)).await
    }

    /// The turn to dial, or a place in the line.
    fn line_up(&self, ticket: u64) -> Option<Turn> {
        let state = &mut *self.pool.state.lock();
        let Some(origin) = state.places.get_mut(self.place) else {
            return Some(Turn::Dial(self.dialling()));
        };
        let first = (origin.crowd()).is_none_or(|crowd| crowd.dialers.is_empty());
        if first && (origin.dialling as usize) < self.pool.limits.dials {
            origin.dialling += 1;
            state.dialling += 1;
            return Some(Turn::Dial(self.dialling()));
        }
        origin.crowd_in().dialers.join(ticket);
        state.in_line += 1;
        None
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
    served: bool,
}

impl InLine<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Turn> {
        let handed = {
            let mut state = self.lease.pool.state.lock();
            let Some(handed) = state.handed.remove(&self.ticket) else {
                let origin = state.places.get_mut(self.lease.place);
                if let Some(crowd) = origin.and_then(|origin| origin.crowd()) {
                    crowd.dialers.wait(self.ticket, cx.waker());
                }
                return Poll::Pending;
            };
            handed
        };
        let turn = match handed {
            Handed::Dial => Turn::Dial(self.lease.dialling()),
            Handed::Connection(idle) if idle.is_fit(now(), true) => {
                Turn::Connection(idle.connection)
            }
            // It was in use until just now, and yet the server has closed it.
            Handed::Connection(_) => match self.lease.line_up(self.ticket) {
                Some(turn) => turn,
                None => return self.poll(cx),
            },
        };
        self.served = true;
        Poll::Ready(turn)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        if self.served {
            return;
        }
        let pool = &self.lease.pool;
        let mut state = pool.state.lock();
        let origin = state.places.get_mut(self.lease.place);
        if let Some(crowd) = origin.and_then(|origin| origin.crowd())
            && crowd.dialers.leave(self.ticket)
        {
            state.in_line -= 1;
        }
        match state.handed.remove(&self.ticket) {
            Some(Handed::Connection(idle)) => {
                let put = pool.put(&mut state, self.lease.place, idle.connection);
                drop(state);
                put.finish(pool);
            }
            Some(Handed::Dial) => {
                drop(state);
                drop(self.lease.dialling());
            }
            None => {}
        }
    }
}

/// One of the dials that are allowed at a time. Dropping it lets the next one begin.
pub(in crate::client) struct Dialling {
    pool: Arc<Pool>,
    place: u32,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        let Some(origin) = state.places.get_mut(self.place) else {
            return;
        };
        let next = origin.crowd().and_then(|crowd| crowd.dialers.pop());
        let Some((ticket, waker)) = next else {
            origin.dialling = origin.dialling.saturating_sub(1);
            state.dialling = state.dialling.saturating_sub(1);
            return;
        };
        state.in_line -= 1;
        state.handed.insert(ticket, Handed::Dial);
        drop(state);
        waker.wake();
    }
}
