//! A lane's reactor: which sockets are ready, and how a sleeping carrier wakes.
//!
//! One `mio` poll per lane, edge-triggered, each socket registered once for both
//! directions. Registering and waking work from any thread; only the carrier that
//! drives the lane waits. A stuck carrier is never in the wait, so the reactor
//! changes hands with its lane.

mod source;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use mio::event::Source as Socket;
use mio::{Events, Interest, Poll, Registry, Token};
use parking_lot::{Mutex, MutexGuard};
use slab::Slab;

pub(crate) use source::{Direction, Source};

use crate::task::say;

/// The token of the reactor's own waker; sockets begin at 1.
const WAKER: Token = Token(0);
/// Events taken from the kernel in one wait.
const BATCH: usize = 256;

#[derive(Debug)]
pub(crate) struct Reactor {
    poll: Mutex<(Poll, Events)>,
    registry: Registry,
    waker: mio::Waker,
    sources: Mutex<Slab<Arc<Source>>>,
    sockets: AtomicUsize,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKER)?;
        Ok(Self {
            poll: Mutex::new((poll, Events::with_capacity(BATCH))),
            registry,
            waker,
            sources: Mutex::default(),
            sockets: AtomicUsize::new(0),
        })
    }

    /// Watches a socket. Returns its readiness and the key to forget it by.
    pub(crate) fn register(
        &self,
        socket: &mut impl Socket,
        source: Source,
    ) -> io::Result<(Arc<Source>, usize)> {
        let source = Arc::new(source);
        let key = self.sources().insert(source.clone());
        self.sockets.fetch_add(1, Ordering::SeqCst);
        let both = Interest::READABLE | Interest::WRITABLE;
        match self.registry.register(socket, Token(key + 1), both) {
            Ok(()) => Ok((source, key)),
            Err(error) => {
                self.forget(key);
                Err(error)
            }
        }
    }

    /// Forgets a socket.
    pub(crate) fn deregister(&self, socket: &mut impl Socket, key: usize) {
        // Fails only for a socket that is gone already.
        let _ = self.registry.deregister(socket);
        self.forget(key);
    }

    fn forget(&self, key: usize) {
        self.sources().remove(key);
        self.sockets.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether there is anything to wait for but a wake.
    #[inline]
    pub(crate) fn has_sockets(&self) -> bool {
        self.sockets.load(Ordering::SeqCst) != 0
    }

    /// Ends the wait of whoever waits, now or next.
    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            say(|| tracing::error!(target: "squall::loop", %error, "cannot wake a lane"));
        }
    }

    /// Waits for events, at most `timeout`; who is to be woken goes to `wakers`.
    ///
    /// An event for a key that was reused meanwhile wakes the new owner for
    /// nothing, which is harmless.
    pub(crate) fn wait(&self, timeout: Option<Duration>, wakers: &mut Vec<Waker>) {
        let mut guard = self.poll.lock();
        let (poll, events) = &mut *guard;
        if let Err(error) = poll.poll(events, timeout) {
            if error.kind() != io::ErrorKind::Interrupted {
                say(|| {
                    tracing::error!(target: "squall::loop", %error, "waiting for events failed");
                });
            }
            return;
        }
        if events.is_empty() {
            return;
        }
        let sources = self.sources();
        for event in events.iter() {
            let Some(key) = event.token().0.checked_sub(1) else {
                continue;
            };
            if let Some(source) = sources.get(key) {
                source.on_event(event, wakers);
            }
        }
    }

    /// Tells whoever waits for something that it will not come, for a loop that stops.
    pub(crate) fn clear(&self) {
        let wakers: Vec<Waker> = (self.sources().iter())
            .flat_map(|(_, source)| source.orphan())
            .collect();
        for waker in wakers {
            waker.wake();
        }
    }

    fn sources(&self) -> MutexGuard<'_, Slab<Arc<Source>>> {
        self.sources.lock()
    }
}
