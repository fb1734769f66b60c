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

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use squall_loop::Sleep;

use super::error::ExchangeError;
use crate::body::Body;
use crate::pieces::{GATHERED, Pieces, within};
use crate::stream::Stream;
use crate::wire::chunked;

/// A head's memory is kept up to this size.
const LARGE_HEAD: usize = 4 << 10;

#[derive(Debug, Default)]
pub(super) struct Upload {
    /// The head and chunk sizes; what is before `at` was written.
    framing: Vec<u8>,
    at: usize,
    pieces: Pieces,
    /// What ends the chunk that they are.
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
                    self.pieces.clear();
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
        // Whether the body has told so already, in this poll.
        let mut body_waits = false;
        loop {
            self.starved = false;
            let waits = self.pieces.is_empty()
                && self.tail.is_empty()
                && self.stage == Stage::Body
                && (body_waits || self.poll_chunk(stream, cx, &mut body_waits)?.is_pending());
            if self.has_output() {
                let written = ready!(self.poll_write(stream, cx)).map_err(ExchangeError::Write)?;
                if written == 0 {
                    return Poll::Ready(Err(ExchangeError::Write(io::ErrorKind::WriteZero.into())));
                }
                self.written += written as u64;
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
        body_waits: &mut bool,
    ) -> Poll<Result<(), ExchangeError>> {
        if let Some(hold) = &mut self.hold {
            ready!(Pin::new(&mut **hold).poll(cx));
            self.hold = None;
        }
        let chunk = match ready!(self.pieces.poll_next(&mut self.body, stream, cx)) {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Poll::Ready(Err(ExchangeError::Body(error))),
            None => return Poll::Ready(self.end()),
        };
        let most = match self.length {
            Length::Fixed(left) => within(Some(left), GATHERED),
            Length::Chunked => GATHERED,
        };
        let taken = (self.pieces).take(chunk, most, &mut self.body, stream, cx);
        *body_waits = taken.waits;
        let len = taken.len;
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

    /// Writes what is next.
    fn poll_write(&mut self, stream: &Stream, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let framing = self.framing.get(self.at..).unwrap_or_default();
        if self.pieces.is_empty() && self.tail.is_empty() {
            let written = ready!(stream.poll_write(cx, framing))?;
            self.framing_written(written);
            return Poll::Ready(Ok(written));
        }
        let written = ready!(self.pieces.poll_write(stream, cx, framing, self.tail))?;
        self.framing_written(written.before);
        self.tail = self.tail.get(written.after..).unwrap_or_default();
        Poll::Ready(Ok(written.sum()))
    }

    fn framing_written(&mut self, written: usize) {
        self.at += written;
        if self.at == self.framing.len() {
            self.framing.clear();
            self.at = 0;
        }
    }

    fn has_output(&self) -> bool {
        self.at < self.framing.len() || !self.pieces.is_empty() || !self.tail.is_empty()
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
