//! `Decoding`: a body with one coding taken off.

use std::pin::Pin;
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

pub(super) struct Decoding {
    source: Body,
    coding: Coding,
    decoder: Decoder,
    limits: DecodeLimits,
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
    pub(super) fn new(source: Body, coding: Coding, limits: DecodeLimits) -> Self {
        Self {
            source,
            coding,
            decoder: Decoder::new(coding),
            limits,
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
        self.consumed += step.consumed as u64;
        self.produced += out.len() as u64;
        self.holds = !step.complete && out.len() == out.capacity();
        self.complete = step.complete;
        self.check()?;
        Ok(out.into())
    }

    fn check(&self) -> Result<(), CodingError> {
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
        let fair = self.consumed.saturating_mul(max_ratio);
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

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        self.get_mut().source.take_trailers()
    }
}
