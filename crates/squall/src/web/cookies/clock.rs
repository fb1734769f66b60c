//! The time of day, by which cookies and sessions age.

use std::time::{Instant, SystemTime};

use squall_loop::IoLoop;

/// The system's time, shifted by as much as a test has turned the loop's clock.
pub(crate) fn now() -> SystemTime {
    let (wall, steady) = (SystemTime::now(), Instant::now());
    let turned = IoLoop::try_current().map_or(steady, |io_loop| io_loop.now());
    wall + turned.saturating_duration_since(steady) - steady.saturating_duration_since(turned)
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    (time.duration_since(SystemTime::UNIX_EPOCH)).map_or(0, |since| since.as_secs())
}
