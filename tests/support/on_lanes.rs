//! A loop for one future.

use std::future::pending;
use std::sync::mpsc;

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

/// As [`on_one_lane`], and waits until the loop hears of its sockets no more, which is a
/// moment after its stop.
///
/// # Panics
/// When the future does.
#[track_caller]
pub fn on_one_lane_until_it_is_gone<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (held, gone) = mpsc::channel::<()>();
    let output = on_one_lane(async move {
        drop(IoLoop::current().spawn(async move {
            pending::<()>().await;
            drop(held);
        }));
        future.await
    });
    // A loop that ends lets go of its sockets first, and then of its tasks.
    gone.recv().expect_err("nothing is sent");
    output
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
