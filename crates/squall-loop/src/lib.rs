//! Squall's event loop: lanes that change hands when a task blocks.
//!
//! An async program is fast until one task blocks its loop. Here a **lane** (one
//! core's reactor, run queue and timers) is driven by a **carrier** thread; a
//! **monitor** watches, and when a carrier is stuck inside one poll, the lane is
//! handed to a spare thread that goes on with everything else. The stuck poll
//! finishes where it is and does no harm, because nothing exclusive is touched
//! during a poll: wakes, spawns, timers and registrations go through shared parts
//! with short locks.
//!
//! This crate knows no HTTP.
//!
//! ```
//! use std::time::Duration;
//! use squall_loop::IoLoop;
//!
//! let io_loop = IoLoop::builder().lanes(1).build()?;
//! let answer = io_loop.run(async {
//!     // Blocks its thread. Whatever else is on the lane goes on.
//!     std::thread::sleep(Duration::from_millis(5));
//!     squall_loop::sleep(Duration::from_millis(5)).await;
//!     42
//! })?;
//! assert_eq!(answer, 42);
//! io_loop.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomics;
mod blame;
mod blocking;
mod budget;
mod carrier;
mod config;
mod deadline;
mod doze;
mod executor;
mod gate;
mod handoff;
mod ioloop;
mod lane;
mod metrics;
#[cfg(all(test, loom))]
mod models;
mod monitor;
pub mod net;
mod periodic;
mod post;
#[cfg(unix)]
pub mod process;
mod queue;
pub mod queues;
#[cfg_attr(all(test, loom), path = "models/reactor.rs")]
mod reactor;
pub mod signal;
mod slot;
mod stuck;
mod suspect;
pub mod sync;
mod sys;
mod task;
mod threads;
pub mod time;
mod timer;
mod tokio_compat;
mod vigil;
mod watch;

pub use blame::{Blamed, Frame, Stack};
pub use blocking::blocking;
pub use budget::poll_turn;
pub use config::Builder;
pub use deadline::{DeadlineScope, coarse_remaining, deadline, remaining};
pub use executor::{Executor, run_on_executor};
pub use ioloop::{IoLoop, Timeout};
pub use metrics::{BlockedNow, LaneStats, Stats, ThreadStats};
pub use periodic::PeriodicCallback;
#[doc(hidden)]
pub use task::say;
pub use task::{JoinError, JoinHandle, yield_now};
pub use threads::Pressure;
pub use time::{Sleep, TestClock, TimeoutError, sleep, sleep_until, with_timeout};
pub use watch::{Blocked, Watch};
