//! What every socket and pipe on a lane has in common.
//!
//! The registration in the lane's reactor, the attempts that wait for an edge, the
//! budget of a poll, and the placing of accepted connections. The public types are
//! thin clothes around it.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use mio::event;

use super::transfer::{Receive, Transmit};
use crate::budget;
use crate::carrier::Context as Current;
use crate::ioloop::{self, IoLoop};
use crate::lane::Lane;
use crate::reactor::{Direction, Source};

/// Accepting a connection takes its lane about as long as moving so many bytes.
const ACCEPTED: usize = 64 << 10;
/// How many connections may wait to be accepted; the system may have a lower limit.
pub(super) const BACKLOG: i32 = 4096;

/// A socket, a pipe or another descriptor, and its place in a lane's reactor.
#[derive(Debug)]
pub(crate) struct Registered<Io: event::Source> {
    io: Io,
    source: Arc<Source>,
    key: usize,
    lane: Arc<Lane>,
    /// It is counted in its lane's load.
    placed: bool,
}

impl<Io: event::Source> Registered<Io> {
    /// Puts `io` on the current lane.
    pub(crate) fn here(io: Io, source: Source) -> io::Result<Self> {
        Self::on(current_lane()?, io, source)
    }

    fn on(lane: Arc<Lane>, mut io: Io, source: Source) -> io::Result<Self> {
        let (source, key) = lane.register(&mut io, source)?;
        Ok(Self {
            io,
            source,
            key,
            lane,
            placed: false,
        })
    }

    /// Puts an accepted connection on the least loaded lane, which it counts for.
    fn place(io: Io) -> io::Result<Self> {
        let io_loop = IoLoop::try_current().ok_or_else(ioloop::no_loop)?;
        let lane = io_loop.shared().least_loaded();
        let mut placed = Self::on(lane, io, Source::writable())?;
        placed.lane.load.fetch_add(1, Ordering::Relaxed);
        placed.placed = true;
        Ok(placed)
    }

    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    /// For descriptors that are only waited for, such as a process's.
    #[cfg(target_os = "linux")]
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Tries an operation until it does not block, or waits for its edge.
    #[inline]
    fn poll_io<T>(
        &self,
        cx: &Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&Io) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        if !budget::is_left(cx) {
            return Poll::Pending;
        }
        self.source
            .poll_attempt(cx, direction, || operation(&self.io))
    }

    /// Moves bytes by an operation that does not tell whether there are more, or room for
    /// more: the next attempt does.
    pub(super) fn poll_move(
        &self,
        cx: &Context<'_>,
        direction: Direction,
        operation: impl FnMut(&Io) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let moved = self.poll_io(cx, direction, operation);
        if let Poll::Ready(Ok(moved)) = &moved {
            budget::spend(*moved);
            self.source.keep(direction);
        }
        moved
    }
}

impl<Io: event::Source> Drop for Registered<Io> {
    fn drop(&mut self) {
        self.lane.reactor.deregister(&mut self.io, self.key);
        if self.placed {
            self.lane.load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The reading side.
impl<Io: event::Source + Receive> Registered<Io> {
    #[inline]
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll_ready(Direction::Read, cx)
    }

    #[inline]
    pub(crate) fn is_readable(&self) -> bool {
        self.source.is_ready(Direction::Read)
    }

    #[inline]
    pub(crate) fn poll_read(&self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let room = buf.len();
        let read = self.poll_io(cx, Direction::Read, |io| io.receive(buf));
        if let Poll::Ready(Ok(read)) = &read {
            budget::spend(*read);
            if *read == room || *read == 0 {
                self.source.keep(Direction::Read);
            }
        }
        read
    }

    #[inline]
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.source.clear(Direction::Read);
        let read = self.io.receive(buf);
        match &read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.source.check()?,
            _ => self.source.keep(Direction::Read),
        }
        read
    }
}

/// The writing side.
impl<Io: event::Source + Transmit> Registered<Io> {
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll_closed(cx)
    }

    #[inline]
    pub(crate) fn poll_write(&self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.poll_io(cx, Direction::Write, |io| io.transmit(buf));
        self.keep_after_write(&written, buf.len());
        written
    }

    #[inline]
    pub(crate) fn poll_write_vectored(
        &self,
        cx: &Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole = bufs.iter().map(|buf| buf.len()).sum();
        let written = self.poll_io(cx, Direction::Write, |io| io.transmit_vectored(bufs));
        self.keep_after_write(&written, whole);
        written
    }

    #[inline]
    fn keep_after_write(&self, written: &Poll<io::Result<usize>>, whole: usize) {
        if let Poll::Ready(Ok(written)) = written {
            budget::spend(*written);
            // A short write means that the buffer is full: the next edge tells.
            if *written == whole {
                self.source.keep(Direction::Write);
            }
        }
    }

    #[inline]
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.transmit(buf)
    }
}

/// A listening socket of either family.
pub(crate) trait Listening: event::Source {
    type Stream: event::Source;
    type Address;

    fn accept(&self) -> io::Result<(Self::Stream, Self::Address)>;
}

impl<L: Listening> Registered<L> {
    /// Puts a listening socket on the current lane.
    pub(crate) fn listening(io: L) -> io::Result<Self> {
        let listener = Self::here(io, Source::waiting())?;
        // Connections may have come before the registration.
        listener.source.keep(Direction::Read);
        Ok(listener)
    }

    /// Waits for a connection and places it.
    pub(crate) async fn accept(&self) -> io::Result<(Registered<L::Stream>, L::Address)> {
        let accepted = std::future::poll_fn(|cx| self.poll_io(cx, Direction::Read, L::accept));
        let (io, peer) = accepted.await?;
        // There may be more where this came from.
        self.source.keep(Direction::Read);
        budget::spend(ACCEPTED);
        Ok((Registered::place(io)?, peer))
    }
}

/// A connection that is being made, of either family.
pub(crate) trait Connecting: event::Source {
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Whether there is a peer; `NotConnected` while there is none.
    fn check_peer(&self) -> io::Result<()>;
}

impl<Io: Connecting> Registered<Io> {
    /// Waits for a connection attempt's outcome, on the current lane.
    pub(crate) async fn connected(io: Io) -> io::Result<Self> {
        let stream = Self::here(io, Source::waiting())?;
        let attempted = std::future::poll_fn(|cx| {
            (stream.source).poll_attempt(cx, Direction::Write, || stream.outcome())
        });
        attempted.await?;
        // Nothing was sent: there is room.
        stream.source.keep(Direction::Write);
        Ok(stream)
    }

    /// How the attempt has ended. `WouldBlock`: not yet, the event was about something
    /// else, as mio says may be.
    fn outcome(&self) -> io::Result<()> {
        if let Some(error) = self.io.take_error()? {
            return Err(error);
        }
        let under_way = |error: &io::Error| error.kind() == io::ErrorKind::NotConnected;
        match self.io.check_peer() {
            Err(error) if under_way(&error) && !self.source.is_closed(Direction::Write) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            checked => checked,
        }
    }
}

/// The lane that code on this thread belongs to.
pub(crate) fn current_lane() -> io::Result<Arc<Lane>> {
    Current::with(|_, lane| lane.clone()).ok_or_else(ioloop::no_loop)
}
