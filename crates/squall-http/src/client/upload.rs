//! The sending half of an exchange: a head, then the body as it comes.
//!
//! ```text
//!   Held --100, 1 s--> Body --end of body--> Flush --> Done
//!     `-- final answer --> Withheld    `-- error --> Failed, reading goes on
//! ```
//! Chunks are written where they lie, together with the framing around them, in one
//! system call; small ones that are there at once are gathered for it, and are one chunk on
//! the wire. The body is asked for more only when that is on the wire: that is the
//! back-pressure.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use squall_loop::Sleep;
use squall_loop::net::Piped;

use super::error::ExchangeError;
use crate::body::{Body, BodyError};
use crate::chunk::Chunk;
use crate::stream::Stream;
use crate::wire::chunked;

/// A head's memory is kept up to this size.
const LARGE_HEAD: usize = 4 << 10;

/// From so many bytes on a system call costs little beside the copying in it. 512 MiB in
/// chunks of 64 KiB took 0.30 CPU seconds one by one, 0.25 with 256 KiB together, 0.20 with
/// 512 (medians of 13 interleaved rounds).
const GATHERED: usize = 512 << 10;
/// The most chunks of one system call.
const SLICES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Upload {
    /// The head and chunk sizes; what is before `at` was written.
    framing: Vec<u8>,
    at: usize,
    chunk: Bytes,
    /// What follows the chunk, where the body had more at once.
    gathered: Option<Box<Gathered>>,
    /// Stands in for the chunk: it is written by itself, behind its framing.
    piped: Option<Piped>,
    /// What ends the chunk.
    tail: &'static [u8],
    body: Body,
    /// Whether there is one, and so more to let go of than a head.
    has_body: bool,
    length: Length,
    /// Waits for `100 Continue`, but not forever.
    hold: Option<Box<Sleep>>,
    stage: Stage,
    failed: Option<Box<ExchangeError>>,
    written: u64,
    starved: bool,
}

/// Chunks that go out with the one before them.
#[derive(Debug, Default)]
struct Gathered {
    chunks: VecDeque<Bytes>,
    /// What the body had after them: its end, an error, or a pipe.
    next: Option<Option<Result<Chunk, BodyError>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// So many bytes are still to come.
    Fixed(u64),
    Chunked,
}

impl Default for Length {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    Body,
    #[default]
    Flush,
    Done,
    /// The body was not asked for, and is never sent.
    Withheld,
}

impl Upload {
    /// Where the head is written before it [`begin`](Self::begin)s.
    pub(super) fn head(&mut self) -> &mut Vec<u8> {
        &mut self.framing
    }

    /// Sends the head and `body`.
    pub(super) fn begin(&mut self, body: Body, hold: Option<Duration>) {
        let length = body.len();
        if length == Some(0) {
            return;
        }
        self.body = body;
        self.has_body = true;
        self.length = length.map_or(Length::Chunked, Length::Fixed);
        self.stage = Stage::Body;
        self.hold = hold.map(|limit| Box::new(squall_loop::sleep(limit)));
    }

    /// Forgets what there was to send; keeps some memory for the next head.
    pub(super) fn clear(&mut self) {
        let mut framing = std::mem::take(&mut self.framing);
        framing.clear();
        if framing.capacity() > LARGE_HEAD {
            framing = Vec::new();
        }
        if self.has_body {
            *self = Self::default();
        }
        self.framing = framing;
        self.at = 0;
        self.stage = Stage::default();
        self.failed = None;
        self.written = 0;
        self.starved = false;
    }

    /// Goes on. Ready when there is nothing left to do, or no way to do it.
    pub(super) fn poll(&mut self, stream: &Stream, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_over() {
            return Poll::Ready(());
        }
        match self.poll_send(stream, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                if let Err(error) = result {
                    self.failed = Some(Box::new(error));
                }
                if self.has_body {
                    self.body = Body::empty();
                    self.chunk = Bytes::new();
                    self.gathered = None;
                    self.piped = None;
                }
                Poll::Ready(())
            }
        }
    }

    fn poll_send(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ExchangeError>> {
        loop {
            self.starved = false;
            let waits = self.chunk.is_empty()
                && self.tail.is_empty()
                && self.stage == Stage::Body
                && self.piped.is_none()
                && self.poll_chunk(stream, cx)?.is_pending();
            if self.has_output() {
                let written = ready!(self.poll_write(stream, cx)).map_err(ExchangeError::Write)?;
                if written == 0 {
                    return Poll::Ready(Err(ExchangeError::Write(io::ErrorKind::WriteZero.into())));
                }
                self.written += written as u64;
                self.advance(written);
                continue;
            }
            if waits {
                self.starved = self.hold.is_none();
                // What an encrypted stream kept back goes out while the body is awaited.
                ready!(stream.poll_flush(cx)).map_err(ExchangeError::Write)?;
                return Poll::Pending;
            }
            if self.stage == Stage::Flush {
                ready!(stream.poll_flush(cx)).map_err(ExchangeError::Write)?;
                self.stage = Stage::Done;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes what the body has at once and puts its framing around it. Never inlined: a
    /// request without a body would pay for its registers.
    #[inline(never)]
    fn poll_chunk(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ExchangeError>> {
        if let Some(hold) = &mut self.hold {
            ready!(Pin::new(&mut **hold).poll(cx));
            self.hold = None;
        }
        let next = self.gathered.as_mut().and_then(|it| it.next.take());
        let next = match next {
            Some(next) => next,
            None => ready!(self.poll_next(stream, cx)),
        };
        let len = match next {
            Some(Ok(Chunk::Bytes(bytes))) => {
                self.chunk = bytes;
                self.gather(stream, cx)
            }
            Some(Ok(Chunk::Piped(piped))) => {
                let len = piped.len();
                self.piped = Some(piped);
                len
            }
            Some(Err(error)) => return Poll::Ready(Err(ExchangeError::Body(error))),
            None => return Poll::Ready(self.end()),
        };
        match &mut self.length {
            Length::Fixed(left) => {
                let rest = left.checked_sub(len as u64);
                *left = rest.ok_or(ExchangeError::BodyLength { missing: None })?;
                if *left == 0 {
                    self.stage = Stage::Flush;
                }
            }
            Length::Chunked => {
                chunked::encode_chunk_header(len, &mut self.framing);
                self.tail = b"\r\n";
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The body's next chunk that is not empty.
    fn poll_next(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        loop {
            match ready!(self.body.poll_for(stream, cx)) {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                next => return Poll::Ready(next),
            }
        }
    }

    /// Takes more chunks as long as they are there at once and few; says how many bytes that
    /// is together.
    fn gather(&mut self, stream: &Stream, cx: &mut Context<'_>) -> usize {
        let mut len = self.chunk.len();
        let left = match self.length {
            Length::Fixed(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Length::Chunked => usize::MAX,
        };
        let mut count = 1;
        while len < GATHERED.min(left)
            && count < SLICES
            && let Poll::Ready(next) = self.poll_next(stream, cx)
        {
            let gathered = self.gathered.get_or_insert_default();
            match next {
                Some(Ok(Chunk::Bytes(bytes))) => {
                    len += bytes.len();
                    count += 1;
                    gathered.chunks.push_back(bytes);
                }
                next => {
                    gathered.next = Some(next);
                    break;
                }
            }
        }
        len
    }

    /// The body has ended; says so where the framing does not.
    fn end(&mut self) -> Result<(), ExchangeError> {
        match (self.length, self.body.take_trailers()) {
            (Length::Fixed(0), _) => {}
            (Length::Fixed(missing), _) => {
                let missing = Some(missing);
                return Err(ExchangeError::BodyLength { missing });
            }
            (Length::Chunked, Some(trailers)) => {
                chunked::encode_trailers(&trailers, &mut self.framing);
            }
            (Length::Chunked, None) => self.framing.extend_from_slice(chunked::LAST_CHUNK),
        }
        self.stage = Stage::Flush;
        Ok(())
    }

    /// Writes what is next. What was in a pipe is taken off already.
    fn poll_write(&mut self, stream: &Stream, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let framing = self.framing.get(self.at..).unwrap_or_default();
        if let Some(piped) = &mut self.piped {
            return match framing {
                [] => stream.poll_write_piped(cx, piped),
                framing => stream.poll_write(cx, framing),
            };
        }
        if self.chunk.is_empty() && self.tail.is_empty() {
            return stream.poll_write(cx, framing);
        }
        let Some(gathered) = &self.gathered else {
            let slices = [framing, &self.chunk, self.tail].map(IoSlice::new);
            return stream.poll_write_vectored(cx, &slices);
        };
        let chunks = gathered.chunks.iter().map(|chunk| &**chunk);
        let pieces = [framing, &self.chunk].into_iter().chain(chunks);
        let mut slices = [IoSlice::new(&[]); SLICES + 2];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces.chain([self.tail])) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        stream.poll_write_vectored(cx, &slices[..count])
    }

    fn has_output(&self) -> bool {
        self.at < self.framing.len()
            || !self.chunk.is_empty()
            || !self.tail.is_empty()
            || self.piped.is_some()
    }

    fn advance(&mut self, written: usize) {
        let framing = written.min(self.framing.len() - self.at);
        self.at += framing;
        if self.at == self.framing.len() {
            self.framing.clear();
            self.at = 0;
        }
        if framing == 0
            && let Some(piped) = &self.piped
        {
            if piped.is_empty() {
                self.piped = None;
            }
            return;
        }
        let mut written = written - framing;
        loop {
            let chunk = written.min(self.chunk.len());
            self.chunk.advance(chunk);
            written -= chunk;
            let next = self.gathered.as_mut().filter(|_| self.chunk.is_empty());
            match next.and_then(|it| it.chunks.pop_front()) {
                Some(next) => self.chunk = next,
                None => break,
            }
        }
        self.tail = self.tail.get(written..).unwrap_or_default();
    }

    /// The peer wants the body.
    pub(super) fn release(&mut self) {
        self.hold = None;
    }

    /// The final answer is there. What it was asked before is not sent any more: the server
    /// would take it for another request.
    pub(super) fn answered(&mut self) {
        if self.hold.take().is_some() {
            self.stage = Stage::Withheld;
            self.body = Body::empty();
        }
    }

    /// Bytes that went to the stream.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether it waits for its own body and not for the peer.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    /// Whether all of the request is on the wire.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Withheld) || self.failed.is_some()
    }

    /// Takes the error that no answer can make good: the request itself is broken.
    pub(super) fn take_broken(&mut self) -> Option<ExchangeError> {
        (self.failed)
            .take_if(|error| !matches!(**error, ExchangeError::Write(_)))
            .map(|error| *error)
    }

    /// Takes the error of the connection.
    pub(super) fn take_failed(&mut self) -> Option<ExchangeError> {
        self.failed.take().map(|error| *error)
    }
}
