//! A request's body as a stream, read from the connection as it is asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use squall_loop::{Sleep, sleep};

use super::conn::Conn;
use crate::body::{BodyError, BodyStream};
use crate::wire::headers::Headers;

/// The body of the current request of a connection.
pub(super) struct Incoming {
    conn: Arc<Conn>,
    number: u64,
    /// The client waits for `100 Continue` before it sends.
    expects_continue: bool,
    /// Runs while the client sends nothing.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub(super) fn new(conn: Arc<Conn>, number: u64, expects_continue: bool) -> Self {
        Self {
            conn,
            number,
            expects_continue,
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
        if std::mem::take(&mut self.expects_continue) && !self.conn.read().has_buffered() {
            (self.conn).write(|out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
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
