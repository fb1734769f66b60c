//! `Decoding`: a body with one coding taken off.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use squall_http::wire::coding::{Coding, CodingError};
use squall_http::{Body, BodyError, BodyStream, Headers};
use squall_loop::poll_turn;

use super::codec::DecodeLimits;
use super::decoder::Decoder;

/// The most that goes into a decoder, and comes out of it, in one step.
const STEP: usize = 64 << 10;
/// The least room for a step's output.
const MIN_ROOM: usize = 1 << 10;
/// What a step takes, about: 400 MB/s.
const STEP_MICROS: u32 = 160;

/// What has come of a body, before any coding was taken off: one count for all its layers,
/// since each may be far from the limit and all of them together far beyond it.
#[derive(Default)]
pub(super) struct Wire {
    come: Arc<AtomicU64>,
    /// Whether its layer reads what others have decoded, and leaves the counting to the first.
    behind: bool,
}

impl Wire {
    /// The count for the next layer.
    pub(super) fn layer(&mut self) -> Self {
        let behind = std::mem::replace(&mut self.behind, true);
        let come = self.come.clone();
        Self { come, behind }
    }

    /// Counts what a layer has taken, and says how much has come.
    fn take(&self, bytes: u64) -> u64 {
        // Only the number counts; the layers are polled one within the other.
        match self.behind {
            true => self.come.load(Ordering::Relaxed),
            false => self.come.fetch_add(bytes, Ordering::Relaxed) + bytes,
        }
    }
}

pub(super) struct Decoding {
    source: Body,
    coding: Coding,
    decoder: Decoder,
    limits: DecodeLimits,
    wire: Wire,
    /// What the source gave and the decoder has not taken.
    input: Bytes,
    /// The decoder may hold output that needs no more input.
    holds: bool,
    /// The data may end here.
    complete: bool,
    consumed: u64,
    produced: u64,
}

impl Decoding {
    pub(super) fn new(source: Body, coding: Coding, limits: DecodeLimits, wire: Wire) -> Self {
        Self {
            source,
            coding,
            decoder: Decoder::new(coding),
            limits,
            wire,
            input: Bytes::new(),
            holds: false,
            // Nothing at all is an empty body: of an answer to HEAD, for one.
            complete: true,
            consumed: 0,
            produced: 0,
        }
    }

    /// Decodes one piece of the input; the result may be empty.
    fn step(&mut self) -> Result<Bytes, CodingError> {
        if self.complete && self.consumed > 0 && !self.decoder.may_repeat() {
            return Err(self.malformed("data follows the end".to_owned()));
        }
        let piece = self.input.get(..STEP).unwrap_or(&self.input);
        let room = match self.holds {
            true => STEP,
            false => (piece.len() * 4).clamp(MIN_ROOM, STEP),
        };
        let mut out = Vec::with_capacity(room);
        let step = (self.decoder.run(piece, &mut out)).map_err(|why| self.malformed(why))?;
        if step.consumed == 0 && out.is_empty() && !piece.is_empty() {
            return Err(self.malformed("the decoder does not go on".to_owned()));
        }
        self.input.advance(step.consumed);
        let consumed = step.consumed as u64;
        self.consumed += consumed;
        self.produced += out.len() as u64;
        let come = self.wire.take(consumed);
        self.holds = !step.complete && out.len() == out.capacity();
        self.complete = step.complete;
        self.check(come)?;
        Ok(out.into())
    }

    /// Whether so much may have come out of what has come.
    fn check(&self, come: u64) -> Result<(), CodingError> {
        let DecodeLimits {
            max_decoded_size,
            max_ratio,
            ratio_free_size,
            ..
        } = self.limits;
        if self.produced > max_decoded_size {
            return Err(CodingError::TooLarge {
                limit: max_decoded_size,
            });
        }
        let fair = come.saturating_mul(max_ratio);
        if self.produced > ratio_free_size && self.produced > fair {
            return Err(CodingError::Ratio { limit: max_ratio });
        }
        Ok(())
    }

    fn malformed(&self, why: String) -> CodingError {
        CodingError::Malformed {
            coding: self.coding,
            why,
        }
    }
}

impl BodyStream for Decoding {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        loop {
            if this.input.is_empty() && !this.holds {
                match ready!(this.source.poll_chunk(cx)) {
                    Some(Ok(chunk)) => this.input = chunk,
                    None if !this.complete => {
                        let coding = this.coding;
                        let error = CodingError::Truncated { coding };
                        return Poll::Ready(Some(Err(BodyError::other(error))));
                    }
                    end => return Poll::Ready(end),
                }
            }
            ready!(poll_turn(cx, STEP_MICROS));
            match this.step() {
                Ok(chunk) if chunk.is_empty() => {}
                result => return Poll::Ready(Some(result.map_err(BodyError::other))),
            }
        }
    }

    fn drive(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.get_mut().source.drive(cx);
    }

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        self.get_mut().source.take_trailers()
    }
}
