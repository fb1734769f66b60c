//! `Busy`: a connection during an exchange, with what it needs only then.

use std::io;
use std::task::{Context, Poll, ready};

use squall_loop::time::now;

use super::connection::{Connection, Home};
use super::input::Input;
use super::upload::Upload;

/// A connection, what was read from it, and what is being sent over it.
pub(super) struct Busy {
    pub(super) connection: Box<Connection>,
    pub(super) input: Input,
    pub(super) upload: Upload,
}

impl Busy {
    /// Begins an exchange.
    pub(super) fn new(mut connection: Box<Connection>, upload: Upload) -> Self {
        connection.used = true;
        Self {
            connection,
            input: Input::default(),
            upload,
        }
    }

    /// Sends what can be sent. Ready when there is nothing left to do, or no way to do it.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.upload.poll(&self.connection.stream, cx)
    }

    /// Reads more, see [`Input::poll_fill`].
    pub(super) fn poll_fill(&mut self, cx: &Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        let read = ready!(self.input.poll_fill(&self.connection.stream, cx, size));
        self.connection.heard = now();
        Poll::Ready(read)
    }

    /// The exchange is complete: the connection goes home, if it is fit for another one.
    pub(super) fn settle(mut self, home: impl Home, persistent: bool) {
        if persistent && self.upload.is_done() && self.input.is_empty() {
            self.input.shrink();
            home.give_back(self.connection);
        }
    }
}
