//! What only the operating system knows about a thread.
//!
//! One of the workspace's islands of `unsafe`. Where a platform cannot tell, the
//! answer is `None`, and the loop works without it.

#[cfg(target_os = "linux")]
#[cfg_attr(all(test, loom), allow(dead_code))] // The models have their own thread ids.
mod linux;
#[cfg(all(test, loom))]
pub(crate) use crate::models::thread_id;
#[cfg(all(target_os = "linux", not(all(test, loom))))]
pub(crate) use linux::thread_id;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Inspector, inspect, is_traced, thread_cpu_time};

#[cfg(all(target_os = "linux", not(all(test, loom))))]
mod alarm;
#[cfg(all(test, loom))]
pub(crate) use crate::models::Alarm;
#[cfg(all(target_os = "linux", not(all(test, loom))))]
pub(crate) use alarm::Alarm;

#[cfg(target_os = "linux")]
mod pidfd;
#[cfg(target_os = "linux")]
pub(crate) use pidfd::PidFd;

#[cfg(target_os = "linux")]
mod pipe;
#[cfg(target_os = "linux")]
pub(crate) use pipe::Pipe;

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Alarm, Inspector, Pipe, inspect, is_traced, thread_cpu_time, thread_id};

#[cfg(unix)]
mod descriptors;
#[cfg(unix)]
pub(crate) use descriptors::raise_descriptors;

mod stack;
pub(crate) use stack::{Symbol, capture, symbols};

/// What a thread is doing.
#[cfg_attr(not(target_os = "linux"), expect(dead_code))] // nobody can tell there
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Running, or waiting for a core.
    Runnable,
    /// Waiting in the kernel, in the named system call where it is known.
    Waiting(Option<&'static str>),
}
