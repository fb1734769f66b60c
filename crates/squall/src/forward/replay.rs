//! `Replay`: a request's body that can be sent twice, because its beginning is kept.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use parking_lot::Mutex;
use squall_http::{Body, BodyError, BodyStream, Chunk, Headers};

use super::headers::TrailerRule;
use crate::client::Replayable;

/// A request's body, for as often as it may be sent.
pub(super) enum Replay {
    /// It is in memory, or there is none.
    Whole(Body),
    Taped(Tape),
    /// Once, and then never again.
    Once(Option<Body>),
}

impl Replay {
    /// Keeps up to `limit` bytes of what is read of `body`, whose trailers are under a rule.
    pub(super) fn of(body: Body, limit: usize, rule: impl FnOnce() -> TrailerRule) -> Self {
        if body.as_bytes().is_some() {
            return Self::Whole(body);
        }
        let body = match body.len() {
            Some(_) => body, // which has none
            None => Body::stream(Ruled { body, rule: rule() }),
        };
        match limit {
            0 => Self::Once(Some(body)),
            _ => Self::Taped(Tape::of(body, limit)),
        }
    }

    /// Whether nothing was read of it.
    pub(super) fn is_new(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Taped(tape) => {
                let state = tape.shared.lock();
                state.records && state.kept.is_empty()
            }
            Self::Once(body) => body.is_some(),
        }
    }
}

impl Replayable for Replay {
    fn play(&mut self) -> Body {
        let body = match self {
            Self::Whole(body) => body.try_clone(),
            Self::Taped(tape) => tape.play(),
            Self::Once(body) => body.take(),
        };
        body.unwrap_or_default()
    }

    fn can_play(&self) -> bool {
        match self {
            Self::Once(body) => body.is_some(),
            _ => self.can_play_twice(),
        }
    }

    fn can_play_twice(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Taped(tape) => tape.shared.lock().records,
            Self::Once(_) => false,
        }
    }
}

/// A body whose trailers do not all go along.
struct Ruled {
    body: Body,
    rule: TrailerRule,
}

impl BodyStream for Ruled {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.body.poll_chunk(cx)
    }

    fn poll_unseen(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        self.body.poll_unseen(cx)
    }

    fn remaining(&self) -> Option<u64> {
        self.body.len()
    }

    fn take_trailers(mut self: Pin<&mut Self>) -> Option<Headers> {
        let mut trailers = self.body.take_trailers()?;
        self.rule.take_off(&mut trailers);
        (!trailers.is_empty()).then_some(trailers)
    }
}

/// What was read of a body, up to a limit.
///
/// While a tape is held, bodies that [`play`](Self::play) the same from the start can be
/// had, one after the other. Beyond the limit it is given up, and the last body goes on
/// alone.
pub(super) struct Tape {
    shared: Shared,
}

type Shared = Arc<Mutex<State>>;

struct State {
    source: Body,
    /// How long it is was not said: it may have trailers.
    is_chunked: bool,
    trailers: Option<Headers>,
    kept: Vec<Bytes>,
    size: usize,
    limit: usize,
    records: bool,
}

impl Tape {
    fn of(source: Body, limit: usize) -> Self {
        let state = State {
            is_chunked: source.len().is_none(),
            source,
            trailers: None,
            kept: Vec::new(),
            size: 0,
            limit,
            records: true,
        };
        Self {
            shared: Arc::new(Mutex::new(state)),
        }
    }

    /// The body from its start; `None` once more was read than is kept.
    fn play(&self) -> Option<Body> {
        let records = self.shared.lock().records;
        let shared = self.shared.clone();
        records.then(|| Body::stream(Reader { shared, at: 0 }))
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.shared.lock().records = false;
    }
}

struct Reader {
    shared: Shared,
    /// How many of the kept pieces were read.
    at: usize,
}

impl BodyStream for Reader {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Self { shared, at } = self.get_mut();
        let state = &mut *shared.lock();
        if let Some(piece) = state.kept.get(*at) {
            *at += 1;
            return Poll::Ready(Some(Ok(piece.clone())));
        }
        let piece = ready!(state.source.poll_chunk(cx));
        if let Some(Ok(piece)) = &piece
            && state.records
        {
            state.size = state.size.saturating_add(piece.len());
            if state.size > state.limit {
                state.records = false;
            } else {
                state.kept.push(piece.clone());
                *at += 1;
            }
        }
        if !state.records {
            // This reader is the last one, and has read everything that was kept.
            state.kept.clear();
        }
        Poll::Ready(piece)
    }

    fn poll_unseen(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        let mut state = self.shared.lock();
        // What is kept has to be seen.
        if !state.records && state.kept.len() <= self.at {
            state.kept.clear();
            return state.source.poll_unseen(cx);
        }
        drop(state);
        self.poll_chunk(cx).map_ok(Chunk::from)
    }

    fn remaining(&self) -> Option<u64> {
        let state = self.shared.lock();
        if state.is_chunked {
            // Also once its end was seen: nothing else goes along with trailers.
            return None;
        }
        let kept = state.kept.iter().skip(self.at);
        let kept: u64 = kept.map(|piece| piece.len() as u64).sum();
        Some(state.source.len()? + kept)
    }

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        let mut state = self.shared.lock();
        if state.trailers.is_none() {
            state.trailers = state.source.take_trailers();
        }
        match state.records {
            true => state.trailers.clone(),
            false => state.trailers.take(),
        }
    }
}
