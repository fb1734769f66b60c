//! `Content`: the bytes of one representation, streamed from a file or from memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use squall_http::memory::Pooled;
use squall_http::{Body, BodyError, BodyStream};
use squall_loop::Executor;

use crate::file_body::FILE_STEP;
use crate::file_read::{read_at, read_now};

/// Up to this size a file is sent together with its head.
const SHORT: u64 = 64 << 10;

/// Where the bytes are.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Memory(Bytes),
    File(Arc<File>, Executor),
}

/// A piece of a body.
#[derive(Debug)]
pub(super) enum Piece {
    Text(Bytes),
    Content(Range<u64>),
}

impl Content {
    /// A body of these pieces, in this order. Nothing is read until it is asked for.
    pub(super) fn body(&self, pieces: impl IntoIterator<Item = Piece>) -> Body {
        let mut pieces: VecDeque<_> = pieces.into_iter().collect();
        if let (Self::Memory(bytes), [Piece::Content(range)]) = (self, pieces.make_contiguous()) {
            return part(bytes, range).into();
        }
        Body::stream(Sending {
            content: self.clone(),
            pieces,
            reading: None,
        })
    }

    /// The whole as a body that is sent together with its head, if it is short and in
    /// memory already.
    pub(super) fn short(&self, len: u64) -> Option<Body> {
        match self {
            Self::Memory(bytes) => Some(bytes.clone().into()),
            Self::File(..) if len > SHORT => None,
            Self::File(..) if len == 0 => Some(Body::empty()),
            Self::File(file, _) => {
                let len = usize::try_from(len).ok()?;
                let bytes = read(len, |room| read_now(file, room, 0)).ok()??;
                (bytes.len() == len).then(|| bytes.into())
            }
        }
    }
}

fn part(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |at| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
    bytes.slice(at(range.start)..at(range.end).max(at(range.start)))
}

/// Up to `len` bytes, in memory that is used again.
fn read(
    len: usize,
    read: impl FnOnce(&mut [u8]) -> io::Result<Option<usize>>,
) -> io::Result<Option<Bytes>> {
    let mut memory = Pooled::with_room(len);
    let read = read(memory.room(len))?;
    Ok(read.map(|read| memory.share(read)))
}

type Reading = squall_loop::JoinHandle<io::Result<Option<Bytes>>>;

struct Sending {
    content: Content,
    pieces: VecDeque<Piece>,
    /// A read on the executor, of the first piece's begin.
    reading: Option<Reading>,
}

impl Sending {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        range: &Range<u64>,
    ) -> Poll<Result<Bytes, BodyError>> {
        let (file, executor) = match &self.content {
            Content::Memory(bytes) => return Poll::Ready(Ok(part(bytes, range))),
            Content::File(file, executor) => (file, executor),
        };
        let (at, left) = (range.start, range.end - range.start);
        let len = usize::try_from(left).map_or(FILE_STEP, |left| left.min(FILE_STEP));
        if self.reading.is_none() {
            if let Some(bytes) = read(len, |room| read_now(file, room, at))? {
                return Poll::Ready(Ok(bytes));
            }
            let file = file.clone();
            let later = move |room: &mut [u8]| read_at(&file, room, at).map(Some);
            self.reading = Some(executor.submit(move || read(len, later)));
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Pending;
        };
        let done = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(match done {
            Ok(bytes) => Ok(bytes?.unwrap_or_default()),
            Err(error) => Err(BodyError::other(error)),
        })
    }
}

impl BodyStream for Sending {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        loop {
            let range = match this.pieces.front() {
                None => return Poll::Ready(None),
                Some(Piece::Content(range)) if range.is_empty() => {
                    this.pieces.pop_front();
                    continue;
                }
                Some(Piece::Content(range)) => range.clone(),
                Some(Piece::Text(_)) => match this.pieces.pop_front() {
                    Some(Piece::Text(text)) => return Poll::Ready(Some(Ok(text))),
                    _ => continue,
                },
            };
            let chunk = ready!(this.poll_read(cx, &range))?;
            if let Some(Piece::Content(range)) = this.pieces.front_mut() {
                range.start += chunk.len() as u64;
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
    }

    fn remaining(&self) -> Option<u64> {
        let len = |piece: &Piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Content(range) => range.end - range.start,
        };
        Some(self.pieces.iter().map(len).sum())
    }
}
