//! The explicit word for a section that blocks.

use crate::carrier::{self, Context};
use crate::monitor;

/// Runs a function that blocks, in place, after handing this thread's lane over.
///
/// A section that is known to block need not wait for the monitor to find out: its
/// lane goes on at once on another thread, nothing is logged, and no route is learned.
/// The function runs on the calling thread, so it may borrow; whatever else the same
/// task does waits. It costs some thread switches; for work that need not run in
/// place there is [`run_on_executor`](crate::run_on_executor).
///
/// On threads that drive no lane (the executor's, or those outside of any loop) and
/// at the thread cap it only calls the function.
///
/// # Cancel safety
/// It does not await, so it cannot be cancelled: blocking code runs to its end.
///
/// ```
/// use squall_loop::{IoLoop, blocking};
///
/// let io_loop = IoLoop::builder().lanes(1).build()?;
/// let hosts = io_loop.run(async {
///     let path = String::from("/etc/hosts");
///     // Borrows `path`; nobody else on the lane waits for the disk.
///     blocking(|| std::fs::read_to_string(&path))
/// })?;
/// # let _ = hosts;
/// io_loop.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "block_in_place")]
pub fn blocking<R>(function: impl FnOnce() -> R) -> R {
    let driven = Context::with(|shared, lane| {
        let seen = lane.post.ownership.observe();
        (seen.in_poll() && carrier::is_driving(seen)).then(|| (shared.clone(), lane.clone(), seen))
    });
    if let Some(Some((shared, lane, seen))) = driven {
        monitor::step_aside(&shared, &lane, seen);
    }
    function()
}
