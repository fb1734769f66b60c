//! The kernel as the models see it: a wake rings a bell, a wait lasts until it
//! rings. No socket can be watched here.

#[path = "../reactor/source.rs"]
#[allow(dead_code)] // What translates the kernel's events.
mod source;

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use mio::event::Source as Socket;

pub(crate) use source::{Direction, Source};

use crate::models::Bell;

#[derive(Debug)]
pub(crate) struct Reactor(Bell);

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Bell::default()))
    }

    pub(crate) fn register(
        &self,
        _socket: &mut impl Socket,
        _source: Source,
    ) -> io::Result<(Arc<Source>, usize)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn deregister(&self, _socket: &mut impl Socket, _key: usize) {}

    pub(crate) fn wake(&self) {
        self.0.ring();
    }

    pub(crate) fn wait(&self, timeout: Option<Duration>, _wakers: &mut Vec<Waker>) {
        self.0.hear(timeout.is_none());
    }

    pub(crate) fn clear(&self) {}
}
