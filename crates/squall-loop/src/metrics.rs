//! The loop's own figures, read when somebody asks.

use std::time::Duration;

use crate::blame::Blamed;
use crate::sys::{self, Activity};
use crate::watch::Blocked;

/// Threads that are looked at anew for one snapshot, because each look reads `/proc`
/// twice; the others are told as they were when they were caught.
pub(crate) const LOOKED_AT: usize = 64;

/// A snapshot of a loop.
#[derive(Debug, Clone)]
pub struct Stats {
    /// One entry per lane.
    pub lanes: Vec<LaneStats>,
    /// What the threads do.
    pub threads: ThreadStats,
    /// The polls and the executor's watched work that block at this moment.
    pub blocked_now: Vec<BlockedNow>,
    /// Where tasks blocked, oldest first: one entry per label and kind, at most
    /// 1,024. Empty unless `blame` of the [`Builder`](crate::Builder) is on.
    pub blamed: Vec<Blamed>,
    /// Since the loop was built.
    pub uptime: Duration,
}

impl Stats {
    /// Hand-offs of all lanes.
    pub fn handoffs(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.handoffs).sum()
    }

    /// Bytes of all lanes that went on without being copied.
    pub fn spliced(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.spliced).sum()
    }
}

/// One lane.
#[derive(Debug, Clone)]
pub struct LaneStats {
    /// The lane's number, from 0.
    pub id: usize,
    /// Accepted connections that live on it.
    pub connections: usize,
    /// Polls so far.
    pub polls: u64,
    /// How often it changed hands.
    pub handoffs: u64,
    /// How long it stood still before a hand-off, in all.
    pub stuck: Duration,
    /// Tasks that wait to be polled.
    pub queued: usize,
    /// Bytes that its sockets have received for others to send on without copying them, see
    /// [`Piped`](crate::net::Piped).
    pub spliced: u64,
}

/// What the loop's threads do.
#[derive(Debug, Clone, Copy)]
pub struct ThreadStats {
    /// Threads that drive a lane or are stuck in a poll they drove.
    pub carriers: usize,
    /// Parked threads, ready for anything.
    pub spares: usize,
    /// Threads that run the executor's work.
    pub executor: usize,
    /// The most threads there may be.
    pub cap: usize,
}

/// Something that blocks a thread now.
#[derive(Debug, Clone)]
pub struct BlockedNow {
    /// The task's own name.
    pub label: String,
    /// For how long.
    pub lasts: Duration,
    /// The system call its thread sits in, where the platform tells.
    pub syscall: Option<&'static str>,
    /// True when the thread burns CPU.
    pub on_cpu: bool,
}

impl BlockedNow {
    /// A poll as it was when it was caught.
    pub(crate) fn caught(blocked: &Blocked, lasts: Duration) -> Self {
        Self {
            label: blocked.label.clone(),
            lasts,
            syscall: blocked.syscall,
            on_cpu: blocked.on_cpu,
        }
    }

    /// Work of which nothing but its name is known.
    pub(crate) fn unknown(label: String, lasts: Duration) -> Self {
        Self {
            label,
            lasts,
            syscall: None,
            on_cpu: false,
        }
    }

    /// Asks the system what the thread does now.
    pub(crate) fn look(mut self, thread: u64) -> Self {
        match sys::inspect(thread) {
            Some(Activity::Waiting(syscall)) => {
                self.syscall = syscall;
                self.on_cpu = false;
            }
            Some(Activity::Runnable) => {
                self.syscall = None;
                self.on_cpu = true;
            }
            None => {}
        }
        self
    }
}
