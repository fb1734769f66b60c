//! What only the operating system knows about a thread.
//!
//! One of the workspace's islands of `unsafe`. Where a platform cannot tell, the
//! answer is `None`, and the loop works without it.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{inspect, thread_cpu_time, thread_id};

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{inspect, thread_cpu_time, thread_id};

/// What a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Running, or waiting for a core.
    Runnable,
    /// Waiting in the kernel, in the named system call where it is known.
    Waiting(Option<&'static str>),
}
