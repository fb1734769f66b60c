//! `Encoding`: a body with a coding around it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use squall_http::wire::coding::Coding;
use squall_http::{Body, BodyError, BodyStream, Headers};
use squall_loop::poll_turn;

use super::codec::Level;
use super::encoder::{Encoder, Operation};

/// The most that goes into an encoder in one step.
const STEP: usize = 8 << 10;
/// What a step takes, about: 50 MB/s.
const STEP_MICROS: u32 = 160;
/// A chunk that is worth sending while more comes.
const CHUNK: usize = 16 << 10;

pub(super) struct Encoding {
    source: Body,
    coding: Coding,
    level: Level,
    /// Of the whole source.
    len: Option<u64>,
    /// Made when it is needed: an answer to HEAD has a body that nobody reads.
    encoder: Option<Encoder>,
    /// The coding's end is in `out`, or was.
    ended: bool,
    /// What the source gave and the encoder has not taken.
    input: Bytes,
    out: Vec<u8>,
    /// The encoder may hold input back.
    holds: bool,
}

impl Encoding {
    pub(super) fn new(source: Body, coding: Coding, level: Level) -> Self {
        Self {
            len: source.len(),
            source,
            coding,
            level,
            encoder: None,
            ended: false,
            input: Bytes::new(),
            out: Vec::new(),
            holds: false,
        }
    }

    fn run(&mut self, piece: &[u8], operation: Operation) -> Result<(), BodyError> {
        self.holds = operation == Operation::Process;
        self.ended = operation == Operation::Finish;
        let (coding, level, len) = (self.coding, self.level, self.len);
        let encoder = (self.encoder).get_or_insert_with(|| Encoder::new(coding, level, len));
        Ok(encoder.run(piece, operation, &mut self.out)?)
    }

    /// What has come out so far; `None` if nothing has.
    fn take(&mut self) -> Option<Bytes> {
        let out = std::mem::take(&mut self.out);
        (!out.is_empty()).then(|| out.into())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        while !self.ended && self.out.len() < CHUNK {
            if self.input.is_empty() {
                match self.source.poll_chunk(cx) {
                    Poll::Ready(Some(chunk)) => self.input = chunk?,
                    Poll::Ready(None) => {
                        self.run(&[], Operation::Finish)?;
                        break;
                    }
                    // The source has seen to the waking.
                    Poll::Pending if self.holds => {
                        self.run(&[], Operation::Flush)?;
                        break;
                    }
                    Poll::Pending => break,
                }
            }
            ready!(poll_turn(cx, STEP_MICROS));
            let piece = self.input.split_to(self.input.len().min(STEP));
            self.run(&piece, Operation::Process)?;
        }
        match self.take() {
            // A flush may find that everything has come out already.
            None if !self.ended => Poll::Pending,
            chunk => Poll::Ready(Ok(chunk)),
        }
    }
}

impl BodyStream for Encoding {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.get_mut().poll(cx).map(Result::transpose)
    }

    fn drive(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.get_mut().source.drive(cx);
    }

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        self.get_mut().source.take_trailers()
    }
}
