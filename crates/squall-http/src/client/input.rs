//! `Input`: what was read from a connection and is not understood yet.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::body::Body;
use crate::memory::{self, Piece, Pooled, aligned};
use crate::stream::Stream;

/// Bytes that were read and not yet understood. Holds no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Initialised memory; what is in use is `start..end`.
    bytes: Vec<u8>,
    /// Where the first byte is read to.
    base: usize,
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
            (self.start, self.end) = (self.base, self.base);
        }
    }

    /// Takes the first `len` bytes out: where they lie, when they are all there is.
    pub(super) fn take_whole(&mut self, len: usize) -> Body {
        if len != self.end - self.start {
            return self.take(len).into();
        }
        let part = self.start..self.end;
        Body::read(Piece::new(self.release(), part))
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
            let mut larger = memory::take(size);
            let base = aligned(&larger);
            let end = base + self.data().len();
            if let Some(room) = larger.get_mut(base..end) {
                room.copy_from_slice(self.data());
            }
            memory::give(std::mem::replace(&mut self.bytes, larger));
            (self.base, self.start, self.end) = (base, base, end);
        } else if self.end == self.bytes.len() {
            self.bytes.resize(self.end * 2, 0);
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let read = stream.poll_read(cx, room);
        match &read {
            Poll::Ready(Ok(read)) => self.end += read,
            _ => self.shrink(),
        }
        read
    }

    /// Gives the memory back, if it holds nothing.
    fn shrink(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets what there is.
    pub(super) fn clear(&mut self) {
        memory::give(self.release());
    }

    fn release(&mut self) -> Vec<u8> {
        (self.base, self.start, self.end) = (0, 0, 0);
        std::mem::take(&mut self.bytes)
    }
}
