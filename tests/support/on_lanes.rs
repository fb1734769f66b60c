//! A loop for one future.

use squall_loop::IoLoop;

/// Runs a future on a loop of one lane, which ends with it: nothing else of the test runs
/// at the same time.
///
/// # Panics
/// When the future does.
#[track_caller]
pub fn on_one_lane<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    on_lanes(1, future)
}

/// Runs a future on a loop of two lanes, which ends with it.
///
/// # Panics
/// When the future does.
#[track_caller]
pub fn on_two_lanes<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    on_lanes(2, future)
}

#[track_caller]
fn on_lanes<F>(lanes: usize, future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let io_loop = IoLoop::builder().lanes(lanes).build().expect("a loop");
    let output = io_loop.run(future).expect("ran");
    io_loop.stop();
    output
}
