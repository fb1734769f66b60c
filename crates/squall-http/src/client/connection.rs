//! A connection between exchanges.
//!
//! It is as small as it can be: a client may keep one to each of thousands of hosts. What
//! an exchange needs besides is made with the exchange, see [`Busy`](super::busy::Busy).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::stream::Stream;
use crate::wire::head::ResponseHead;

/// A connection to an origin that carries one exchange after another.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: Stream,
    peer: Option<SocketAddr>,
    /// When the last byte came.
    pub(super) heard: Instant,
    retires: Instant,
    /// In seconds.
    keep_alive: Option<u32>,
    /// An exchange was begun on it.
    pub(super) used: bool,
}

/// Where a connection goes when its exchange ended cleanly.
///
/// Dropping a home without that says that the connection is gone.
pub trait Home: Send + 'static {
    /// Takes the connection back. It is idle, with nothing left to read.
    fn give_back(self, connection: Box<Connection>);
}

/// A home for connections that are not kept.
impl Home for () {
    fn give_back(self, connection: Box<Connection>) {
        drop(connection);
    }
}

impl Connection {
    /// Takes over a stream that was connected at `born`, and that its owner wants to
    /// replace once it `retires`.
    ///
    /// On the heap, because it goes from hand to hand with every exchange.
    pub fn new(stream: Stream, born: Instant, retires: Instant) -> Box<Self> {
        Box::new(Self {
            peer: stream.peer_addr(),
            stream,
            heard: born,
            retires,
            keep_alive: None,
            used: false,
        })
    }

    /// The other end.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Whether an exchange was begun on it.
    pub fn is_used(&self) -> bool {
        self.used
    }

    /// When the last byte came: since then it is idle, as the server sees it.
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// When it is too old to be kept.
    pub fn retires(&self) -> Instant {
        self.retires
    }

    /// How long the server said it keeps an idle connection (`Keep-Alive: timeout=N`).
    pub fn keep_alive(&self) -> Option<Duration> {
        let seconds = self.keep_alive?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// Whether it may carry another exchange: nothing was received, nor an end.
    ///
    /// Looks at what the loop has heard of the socket. With `ask`, asks the system too,
    /// which costs a system call and tells of what arrived this instant.
    pub fn is_quiet(&self, ask: bool) -> bool {
        if !ask && !self.stream.is_readable() {
            return true;
        }
        let read = self.stream.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Notes what an answer's head says about the time between exchanges.
    pub(super) fn note(&mut self, head: &ResponseHead) {
        if !head.known().keep_alive() {
            return;
        }
        let seconds = head.headers.tokens("keep-alive").find_map(|token| {
            let (name, value) = token.split_once('=')?;
            if !name.trim_end().eq_ignore_ascii_case("timeout") {
                return None;
            }
            let seconds: u64 = value.trim_start().parse().ok()?;
            Some(u32::try_from(seconds).unwrap_or(u32::MAX))
        });
        self.keep_alive = seconds.or(self.keep_alive);
    }
}
