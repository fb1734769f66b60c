//! The kernel as the models see it: a wake rings a bell, a wait lasts until it
//! rings. No socket can be watched here, but whether there are any is told.

#[path = "../reactor/source.rs"]
#[allow(dead_code)] // What translates the kernel's events.
mod source;

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use mio::event::Source as Socket;

pub(crate) use source::{Direction, Source};

use crate::atomics::{AtomicBool, Mutex, Ordering};
use crate::models::Bell;

#[derive(Debug)]
pub(crate) struct Reactor {
    bell: Bell,
    sockets: AtomicBool,
    sources: Mutex<Vec<Arc<Source>>>,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            bell: Bell::default(),
            sockets: AtomicBool::new(true),
            sources: Mutex::default(),
        })
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
        self.bell.ring();
    }

    pub(crate) fn wait(&self, timeout: Option<Duration>, _wakers: &mut Vec<Waker>) {
        self.bell.hear(timeout.is_none());
    }

    pub(crate) fn clear(&self) {
        let sources = std::mem::take(&mut *self.sources.lock());
        for waker in sources.iter().flat_map(|source| source.orphan()) {
            waker.wake();
        }
    }

    /// What a registration leaves behind.
    pub(crate) fn watch(&self) -> Arc<Source> {
        let source = Arc::new(Source::waiting());
        self.sources.lock().push(source.clone());
        source
    }

    pub(crate) fn has_sockets(&self) -> bool {
        self.sockets.load(Ordering::SeqCst)
    }

    /// The first socket comes, or the last one goes.
    pub(crate) fn set_sockets(&self, any: bool) {
        self.sockets.store(any, Ordering::SeqCst);
    }
}
