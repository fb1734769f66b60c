//! A connection between exchanges, and its input buffer.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::stream::Stream;
use crate::wire::headers::Headers;

/// What the input buffer shrinks to while a connection is idle.
const IDLE_BUFFER: usize = 8 << 10;

/// A connection to an origin that carries one exchange after another.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: Stream,
    pub(super) input: Input,
    /// The memory of the last request's head.
    pub(super) scratch: Vec<u8>,
    pub(super) exchanges: u64,
    keep_alive: Option<Duration>,
    peer: Option<SocketAddr>,
    born: Instant,
}

/// Where a connection goes when its exchange ended cleanly.
///
/// Dropping a home without that says that the connection is gone.
pub trait Home: Send + 'static {
    /// Takes the connection back. It is idle, with nothing left to read.
    fn give_back(self, connection: Connection);
}

/// A home for connections that are not kept.
impl Home for () {
    fn give_back(self, connection: Connection) {
        drop(connection);
    }
}

impl Connection {
    /// Takes over a connected stream.
    pub fn new(stream: Stream) -> Self {
        Self {
            peer: stream.peer_addr(),
            stream,
            input: Input::default(),
            scratch: Vec::new(),
            exchanges: 0,
            keep_alive: None,
            born: Instant::now(),
        }
    }

    /// The other end.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// How many exchanges were begun on it.
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// How long it has lived.
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// How long the server said it keeps an idle connection (`Keep-Alive: timeout=N`).
    pub fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive
    }

    /// Whether it may carry another exchange: nothing was received, nor an end.
    ///
    /// Looks at what the loop has heard of the socket. With `ask`, asks the system too,
    /// which costs a system call and tells of what arrived this instant.
    pub fn is_quiet(&self, ask: bool) -> bool {
        let mut byte = [0];
        if ask {
            let read = self.stream.try_read(&mut byte);
            return matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        }
        let cx = Context::from_waker(Waker::noop());
        self.stream.poll_read(&cx, &mut byte).is_pending()
    }

    /// Notes what an answer's head says about the time between exchanges.
    pub(super) fn note(&mut self, headers: &Headers) {
        let seconds = headers.tokens("keep-alive").find_map(|token| {
            let (name, value) = token.split_once('=')?;
            if !name.trim_end().eq_ignore_ascii_case("timeout") {
                return None;
            }
            value.trim_start().parse().ok()
        });
        if let Some(seconds) = seconds {
            self.keep_alive = Some(Duration::from_secs(seconds));
        }
    }
}

/// Bytes that were read and not yet understood.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Initialised memory; what is in use is `start..end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(super) fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.start = self.end.min(self.start + len);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads more, into at least `size` bytes of memory; 0 is the end.
    ///
    /// The memory doubles when it is full, so the caller bounds what it leaves unread.
    pub(super) fn poll_fill(
        &mut self,
        stream: &Stream,
        cx: &Context<'_>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        } else if self.end == self.bytes.len() {
            self.bytes.resize(self.end * 2, 0);
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let read = stream.poll_read(cx, room);
        if let Poll::Ready(Ok(read)) = &read {
            self.end += read;
        }
        read
    }

    /// Gives memory back before an idle time.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() && self.bytes.len() > IDLE_BUFFER {
            self.bytes = Vec::new();
        }
    }
}
