//! Waiting for what comes about in another thread, and an end of that.

use std::time::{Duration, Instant};

/// Longer than anything takes that goes well, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until it is so.
///
/// # Panics
/// When it is not within [`PATIENCE`].
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}
