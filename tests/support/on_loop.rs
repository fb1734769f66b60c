//! A loop for one future.

use squall_loop::IoLoop;

/// Runs a future on a loop of two lanes, which ends with it.
pub fn on_loop<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let io_loop = IoLoop::builder().lanes(2).build().expect("a loop");
    let output = io_loop.run(future).expect("ran");
    io_loop.stop();
    output
}
