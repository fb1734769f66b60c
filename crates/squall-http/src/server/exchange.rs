//! A handle to one request together with the answer being written.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::StatusCode;
use squall_loop::DeadlineScope;

use super::Inner;
use super::conn::Conn;
use crate::tls::TlsInfo;
use crate::wire::Peer;
use crate::wire::headers::Headers;

/// One request together with the answer being written.
#[derive(Clone)]
pub struct Exchange {
    conn: Arc<Conn>,
    number: u64,
}

impl Exchange {
    pub(super) fn new(conn: Arc<Conn>, number: u64) -> Self {
        Self { conn, number }
    }

    /// Names the exchange's route, for reports and deadlines.
    pub fn set_tag(&self, tag: u32) {
        self.conn.tag.store(tag, Ordering::Relaxed);
    }

    /// The name of the exchange's route; 0 until it has one.
    pub fn tag(&self) -> u32 {
        self.conn.tag.load(Ordering::Relaxed)
    }

    /// Gives the exchange a deadline in place of the server's, counted from its begin, or
    /// from the last piece of its body that was read. At the deadline 504 is answered, even
    /// while the handler blocks.
    pub fn set_deadline(&self, limit: Duration) {
        self.conn.set_limit(self.number, limit);
    }

    /// When the handler must have answered.
    pub fn deadline(&self) -> Instant {
        (self.conn.server.io_loop).instant_of(self.conn.due())
    }

    /// How much time is left until the [`deadline`](Self::deadline); zero once it has
    /// passed. What the handler fetches does not take longer than that, unless it was
    /// told to.
    pub fn remaining(&self) -> Duration {
        let now = self.conn.server.io_loop.now();
        self.deadline().saturating_duration_since(now)
    }

    /// Lets what is polled on this thread see the exchange's deadline
    /// ([`squall_loop::deadline`]), for whoever polls a handler outside of its
    /// connection's task.
    pub fn deadline_scope(&self) -> DeadlineScope {
        DeadlineScope::enter(self.conn.due())
    }

    /// Whether nobody waits for the answer any more: it was sent, the deadline has
    /// answered, or the client is gone.
    pub fn is_over(&self) -> bool {
        self.conn.is_over(self.number)
    }

    /// Counts a result that came when the exchange was over, and is discarded.
    pub fn late(&self, tag: u32) {
        self.conn.late(tag);
    }

    /// Lets a shutdown of the server wait, within its grace, until the value is dropped.
    pub fn working(&self) -> Working {
        let server = self.conn.server.clone();
        server.open().working += 1;
        Working { server }
    }

    /// Whether the server shuts down.
    pub fn is_draining(&self) -> bool {
        self.conn.server.is_draining()
    }

    /// Waits until the server shuts down. Whatever goes on for long, such as a stream of
    /// events, should come to its end then; what has not at the end of the grace is cut.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        let server = self.conn.server.clone();
        async move { server.draining.wait().await }
    }

    /// Keeps something for [`Service::timed_out`](super::Service::timed_out).
    pub fn keep_note(&self, note: Arc<dyn Any + Send + Sync>) {
        self.conn.keep_note(note);
    }

    /// Sends an interim answer such as 103 ahead of the final one (RFC 9110 section 15.2).
    ///
    /// False: it was not sent, because the final answer has begun, or because the client
    /// takes nothing and more than 64 KiB wait for it. 101 is none of these, see
    /// [`Response::switching_protocols`](super::Response::switching_protocols); 100 is
    /// sent by whoever reads the body. A client of HTTP/1.0 knows none: do not send it any.
    pub fn send_informational(&self, status: StatusCode, headers: &Headers) -> bool {
        let interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        interim && self.conn.inform(self.number, status, headers)
    }

    /// When the request's head was complete.
    pub fn begun(&self) -> Instant {
        self.conn.begun()
    }

    /// The peer: the client, or the last proxy before us.
    pub fn remote_addr(&self) -> Peer {
        self.conn.peer
    }

    /// The address the request came in on; a Unix socket has none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.conn.stream.local_addr()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.conn.stream.is_tls()
    }

    /// What the connection's TLS handshake has settled, such as the client's certificate;
    /// `None` on a plain connection.
    pub fn tls(&self) -> Option<TlsInfo> {
        self.conn.stream.tls()
    }

    /// The [`tag`](super::Listener::tag) of the listener that the connection came by.
    pub fn listener(&self) -> u32 {
        self.conn.listener
    }

    /// Waits until the client is gone, the deadline has passed or the exchange is
    /// over, whichever is first.
    pub async fn disconnected(&self) {
        poll_fn(|cx| self.conn.poll_over(self.number, cx)).await;
    }
}

/// A handler that runs on without its connection; see [`Exchange::working`].
pub struct Working {
    server: Arc<Inner>,
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut open = self.server.open();
        open.working -= 1;
        self.server.ended(open);
    }
}

impl fmt::Debug for Working {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Working").finish_non_exhaustive()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("remote_addr", &self.remote_addr())
            .field("number", &self.number)
            .finish()
    }
}
