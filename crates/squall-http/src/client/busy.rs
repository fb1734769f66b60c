//! `Busy`: a connection during an exchange, with what it needs only then.

use std::cell::RefCell;
use std::io;
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll, ready};

use squall_loop::net::Piped;
use squall_loop::time::now;

use super::connection::{Connection, Home};
use super::idle::Idle;
use super::input::Input;
use super::upload::Upload;
use crate::memory::KEPT;
use crate::wire::head::ResponseHead;

thread_local! {
    // Boxed: a desk is handed on, from the wait for the answer to its body.
    #[allow(clippy::vec_box)]
    static DESKS: RefCell<Vec<Box<Tools>>> = const { RefCell::new(Vec::new()) };
}

/// A connection, and what its exchange is done with.
pub(super) struct Busy {
    pub(super) connection: Box<Connection>,
    pub(super) desk: Desk,
}

/// What was read from a connection, what is being sent over it, and how long it is silent.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pub(super) input: Input,
    /// As far as it has come.
    pub(super) head: ResponseHead,
    pub(super) upload: Upload,
    pub(super) idle: Idle,
}

/// The tools of one exchange, which go to the next one of their thread.
pub(super) struct Desk(Option<Box<Tools>>);

impl Busy {
    /// Begins an exchange; its head is written already.
    pub(super) fn new(mut connection: Box<Connection>, desk: Desk) -> Self {
        connection.used = true;
        connection.stream.rest(false);
        Self { connection, desk }
    }

    /// Sends what can be sent. Ready when there is nothing left to do, or no way to do it.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.desk.upload.poll(&self.connection.stream, cx)
    }

    /// Reads more, see [`Input::poll_fill`].
    pub(super) fn poll_fill(&mut self, cx: &Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        let input = &mut self.desk.input;
        let read = ready!(input.poll_fill(&self.connection.stream, cx, size));
        self.connection.heard = now();
        Poll::Ready(read)
    }

    /// Reads more into a pipe, past the input, which is empty.
    pub(super) fn poll_piped(
        &mut self,
        cx: &Context<'_>,
        most: usize,
    ) -> Poll<io::Result<Option<Piped>>> {
        self.desk.input.clear();
        let read = ready!(self.connection.stream.poll_read_piped(cx, most));
        self.connection.heard = now();
        Poll::Ready(read)
    }

    /// The exchange is complete: the connection goes home, if it is fit for another one.
    pub(super) fn settle(self, home: impl Home, persistent: bool) {
        let Self { connection, desk } = self;
        let fit = persistent && desk.upload.is_done() && desk.input.is_empty();
        drop(desk);
        if fit {
            connection.stream.rest(true);
            home.give_back(connection);
        }
    }
}

impl Desk {
    pub(super) fn take() -> Self {
        let spare = DESKS.try_with(|desks| desks.borrow_mut().pop());
        Self(Some(spare.ok().flatten().unwrap_or_default()))
    }
}

impl Deref for Desk {
    type Target = Tools;

    #[inline]
    fn deref(&self) -> &Tools {
        match &self.0 {
            Some(tools) => tools,
            None => unreachable!("only its drop takes the tools out"),
        }
    }
}

impl DerefMut for Desk {
    #[inline]
    fn deref_mut(&mut self) -> &mut Tools {
        match &mut self.0 {
            Some(tools) => tools,
            None => unreachable!("only its drop takes the tools out"),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let Some(mut tools) = self.0.take() else {
            return;
        };
        tools.input.clear();
        tools.head.clear();
        tools.upload.clear();
        // On a thread that ends there is nothing to keep them for.
        let _ = DESKS.try_with(|desks| {
            let mut desks = desks.borrow_mut();
            if desks.len() < KEPT {
                desks.push(tools);
            }
        });
    }
}
