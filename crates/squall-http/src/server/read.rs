//! The read side of a connection: one buffer, and the body that is on the wire.
//!
//! The driver reads heads from it; while a handler runs, the request's body stream
//! reads from it. Both hold its lock only for the moment of one step.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::recycle;
use crate::body::BodyError;
use crate::chunk::{Chunk, piped_at_most};
use crate::memory::Pooled;
use crate::stream::Stream;
use crate::wire::chunked::{ChunkedDecoder, Decoded};
use crate::wire::framing::BodyLength;
use crate::wire::headers::Headers;

/// How much of a long body is read at once.
const SMALLEST_PIECE: usize = 16 << 10;
const LARGEST_PIECE: usize = 256 << 10;
/// What a head may have brought when its client begins to drip.
const SMALL_HEAD: usize = 512;

#[derive(Default)]
pub(super) struct ReadSide {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    body: Coming,
    /// The peer has ended its direction.
    ended: bool,
    /// The client waits for `100 Continue` before it sends the body.
    awaits_continue: bool,
    /// Whose body it is, as long as somebody may still read that; else 0.
    reader: u64,
    /// Body bytes handed out so far.
    taken: u64,
    /// The trailer fields of a chunked body whose end was seen, if there were any.
    trailers: Option<Box<Headers>>,
    /// The size that the next large read may have.
    piece: usize,
}

/// What is still on the wire of the current request's body.
#[derive(Default)]
enum Coming {
    #[default]
    Nothing,
    Fixed(u64),
    Chunked(Box<ChunkedDecoder>),
    /// The body failed; nothing more can be read from this connection.
    Broken,
}

impl ReadSide {
    /// What was read and not used yet.
    pub(super) fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes in what was read of the connection before it was one of HTTP.
    pub(super) fn begin_with(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.buffer = recycle::take_read_buffer();
        self.end = bytes.len();
        let missing = self.end.saturating_sub(self.buffer.len());
        self.buffer.resize(self.buffer.len() + missing, 0);
        if let Some(front) = self.buffer.get_mut(..self.end) {
            front.copy_from_slice(bytes);
        }
    }

    /// Uses up bytes of the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            recycle::give_read_buffer(std::mem::take(&mut self.buffer));
        }
    }

    /// Holds what there is of a head that drips in, and no more: it may take its time.
    pub(super) fn shrink(&mut self) {
        let partial = self.buffered();
        if partial.len() > SMALL_HEAD || self.buffer.len() <= SMALL_HEAD {
            return;
        }
        let mut small = vec![0; SMALL_HEAD];
        let held = small.get_mut(..partial.len()).unwrap_or_default();
        held.copy_from_slice(partial);
        (self.start, self.end) = (0, partial.len());
        recycle::give_read_buffer(std::mem::replace(&mut self.buffer, small));
    }

    /// Reads more into the buffer. `Ok(0)` is the peer's end.
    pub(super) fn poll_fill(
        &mut self,
        stream: &Stream,
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.is_empty() {
            // An idle connection holds no buffer.
            ready!(stream.poll_readable(cx));
            self.buffer = recycle::take_read_buffer();
        } else if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let longer = self.buffer.len() * 2;
                self.buffer.resize(longer, 0);
            }
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = stream.poll_read(cx, room);
        match &read {
            Poll::Ready(Ok(0)) => self.ended = true,
            Poll::Ready(Ok(read)) => self.end += read,
            _ => {}
        }
        if self.end == 0 {
            recycle::give_read_buffer(std::mem::take(&mut self.buffer));
        }
        read
    }

    /// The request of this number, with this body, begins.
    pub(super) fn expect(
        &mut self,
        number: u64,
        length: BodyLength,
        awaits_continue: bool,
        decoder: impl FnOnce() -> ChunkedDecoder,
    ) {
        self.taken = 0;
        self.trailers = None;
        self.awaits_continue = awaits_continue && !length.is_empty();
        self.reader = number;
        self.body = match length {
            BodyLength::None | BodyLength::Fixed(0) | BodyLength::UntilClose => Coming::Nothing,
            BodyLength::Fixed(length) => Coming::Fixed(length),
            BodyLength::Chunked => Coming::Chunked(Box::new(decoder())),
        };
    }

    /// Whether the request has been read to its end, so that another may follow.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.body, Coming::Nothing)
    }

    /// Whether the body failed, so that no other request can follow.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.body, Coming::Broken)
    }

    /// Whether somebody may still read the body.
    pub(super) fn has_reader(&self) -> bool {
        self.reader != 0
    }

    /// Nobody can read the body of this request any more.
    pub(super) fn reader_is_gone(&mut self, number: u64) {
        if self.reader == number {
            self.reader = 0;
        }
    }

    /// Whether the client still waits for leave to send; asked once.
    pub(super) fn take_awaits_continue(&mut self) -> bool {
        std::mem::take(&mut self.awaits_continue) && !self.has_buffered()
    }

    /// Whether the rest of the body is not worth reading to save the connection: it
    /// failed, is longer than `worth`, or its client still waits for leave to send it,
    /// and may never.
    pub(super) fn is_hopeless(&self, worth: u64) -> bool {
        let waits = self.awaits_continue && !self.has_buffered();
        self.is_broken() || waits || self.remaining().is_some_and(|left| left > worth)
    }

    /// Gives the body up: its client was too slow.
    pub(super) fn give_up(&mut self) {
        self.body = Coming::Broken;
    }

    /// Body bytes that have been handed out.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Body bytes that are certain to come, when they are counted.
    pub(super) fn remaining(&self) -> Option<u64> {
        match &self.body {
            Coming::Nothing => Some(0),
            Coming::Fixed(length) => Some(*length),
            Coming::Chunked(_) | Coming::Broken => None,
        }
    }

    /// The trailer fields, once the body has ended.
    pub(super) fn take_trailers(&mut self) -> Option<Headers> {
        match self.is_complete() {
            true => self.trailers.take().map(|trailers| *trailers),
            false => None,
        }
    }

    /// Whether body bytes, or anything else, are in the buffer already.
    pub(super) fn has_buffered(&self) -> bool {
        self.end > self.start
    }

    /// Ready when the client is gone. Its end tells so where nothing is expected from it, else
    /// only a reset does: an end belongs to the body, whose reader sees it.
    ///
    /// What a pipelining client sends meanwhile is kept, up to one buffer. Behind more of it
    /// its end is not seen.
    pub(super) fn poll_gone(&mut self, stream: &Stream, cx: &Context<'_>) -> Poll<()> {
        loop {
            if !self.is_complete() || self.end - self.start >= recycle::BUFFER {
                return stream.poll_reset(cx);
            }
            match ready!(self.poll_fill(stream, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// The next piece of the body; `None` is its end.
    pub(super) fn poll_body(
        &mut self,
        stream: &Stream,
        cx: &Context<'_>,
        limit: u64,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            match self.step(limit) {
                Ok(Step::Piece(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::Starved) => {}
                Err(error) => return Poll::Ready(Some(Err(self.broken(error)))),
            }
            let read = match self.read_large(stream, cx) {
                Some(read) => ready!(read).map(Some),
                None => ready!(self.poll_fill(stream, cx)).map(|read| {
                    self.ended |= read == 0;
                    (read == 0).then(Bytes::new)
                }),
            };
            let error = match read {
                Ok(None) => continue,
                Ok(Some(piece)) if !piece.is_empty() => return Poll::Ready(Some(Ok(piece))),
                Ok(Some(_)) => BodyError::Incomplete,
                Err(error) => BodyError::Io(error),
            };
            return Poll::Ready(Some(Err(self.broken(error))));
        }
    }

    /// The same for whoever does not look at it: in a pipe, if it may be had so.
    pub(super) fn poll_unseen(
        &mut self,
        stream: &Stream,
        cx: &Context<'_>,
        limit: u64,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        let most = match self.body {
            Coming::Fixed(left) if !self.has_buffered() => piped_at_most(stream, left),
            _ => None,
        };
        let piped = match most {
            Some(most) => ready!(stream.poll_read_piped(cx, most)),
            None => Ok(None),
        };
        Poll::Ready(Some(match piped {
            Ok(Some(piped)) if !piped.is_empty() => {
                self.has_taken(piped.len());
                Ok(Chunk::Piped(piped))
            }
            Ok(Some(_)) => Err(self.broken(BodyError::Incomplete)),
            Err(error) => Err(self.broken(BodyError::Io(error))),
            Ok(None) => return self.poll_body(stream, cx, limit).map_ok(Chunk::from),
        }))
    }

    /// The body has failed.
    fn broken(&mut self, error: BodyError) -> BodyError {
        self.body = Coming::Broken;
        error
    }

    /// So much of it is handed out.
    fn has_taken(&mut self, len: usize) {
        self.taken += len as u64;
        if let Coming::Fixed(left) = &mut self.body {
            *left = left.saturating_sub(len as u64);
            if *left == 0 {
                self.body = Coming::Nothing;
            }
        }
    }

    /// Reads a long counted body straight into pieces, past the buffer.
    fn read_large(&mut self, stream: &Stream, cx: &Context<'_>) -> Option<Poll<io::Result<Bytes>>> {
        let Coming::Fixed(left) = self.body else {
            return None;
        };
        if left < recycle::BUFFER as u64 || self.has_buffered() {
            return None;
        }
        // Pieces grow while the peer fills them, so that slow bodies stay small.
        let room = self.piece.clamp(SMALLEST_PIECE, LARGEST_PIECE);
        let room = usize::try_from(left).unwrap_or(room).min(room);
        // No memory is held for what may come.
        if stream.poll_readable(cx).is_pending() {
            return Some(Poll::Pending);
        }
        let mut piece = Pooled::with_room(room);
        let read = match stream.poll_read(cx, piece.room(room)) {
            Poll::Ready(Ok(read)) => read,
            Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
            Poll::Pending => return Some(Poll::Pending),
        };
        self.piece = if read == room { room * 2 } else { read };
        self.has_taken(read);
        Some(Poll::Ready(Ok(piece.share(read))))
    }

    fn step(&mut self, limit: u64) -> Result<Step, BodyError> {
        loop {
            let buffered = self.buffer.get(self.start..self.end).unwrap_or_default();
            let (skip, data) = match &mut self.body {
                Coming::Nothing => return Ok(Step::End),
                Coming::Broken => return Err(BodyError::Incomplete),
                Coming::Fixed(_) if buffered.is_empty() => return Ok(Step::Starved),
                Coming::Fixed(left) => {
                    let data = usize::try_from(*left).unwrap_or(usize::MAX);
                    (0, data.min(buffered.len()))
                }
                Coming::Chunked(decoder) => match decoder.decode(buffered) {
                    Ok(Decoded::Data { skip, data }) => {
                        // A chunk that cannot fit is refused before it arrives.
                        let announced = (data as u64).saturating_add(decoder.chunk_remaining());
                        if self.taken.saturating_add(announced) > limit {
                            return Err(BodyError::TooLarge { limit });
                        }
                        (skip, data)
                    }
                    Ok(Decoded::More { .. })
                        if self.taken.saturating_add(decoder.chunk_remaining()) > limit =>
                    {
                        return Err(BodyError::TooLarge { limit });
                    }
                    Ok(Decoded::More { consumed }) => {
                        self.consume(consumed);
                        return Ok(Step::Starved);
                    }
                    Ok(Decoded::Done { consumed }) => {
                        let trailers = decoder.take_trailers();
                        self.trailers = (!trailers.is_empty()).then(|| Box::new(trailers));
                        self.body = Coming::Nothing;
                        self.consume(consumed);
                        continue;
                    }
                    Err(error) => return Err(BodyError::Malformed(error)),
                },
            };
            let piece = buffered.get(skip..skip + data).unwrap_or_default();
            let piece = Bytes::copy_from_slice(piece);
            self.consume(skip + data);
            self.has_taken(data);
            return Ok(Step::Piece(piece));
        }
    }
}

enum Step {
    Piece(Bytes),
    End,
    Starved,
}
