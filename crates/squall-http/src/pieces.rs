//! `Pieces`: chunks of a body that go out in one system call, together with their framing.
//!
//! Nothing is copied for it, and nothing waited for.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use squall_loop::net::Piped;

use crate::body::{Body, BodyError};
use crate::chunk::Chunk;
use crate::stream::Stream;

/// From so many bytes on a system call costs little beside the copying in it. 512 MiB in
/// chunks of 64 KiB took 0.30 CPU seconds one by one, 0.25 with 256 KiB together, 0.20 with
/// 512 (medians of 13 interleaved rounds).
pub(crate) const GATHERED: usize = 512 << 10;
/// The most chunks of one system call.
const SLICES: usize = 64;

/// What a body gives when it is asked.
pub(crate) type Next = Option<Result<Chunk, BodyError>>;

/// What is being written of a body.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    first: Bytes,
    /// What follows it, where the body had more at once.
    more: Option<Box<More>>,
    /// Stands in for them.
    piped: Option<Piped>,
}

#[derive(Debug, Default)]
struct More {
    chunks: VecDeque<Bytes>,
    /// What the body had after them: its end, an error, or a pipe.
    next: Option<Next>,
}

/// What was taken of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) len: usize,
    /// The body has nothing more at present, and wakes the task when it has: in this poll it
    /// must not be asked again.
    pub(crate) waits: bool,
}

/// How much was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// Of what goes before the pieces.
    pub(crate) before: usize,
    pub(crate) pieces: usize,
    /// Of what goes behind them.
    pub(crate) after: usize,
}

impl Written {
    pub(crate) fn sum(self) -> usize {
        self.before + self.pieces + self.after
    }
}

impl Pieces {
    /// Whether all that was taken is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.piped.is_none()
    }

    /// Whether they are in a pipe, and cannot be copied.
    pub(crate) fn is_piped(&self) -> bool {
        self.piped.is_some()
    }

    /// Lets go of everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The body's next chunk that is not empty: one that was met while others were taken, or
    /// a new one.
    pub(crate) fn poll_next(
        &mut self,
        body: &mut Body,
        to: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Next> {
        match self.more.as_mut().and_then(|more| more.next.take()) {
            Some(next) => Poll::Ready(next),
            None => poll_next(body, to, cx),
        }
    }

    /// Takes a chunk, and more of the body behind it as long as there is some at once and it
    /// is less than `most` together.
    pub(crate) fn take(
        &mut self,
        chunk: Chunk,
        most: usize,
        body: &mut Body,
        to: &Stream,
        cx: &mut Context<'_>,
    ) -> Taken {
        let mut taken = Taken {
            len: chunk.len(),
            waits: false,
        };
        match chunk {
            Chunk::Bytes(first) => self.first = first,
            Chunk::Piped(piped) => {
                self.piped = Some(piped);
                return taken;
            }
        }
        for _ in 1..SLICES {
            if taken.len >= most {
                break;
            }
            let Poll::Ready(next) = poll_next(body, to, cx) else {
                taken.waits = true;
                break;
            };
            let more = self.more.get_or_insert_default();
            match next {
                Some(Ok(Chunk::Bytes(bytes))) => {
                    taken.len += bytes.len();
                    more.chunks.push_back(bytes);
                }
                next => {
                    more.next = Some(next);
                    break;
                }
            }
        }
        taken
    }

    /// Copies what is in memory, and takes it off.
    pub(crate) fn copy_to(&mut self, out: &mut Vec<u8>) {
        while !self.first.is_empty() {
            out.extend_from_slice(&self.first);
            self.advance(self.first.len());
        }
    }

    /// Writes what fits of what goes before the pieces, of them, and of what goes behind
    /// them. What was written of the pieces is taken off.
    pub(crate) fn poll_write(
        &mut self,
        to: &Stream,
        cx: &Context<'_>,
        before: &[u8],
        after: &[u8],
    ) -> Poll<io::Result<Written>> {
        if let Some(piped) = &mut self.piped {
            let (mut of_before, mut of_pieces) = (0, 0);
            match before {
                [] => of_pieces = ready!(to.poll_write_piped(cx, piped))?,
                before => of_before = ready!(to.poll_write(cx, before))?,
            }
            self.piped.take_if(|piped| piped.is_empty());
            return Poll::Ready(Ok(Written {
                before: of_before,
                pieces: of_pieces,
                after: 0,
            }));
        }
        let written = match &self.more {
            None => {
                let slices = [before, &self.first, after].map(IoSlice::new);
                ready!(to.poll_write_vectored(cx, &slices))?
            }
            Some(more) => {
                let chunks = more.chunks.iter().map(|chunk| &**chunk);
                let pieces = [before, &self.first].into_iter().chain(chunks);
                let mut slices = [IoSlice::new(&[]); SLICES + 2];
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(pieces.chain([after])) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                let slices = slices.get(..count).unwrap_or_default();
                ready!(to.poll_write_vectored(cx, slices))?
            }
        };
        let of_before = written.min(before.len());
        let behind = written - of_before;
        let of_after = self.advance(behind);
        Poll::Ready(Ok(Written {
            before: of_before,
            pieces: behind - of_after,
            after: of_after,
        }))
    }

    /// Takes off what was written; says how much more that was than there is.
    fn advance(&mut self, mut written: usize) -> usize {
        loop {
            let of_first = written.min(self.first.len());
            self.first.advance(of_first);
            written -= of_first;
            let more = self.more.as_mut().filter(|_| self.first.is_empty());
            match more.and_then(|more| more.chunks.pop_front()) {
                Some(next) => self.first = next,
                None => return written,
            }
        }
    }
}

/// `most`, or what is left of a body whose length is known.
pub(crate) fn within(left: Option<u64>, most: usize) -> usize {
    left.map_or(most, |left| {
        usize::try_from(left).map_or(most, |left| left.min(most))
    })
}

fn poll_next(body: &mut Body, to: &Stream, cx: &mut Context<'_>) -> Poll<Next> {
    loop {
        match ready!(body.poll_for(to, cx)) {
            Some(Ok(chunk)) if chunk.is_empty() => {}
            next => return Poll::Ready(next),
        }
    }
}
