//! Mutual exclusion that waits without blocking.

use std::fmt;
use std::ops::{Deref, DerefMut};

use tokio::sync::{Mutex, MutexGuard};

/// Lets one task at a time into a section, which may `.await`.
///
/// The guard releases the lock when it is dropped, be it by a panic or because the
/// task was cancelled; what it protects is then as the task left it. A lock without
/// data, as Tornado's, is a `Lock<()>`: `Lock::new(())`.
///
/// A task that acquires a lock it already holds waits for ever.
///
/// ```
/// use squall_loop::sync::Lock;
/// # let io_loop = squall_loop::IoLoop::builder().lanes(1).build().unwrap();
/// # io_loop.run(async {
///
/// let balance = Lock::new(100);
/// {
///     let mut balance = balance.acquire().await;
///     // Nobody else sees the balance while this section awaits.
///     squall_loop::sleep(std::time::Duration::from_millis(1)).await;
///     *balance -= 30;
/// }
/// assert_eq!(balance.into_inner(), 70);
/// # }).unwrap();
/// # io_loop.stop();
/// ```
#[derive(Default)]
pub struct Lock<T = ()> {
    inner: Mutex<T>,
}

impl<T> Lock<T> {
    /// A free lock over `data`.
    pub fn new(data: T) -> Self {
        Self {
            inner: Mutex::new(data),
        }
    }

    /// Waits for the lock, in line.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line; a lock that had been handed to it goes to the
    /// next.
    #[must_use = "the lock is released when its guard is dropped"]
    pub async fn acquire(&self) -> LockGuard<'_, T> {
        LockGuard {
            inner: self.inner.lock().await,
        }
    }

    /// The data, when nobody else has the lock any more.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Lock");
        match self.inner.try_lock() {
            Ok(data) => shown.field("data", &*data),
            Err(_) => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}

/// A held [`Lock`], and the way to its data. Dropping it releases the lock.
#[derive(Debug)]
#[must_use = "the lock is released when its guard is dropped"]
pub struct LockGuard<'a, T> {
    inner: MutexGuard<'a, T>,
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}
