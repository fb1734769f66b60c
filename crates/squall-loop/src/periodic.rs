//! A callback that is called again and again.

use std::future::Future;
use std::time::Duration;

use crate::ioloop::IoLoop;
use crate::task::JoinHandle;
use crate::time::sleep_until;

/// Calls an async function every `period` until it is dropped or stopped.
///
/// The next call begins a period after the last one began; calls that a slow one
/// ran into are left out, so they never pile up.
#[derive(Debug)]
#[must_use = "dropping a PeriodicCallback stops it"]
pub struct PeriodicCallback {
    task: Option<JoinHandle<()>>,
}

impl PeriodicCallback {
    /// Begins on the current loop; the first call comes after one period.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn start<F, Fut>(period: Duration, mut callback: F) -> Self
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let period = period.max(Duration::from_millis(1));
        let io_loop = IoLoop::current();
        let clock = io_loop.clone();
        let mut next = clock.now() + period;
        let task = io_loop.spawn(async move {
            loop {
                sleep_until(next).await;
                callback().await;
                let now = clock.now();
                while next <= now {
                    next += period;
                }
            }
        });
        Self { task: Some(task) }
    }

    /// Stops calling.
    pub fn stop(self) {}
}

impl Drop for PeriodicCallback {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.cancel();
        }
    }
}
