//! A request's body as a stream, read from the connection as it is asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use squall_loop::{Sleep, sleep};

use super::conn::Conn;
use super::phase::Phase;
use crate::body::{BodyError, BodyStream};
use crate::wire::headers::Headers;

/// The interim answer that lets a client send its body.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The body of the current request of a connection.
pub(super) struct Incoming {
    conn: Arc<Conn>,
    number: u64,
    /// Runs while the client sends nothing.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub(super) fn new(conn: Arc<Conn>, number: u64) -> Self {
        Self {
            conn,
            number,
            patience: None,
        }
    }

    fn limit(&self) -> Duration {
        self.conn.server.settings.body_timeout
    }
}

impl BodyStream for Incoming {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
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
        let limit = self.conn.server.settings.max_body_size;
        let piece = (self.conn.read()).poll_body(&self.conn.stream, cx, limit);
        if piece.is_ready() {
            self.patience = None;
            return piece;
        }
        // Nothing more can come while an earlier answer is still in our buffer.
        if let Poll::Ready(Err(error)) = self.conn.poll_flush(cx) {
            return Poll::Ready(Some(Err(error.into())));
        }
        let limit = self.limit();
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(limit)));
        patience
            .as_mut()
            .poll(cx)
            .map(|()| Some(Err(BodyError::TimedOut { limit })))
    }

    fn remaining(&self) -> Option<u64> {
        self.conn.read().remaining()
    }

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        self.conn.read().take_trailers()
    }
}
