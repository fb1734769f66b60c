//! A connection between exchanges, and its input buffer.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use squall_loop::time::now;

use super::buffers::{self, Pooled};
use super::upload::Upload;
use crate::memory::aligned;
use crate::stream::Stream;
use crate::wire::headers::Headers;

/// A connection to an origin that carries one exchange after another.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: Stream,
    pub(super) input: Input,
    pub(super) upload: Upload,
    pub(super) exchanges: u64,
    keep_alive: Option<Duration>,
    peer: Option<SocketAddr>,
    born: Instant,
    salt: u8,
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
    /// Takes over a stream that was connected at `born`.
    ///
    /// On the heap, because it goes from hand to hand with every exchange.
    pub fn new(stream: Stream, born: Instant) -> Box<Self> {
        Box::new(Self {
            peer: stream.peer_addr(),
            stream,
            input: Input::default(),
            upload: Upload::default(),
            exchanges: 0,
            keep_alive: None,
            born,
            salt: RandomState::new().hash_one(0_u8) as u8,
        })
    }

    /// The other end.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// How many exchanges were begun on it.
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Since when it has lived.
    pub fn born(&self) -> Instant {
        self.born
    }

    /// When the last byte came: since then it is idle, as the server sees it.
    pub fn heard(&self) -> Instant {
        self.input.heard.unwrap_or(self.born)
    }

    /// A number of its own, drawn at random, by which connections may be told apart.
    pub fn salt(&self) -> u8 {
        self.salt
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
        !self.stream.is_readable() || self.stream.poll_read(&cx, &mut byte).is_pending()
    }

    /// Notes what an answer's head says about the time between exchanges.
    pub(super) fn note(&mut self, headers: &Headers) {
        if !headers.contains("keep-alive") {
            return;
        }
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

/// Bytes that were read and not yet understood. Holds no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Initialised memory; what is in use is `start..end`.
    bytes: Vec<u8>,
    /// Where the first byte is read to.
    base: usize,
    start: usize,
    end: usize,
    /// When it was read last.
    pub(super) heard: Option<Instant>,
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
            (self.start, self.end) = (self.base, self.base);
        }
    }

    /// Takes the first `len` bytes out.
    ///
    /// When they are all there is, and much, they are handed over where they lie.
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        let all = len == self.end - self.start;
        if all && len > self.bytes.len() / 4 {
            let used = self.start..self.end;
            return Bytes::from_owner(Pooled(self.release())).slice(used);
        }
        let bytes = Bytes::copy_from_slice(self.data().get(..len).unwrap_or_default());
        self.consume(bytes.len());
        bytes
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
        // A connection that waits needs no memory for what may come.
        ready!(stream.poll_readable(cx));
        if self.start > self.base {
            self.bytes.copy_within(self.start..self.end, self.base);
            self.end -= self.start - self.base;
            self.start = self.base;
        }
        if self.bytes.len() < self.base + size {
            let mut larger = buffers::take(size);
            let base = aligned(&larger);
            let end = base + self.data().len();
            if let Some(room) = larger.get_mut(base..end) {
                room.copy_from_slice(self.data());
            }
            buffers::give(std::mem::replace(&mut self.bytes, larger));
            (self.base, self.start, self.end) = (base, base, end);
        } else if self.end == self.bytes.len() {
            self.bytes.resize(self.end * 2, 0);
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let read = stream.poll_read(cx, room);
        match &read {
            Poll::Ready(Ok(read)) => {
                self.end += read;
                self.heard = Some(now());
            }
            _ => self.shrink(),
        }
        read
    }

    /// Gives the memory back, if it holds nothing.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
            buffers::give(self.release());
        }
    }

    fn release(&mut self) -> Vec<u8> {
        (self.base, self.start, self.end) = (0, 0, 0);
        std::mem::take(&mut self.bytes)
    }
}
