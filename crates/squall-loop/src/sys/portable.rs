//! Platforms whose threads cannot be looked at: every answer is "unknown".

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Activity;

/// A number that differs for every thread that asks.
pub(crate) fn thread_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static ID: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    ID.with(|id| *id)
}

/// CPU time a thread has used.
pub(crate) fn thread_cpu_time(_thread: u64) -> Option<Duration> {
    None
}

/// What a thread is doing now.
pub(crate) fn inspect(_thread: u64) -> Option<Activity> {
    None
}
