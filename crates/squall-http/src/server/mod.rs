//! The server's side: accepting, one driver per connection, shutting down.
//!
//! The engine knows connections and messages; what to answer is a [`Service`]'s.

mod accept;
mod admission;
mod close;
mod conn;
mod encode;
mod exchange;
mod h1;
mod incoming;
mod listener;
mod message;
mod patience;
mod phase;
mod read;
mod recycle;
mod send;
mod settings;
mod shutdown;
mod upgraded;
mod waits;

use std::any::Any;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};
use slab::Slab;
use squall_loop::sync::Event;
use squall_loop::{Blocked, IoLoop};

use crate::alarm::nanos;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::wire::Peer;
use accept::{Handshakes, Origin};
use admission::{Admitted, Clients, Shortage, concerns_one_connection};
use conn::Conn;

pub use exchange::{Exchange, Working};
pub use listener::Listener;
pub use message::{Refused, Request, Response};
pub use settings::Settings;
pub(crate) use upgraded::Takeover;
pub use upgraded::Upgraded;

/// A future answer, boxed once per request.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What a server serves.
///
/// A tag is a number by which a service names the route of an exchange
/// ([`Exchange::set_tag`]); 0 is an exchange that has none yet.
pub trait Service: Send + Sync + 'static {
    /// Answers a request. Must not panic; what it awaits may.
    fn call(&self, request: Request) -> ResponseFuture;

    /// The answer to what never became a request, such as a malformed head. The
    /// body must be in memory; the connection is closed after it.
    fn reject(&self, refused: &Refused<'_>) -> Response;

    /// The answer in place of a handler whose deadline has passed. The handler may
    /// still be stuck in blocking code. The body must be in memory. The note is what
    /// was given to [`Exchange::keep_note`].
    fn timed_out(
        &self,
        tag: u32,
        limit: Duration,
        note: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Response;

    /// A handler has ended when nobody waited for its result any more, which was
    /// discarded: so long after its deadline, or before it (zero) but after its client
    /// had gone.
    fn late(&self, tag: u32, overdue: Duration);

    /// A route's name for people, such as `GET /ping/{host}`.
    fn label(&self, tag: u32) -> String;

    /// A handler was caught blocking its lane, and is stuck at this moment.
    fn caught(&self, tag: u32, blocked: &Blocked);

    /// A handler that was caught is not stuck any more.
    fn released(&self, tag: u32, blocked: &Blocked, total: Duration);
}

/// Serves connections. Cloning gives another handle to the same server.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

/// What the connections of a server share.
pub(crate) struct Inner {
    service: Arc<dyn Service>,
    settings: Settings,
    io_loop: IoLoop,
    /// `handler_timeout` in nanoseconds.
    handler_nanos: u64,
    /// Set once the server shuts down.
    draining: Event,
    requests: AtomicU64,
    late: AtomicU64,
    open: Mutex<Open>,
    handshakes: Mutex<Handshakes>,
}

#[derive(Default)]
struct Open {
    conns: Slab<Weak<Conn>>,
    /// Listeners that are open.
    accepting: usize,
    /// Connections that have a place, those that shake hands included.
    admitted: usize,
    clients: Clients,
    /// An acceptor waits for a place.
    full: bool,
    /// Handlers that run on without their connections.
    working: usize,
    /// Who waits for a change: acceptors for the shutdown, the shutdown for the end.
    waiting: Vec<Waker>,
}

impl Server {
    /// A server for `service` on the current loop.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn new(service: Arc<dyn Service>, settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                service,
                handler_nanos: nanos(settings.handler_timeout),
                settings,
                io_loop: IoLoop::current(),
                draining: Event::new(),
                requests: AtomicU64::new(0),
                late: AtomicU64::new(0),
                open: Mutex::default(),
                handshakes: Mutex::default(),
            }),
        }
    }

    /// Accepts connections until [`shutdown`](Self::shutdown). Each is driven by a
    /// task of its own on the least loaded lane.
    ///
    /// # Errors
    /// None at present: what fails concerns one connection, or passes.
    pub async fn serve(&self, listener: Listener) -> io::Result<()> {
        let _accepting = Accepting::begin(&self.inner);
        // Dropped first: when a shutdown is over, nobody listens.
        let listener = listener;
        let mut shortage = Shortage::default();
        loop {
            match self.accept(&listener).await {
                None => return Ok(()),
                Some(Ok((socket, peer))) => {
                    if !self.inner.has_room().await {
                        return Ok(());
                    }
                    accept::start(&self.inner, socket, peer, &listener);
                }
                Some(Err(error)) if concerns_one_connection(&error) => {}
                Some(Err(error)) => shortage.pass(&self.inner, &error).await,
            }
        }
    }

    /// Serves a connection that was made elsewhere, by a task on the lane it lives on.
    pub fn adopt(&self, socket: impl Into<Socket>, peer: Peer) {
        let origin = Origin { peer, listener: 0 };
        let admitted = Admitted::new(&self.inner);
        start_on(admitted, origin, socket.into().into(), &[]);
    }

    /// The next connection; None: the server shuts down.
    async fn accept(&self, listener: &Listener) -> Option<io::Result<(Socket, Peer)>> {
        let mut accept = pin!(listener.accept());
        std::future::poll_fn(|cx| {
            if self.inner.is_draining() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(accepted) = accept.as_mut().poll(cx) {
                return Poll::Ready(Some(accepted));
            }
            self.inner.open().wait(cx);
            if self.inner.is_draining() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.inner.open().conns.len()
    }

    /// Requests that have begun.
    pub fn requests(&self) -> u64 {
        // A connection may end with its last handle, which is not for under the lock.
        let open = self.inner.open();
        let live: Vec<_> = open.live().collect();
        let ended = self.inner.requests.load(Ordering::Relaxed);
        drop(open);
        ended + live.iter().map(|conn| conn.number()).sum::<u64>()
    }

    /// Results of handlers that came when nobody waited for them any more: after the
    /// deadline, or after the client had gone. They were discarded.
    pub fn late(&self) -> u64 {
        self.inner.late.load(Ordering::Relaxed)
    }
}

/// A listener that is open; a shutdown waits for it.
struct Accepting(Arc<Inner>);

impl Accepting {
    fn begin(inner: &Arc<Inner>) -> Self {
        inner.open().accepting += 1;
        Self(inner.clone())
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let mut open = self.0.open();
        open.accepting -= 1;
        self.0.ended(open);
    }
}

/// Gives a connection its driver, on the lane it lives on, unless its client has too many
/// already. `begun` is what was read of it already.
fn start_on(mut admitted: Admitted, origin: Origin, stream: Stream, begun: &[u8]) {
    if !admitted.is_welcome(origin.peer.ip()) {
        let limit = admitted.settings.max_connections_per_address;
        let why = format!(
            "more than {limit} connections of one address (setting: max_connections_per_address)"
        );
        return turn_away(
            admitted,
            origin,
            stream,
            StatusCode::SERVICE_UNAVAILABLE,
            why,
        );
    }
    let (conn, registered) = register(admitted, origin, stream);
    conn.read().begin_with(begun);
    let task = async move { h1::drive(&registered.conn).await };
    drop(conn.stream.spawn_here(task, Some(conn.clone())));
}

/// Answers a connection that cannot be served, and closes it.
fn turn_away(
    admitted: Admitted,
    origin: Origin,
    stream: Stream,
    status: StatusCode,
    why: impl Into<String>,
) {
    let (conn, registered) = register(admitted, origin, stream);
    let why = why.into();
    let task = async move { h1::turn_away(&registered.conn, status, &why).await };
    drop(conn.stream.spawn_here(task, None));
}

fn register(admitted: Admitted, origin: Origin, stream: Stream) -> (Arc<Conn>, Registered) {
    let conn = Conn::new(stream, origin, admitted);
    let key = conn.server.open().conns.insert(Arc::downgrade(&conn));
    let registered = Registered {
        conn: conn.clone(),
        key,
    };
    (conn, registered)
}

/// Takes a connection off its server's books when its driver is gone.
struct Registered {
    conn: Arc<Conn>,
    key: usize,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.conn.closed();
        let inner = &self.conn.server;
        let mut open = inner.open();
        (inner.requests).fetch_add(self.conn.number(), Ordering::Relaxed);
        open.conns.try_remove(self.key);
        inner.ended(open);
    }
}

impl Inner {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_set()
    }

    /// A handler's result came when nobody waited for it any more.
    pub(crate) fn late(&self, tag: u32, overdue: Duration) {
        self.late.fetch_add(1, Ordering::Relaxed);
        self.service.late(tag, overdue);
    }

    /// Something has ended: a shutdown may have waited for it.
    fn ended(&self, mut open: MutexGuard<'_, Open>) {
        let over = open.is_empty() && self.is_draining();
        // A connection is over before its place is free.
        let place = open.full && open.admitted < self.settings.max_connections;
        open.full &= !place;
        let waiting = if over || place {
            std::mem::take(&mut open.waiting)
        } else {
            Vec::new()
        };
        drop(open);
        for waker in waiting {
            waker.wake();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }

    fn connections(&self) -> Vec<Arc<Conn>> {
        self.open().live().collect()
    }
}

impl Open {
    fn live(&self) -> impl Iterator<Item = Arc<Conn>> {
        self.conns.iter().filter_map(|(_, conn)| conn.upgrade())
    }

    /// Wakes this task at the next change.
    fn wait(&mut self, cx: &Context<'_>) {
        let known = |waker: &Waker| waker.will_wake(cx.waker());
        if !self.waiting.iter().any(known) {
            self.waiting.push(cx.waker().clone());
        }
    }

    /// Nothing is left that a shutdown waits for.
    fn is_empty(&self) -> bool {
        self.conns.is_empty() && self.working == 0 && self.accepting == 0
    }
}
