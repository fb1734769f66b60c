//! A handle to one request together with the answer being written.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::conn::Conn;

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

    /// Gives the exchange a deadline, counted from its begin, in place of the
    /// server's. At the deadline 504 is answered, even while the handler blocks.
    pub fn set_deadline(&self, limit: Duration) {
        self.conn.set_limit(self.number, limit);
    }

    /// When the handler must have answered.
    pub fn deadline(&self) -> Instant {
        self.conn.begun() + self.conn.limit()
    }

    /// When the request's head was complete.
    pub fn begun(&self) -> Instant {
        self.conn.begun()
    }

    /// The peer's address: the client's, or the last proxy's.
    pub fn remote_addr(&self) -> SocketAddr {
        self.conn.peer
    }

    /// The address the request came in on.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.conn.stream.local_addr().ok()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.conn.stream.is_tls()
    }

    /// Waits until the client is gone, the deadline has passed or the exchange is
    /// over, whichever is first.
    pub async fn disconnected(&self) {
        poll_fn(|cx| self.conn.poll_over(self.number, cx)).await;
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
