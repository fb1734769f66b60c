//! One socket's readiness.
//!
//! Edges are remembered as bits. A reader clears its bit **before** it reads, so
//! an edge that comes during the read is kept; it sets the bit again when the
//! read filled its buffer, because then more may be there. A hang-up stays.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use mio::event::Event;

use crate::atomics::{AtomicU8, Mutex, MutexGuard, Ordering};

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
const READ_CLOSED: u8 = 4;
const WRITE_CLOSED: u8 = 8;
/// The loop has ended: no edge comes any more.
const ORPHANED: u8 = 16;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    pub(crate) fn ready(self) -> u8 {
        match self {
            Self::Read => READABLE,
            Self::Write => WRITABLE,
        }
    }

    fn closed(self) -> u8 {
        match self {
            Self::Read => READ_CLOSED,
            Self::Write => WRITE_CLOSED,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Source {
    ready: AtomicU8,
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
}

#[cold]
fn orphaned() -> io::Error {
    let why = "the IoLoop that this socket belongs to has ended";
    io::Error::new(io::ErrorKind::NotConnected, why)
}

impl Source {
    /// A socket that is not known to be ready for anything.
    pub(crate) fn waiting() -> Self {
        Self::with(0)
    }

    /// A connected socket: its send buffer is empty.
    pub(crate) fn writable() -> Self {
        Self::with(WRITABLE)
    }

    fn with(ready: u8) -> Self {
        Self {
            ready: AtomicU8::new(ready),
            reader: Mutex::default(),
            writer: Mutex::default(),
        }
    }

    /// Ready when the direction may be tried; else the waker is kept.
    ///
    /// One task per direction may wait: a later waker replaces an earlier one.
    #[inline]
    pub(crate) fn poll_ready(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        match self.is_ready(direction) {
            true => Poll::Ready(()),
            false => self.poll_edge(direction, cx),
        }
    }

    fn poll_edge(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        self.wait_for(direction, cx);
        // The event may have come between the first look and the waker.
        match self.is_ready(direction) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Ready once neither direction is open any more, as after a reset, or the loop has
    /// ended; else the waker is kept, in the place of the writer's.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let ends = WRITE_CLOSED | ORPHANED;
        let is_closed = || self.ready.load(Ordering::Acquire) & ends != 0;
        if !is_closed() {
            self.wait_for(Direction::Write, cx);
        }
        match is_closed() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn wait_for(&self, direction: Direction, cx: &Context<'_>) {
        let mut slot = self.slot(direction);
        match &mut *slot {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            other => *other = Some(cx.waker().clone()),
        }
    }

    /// Whether the direction may be tried.
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        let bits = direction.ready() | direction.closed() | ORPHANED;
        self.ready.load(Ordering::Acquire) & bits != 0
    }

    /// Whether the direction has ended: no edge of it comes any more.
    pub(crate) fn is_closed(&self, direction: Direction) -> bool {
        self.ready.load(Ordering::Acquire) & direction.closed() != 0
    }

    /// Fails once the loop has ended: waiting would have no end.
    #[inline]
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.ready.load(Ordering::Acquire) & ORPHANED {
            0 => Ok(()),
            _ => Err(orphaned()),
        }
    }

    /// About to try: an edge from here on is a new one.
    pub(crate) fn clear(&self, direction: Direction) {
        self.ready.fetch_and(!direction.ready(), Ordering::AcqRel);
    }

    /// The attempt did not exhaust the direction.
    pub(crate) fn keep(&self, direction: Direction) {
        self.ready.fetch_or(direction.ready(), Ordering::AcqRel);
    }

    /// Tries an operation until it does not block, or waits for its edge.
    #[inline]
    pub(crate) fn poll_attempt<T>(
        &self,
        cx: &Context<'_>,
        direction: Direction,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.poll_ready(direction, cx));
            self.clear(direction);
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.check()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.keep(direction),
                Err(error) => {
                    // An error is final: whoever asks again is told again.
                    self.keep(direction);
                    return Poll::Ready(Err(error));
                }
                done => return Poll::Ready(done),
            }
        }
    }

    pub(crate) fn on_event(&self, event: &Event, wakers: &mut Vec<Waker>) {
        let mut bits = 0;
        if event.is_readable() || event.is_error() {
            bits |= READABLE;
        }
        if event.is_writable() || event.is_error() {
            bits |= WRITABLE;
        }
        if event.is_read_closed() {
            bits |= READ_CLOSED;
        }
        if event.is_write_closed() {
            bits |= WRITE_CLOSED;
        }
        self.edge(bits, wakers);
    }

    /// The socket has become ready: whoever waits for that goes to `wakers`.
    pub(crate) fn edge(&self, bits: u8, wakers: &mut Vec<Waker>) {
        self.ready.fetch_or(bits, Ordering::AcqRel);
        if bits & (READABLE | READ_CLOSED) != 0 {
            wakers.extend(self.slot(Direction::Read).take());
        }
        if bits & (WRITABLE | WRITE_CLOSED) != 0 {
            wakers.extend(self.slot(Direction::Write).take());
        }
    }

    /// The loop ends: whoever waits goes to be told.
    pub(crate) fn orphan(&self) -> impl Iterator<Item = Waker> + use<> {
        self.ready.fetch_or(ORPHANED, Ordering::AcqRel);
        let reader = self.slot(Direction::Read).take();
        let writer = self.slot(Direction::Write).take();
        reader.into_iter().chain(writer)
    }

    fn slot(&self, direction: Direction) -> MutexGuard<'_, Option<Waker>> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
        .lock()
    }
}
