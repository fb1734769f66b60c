//! A request's body as a stream, read from the connection as it is asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use squall_loop::time::coarse_nanos;

use super::conn::Conn;
use super::patience::{Patience, Slow};
use super::phase::Phase;
use crate::alarm::Alarm;
use crate::body::{BodyError, BodyStream, SilenceLimit};
use crate::chunk::Chunk;
use crate::wire::headers::Headers;

/// The interim answer that lets a client send its body.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The body of the current request of a connection.
pub(super) struct Incoming {
    conn: Arc<Conn>,
    number: u64,
    /// What the client has left for sending it.
    patience: Patience,
    alarm: Alarm,
}

impl Incoming {
    pub(super) fn new(conn: Arc<Conn>, number: u64) -> Self {
        let patience = Patience::new(conn.server.settings.body_pace());
        Self {
            conn,
            number,
            patience,
            alarm: Alarm::roaming(),
        }
    }

    /// Asks the connection for what comes next, as long as its client may take for that.
    fn poll_next<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&Conn, &Context<'_>) -> Poll<Option<Result<T, BodyError>>>,
    ) -> Poll<Option<Result<T, BodyError>>> {
        if self.conn.number() != self.number {
            return Poll::Ready(Some(Err(BodyError::Gone)));
        }
        // Once an answer has begun, it is too late for an interim one.
        if self.conn.read().take_awaits_continue() && self.conn.is(Phase::Handling) {
            self.conn.write(|out| out.extend_from_slice(CONTINUE));
            if let Poll::Ready(Err(error)) = self.conn.poll_flush(cx) {
                return Poll::Ready(Some(Err(error.into())));
            }
        }
        let conn = &self.conn;
        let piece = read(conn, cx);
        if piece.is_ready() {
            self.patience.rest();
            conn.set_clock(coarse_nanos());
            return piece;
        }
        // Nothing more can come while an earlier answer is still in our buffer.
        if let Poll::Ready(Err(error)) = conn.poll_flush(cx) {
            return Poll::Ready(Some(Err(error.into())));
        }
        let pace = conn.server.settings.body_pace();
        let taken = conn.read().taken();
        let slow = self.patience.poll(&mut self.alarm, cx, taken, pace);
        conn.set_clock(self.patience.until());
        let slow = ready!(slow);
        conn.read().give_up();
        Poll::Ready(Some(Err(match slow {
            Slow::Silent => BodyError::TimedOut {
                limit: pace.limit,
                setting: SilenceLimit::BodyTimeout,
            },
            Slow::Dripping => BodyError::TooSlow { rate: pace.rate },
        })))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.conn.read().reader_is_gone(self.number);
    }
}

impl BodyStream for Incoming {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.poll_next(cx, |conn, cx| {
            let limit = conn.server.settings.max_body_size;
            conn.read().poll_body(&conn.stream, cx, limit)
        })
    }

    fn poll_unseen(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        self.poll_next(cx, |conn, cx| {
            let limit = conn.server.settings.max_body_size;
            conn.read().poll_unseen(&conn.stream, cx, limit)
        })
    }

    fn remaining(&self) -> Option<u64> {
        self.conn.read().remaining()
    }

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        self.conn.read().take_trailers()
    }
}
