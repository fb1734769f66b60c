//! Platforms whose threads cannot be looked at: every answer is "unknown". Nor do their
//! sockets move bytes without copying them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Activity;

/// A number that differs for every thread that asks.
pub(crate) fn thread_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static ID: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    ID.with(|id| *id)
}

/// An alarm that any thread may set and one waits for.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    at: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// Goes off after `delay`, whatever it was set to before.
    pub(crate) fn set(&self, delay: Duration) {
        *self.at.lock() = Some(Instant::now() + delay);
        self.changed.notify_one();
    }

    /// Does not go off, and has not, for whoever waits.
    pub(crate) fn clear(&self) {
        *self.at.lock() = None;
    }

    /// Waits until it goes off, or returns at once where it already has.
    pub(crate) fn wait(&self) {
        let mut at = self.at.lock();
        loop {
            match *at {
                Some(time) if time <= Instant::now() => break,
                Some(time) => {
                    let _ = self.changed.wait_until(&mut at, time);
                }
                None => self.changed.wait(&mut at),
            }
        }
        *at = None;
    }
}

/// CPU time a thread has used.
pub(crate) fn thread_cpu_time(_thread: u64) -> Option<Duration> {
    None
}

/// Looks at threads again and again.
#[derive(Default)]
pub(crate) struct Inspector;

impl Inspector {
    /// What a thread is doing now.
    pub(crate) fn inspect(&mut self, thread: u64) -> Option<Activity> {
        inspect(thread)
    }

    pub(crate) fn rest(&mut self) {}
}

/// What a thread is doing now.
pub(crate) fn inspect(_thread: u64) -> Option<Activity> {
    None
}

/// Whether a tracer or a debugger has hold of this process; nobody can tell.
pub(crate) fn is_traced() -> bool {
    false
}

/// There is none.
#[derive(Debug)]
pub(crate) enum Pipe {}

impl Pipe {
    pub(crate) fn open(_size: usize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn fill<Io>(&self, _from: &Io, _limit: usize) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn pour<Io>(&self, _into: &Io, _len: usize) -> io::Result<usize> {
        match *self {}
    }
}
