//! A loop whose time stands still until the test turns it.

use std::time::Duration;

use squall_loop::{Builder, IoLoop, JoinHandle, TestClock};

/// A loop of one lane that is never handed over: what was sent first runs first, however
/// busy the machine is.
pub fn in_order() -> Builder {
    IoLoop::builder().lanes(1).monitor(false)
}

/// A loop of one lane that is never handed over, and its clock.
///
/// # Panics
/// When the system gives no loop.
pub fn turned() -> (IoLoop, TestClock) {
    let clock = TestClock::new();
    let io_loop = in_order().clock(&clock).build();
    (io_loop.expect("a loop"), clock)
}

/// What a task of the loop gives in the end.
///
/// # Panics
/// When the task panicked or was cancelled.
pub fn finished<T: Send + 'static>(io_loop: &IoLoop, task: JoinHandle<T>) -> T {
    io_loop.run(task).expect("ran").expect("no panic")
}

/// What a task gives in the end, and the time it took, while the clock is turned on
/// by a second whenever the task waits.
///
/// # Panics
/// When the task panicked or was cancelled.
pub fn turned_until_finished<T: Send + 'static>(
    io_loop: &IoLoop,
    clock: &TestClock,
    task: JoinHandle<T>,
) -> (T, Duration) {
    let begun = io_loop.now();
    while !task.is_finished() {
        clock.advance(Duration::from_secs(1));
        io_loop.run(async {}).expect("the loop has seen the time");
    }
    (finished(io_loop, task), io_loop.now() - begun)
}
