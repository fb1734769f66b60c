//! Permits: so many at a time.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore as Permits;

/// A number of permits. Whoever finds none waits in line for the next.
///
/// [`release`](Self::release) adds a permit whether or not one was acquired, as
/// Tornado's does; [`BoundedSemaphore`] has a limit.
///
/// ```
/// use squall_loop::sync::Semaphore;
/// # let io_loop = squall_loop::IoLoop::builder().lanes(1).build().unwrap();
/// # io_loop.run(async {
///
/// let downloads = Semaphore::new(2);
/// let one = downloads.acquire().await;
/// let two = downloads.acquire().await;
/// assert_eq!(downloads.available(), 0);
/// drop(one);
/// assert_eq!(downloads.available(), 1);
/// # drop(two);
/// # }).unwrap();
/// # io_loop.stop();
/// ```
#[derive(Debug)]
pub struct Semaphore {
    permits: Permits,
}

impl Semaphore {
    /// A semaphore with `permits` permits.
    ///
    /// # Panics
    /// From 2<sup>61</sup> permits on (2<sup>29</sup> where a word has 32 bits).
    pub fn new(permits: usize) -> Self {
        Self {
            permits: Permits::new(permits),
        }
    }

    /// Waits for a permit, in line. The permit goes back when it is dropped.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line; a permit that had been handed to it goes to the
    /// next.
    #[must_use = "the permit goes back when it is dropped"]
    pub async fn acquire(&self) -> Permit<'_> {
        take(&self.permits).await;
        Permit { semaphore: self }
    }

    /// Adds a permit: the counterpart of [`Permit::forget`].
    ///
    /// # Panics
    /// Where [`new`](Self::new) would, with that many permits.
    pub fn release(&self) {
        self.permits.add_permits(1);
    }

    /// How many permits are free at this moment. One that was handed to somebody in
    /// line is not.
    pub fn available(&self) -> usize {
        self.permits.available_permits()
    }
}

async fn take(permits: &Permits) {
    let permit = permits.acquire().await;
    permit.expect("it is never closed").forget();
}

/// A permit of a [`Semaphore`]. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "the permit goes back when it is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Permit<'_> {
    /// Keeps the permit taken; somebody calls [`Semaphore::release`] later.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release();
    }
}

/// A [`Semaphore`] that never has more permits than it began with.
///
/// ```
/// use squall_loop::sync::BoundedSemaphore;
/// # let io_loop = squall_loop::IoLoop::builder().lanes(1).build().unwrap();
/// # io_loop.run(async {
///
/// let seats = BoundedSemaphore::new(1);
/// seats.acquire().await.forget();
/// seats.release()?;
/// let error = seats.release().unwrap_err();
/// assert_eq!(error.to_string(), "released more often than acquired: the bound is 1");
/// # Ok::<(), squall_loop::sync::OverRelease>(())
/// # }).unwrap().unwrap();
/// # io_loop.stop();
/// ```
pub struct BoundedSemaphore {
    permits: Permits,
    bound: usize,
    taken: AtomicUsize,
}

impl BoundedSemaphore {
    /// A semaphore with `bound` permits, and never more.
    ///
    /// # Panics
    /// As [`Semaphore::new`].
    pub fn new(bound: usize) -> Self {
        Self {
            permits: Permits::new(bound),
            bound,
            taken: AtomicUsize::new(0),
        }
    }

    /// Waits for a permit, in line. The permit goes back when it is dropped.
    ///
    /// # Cancel safety
    /// As [`Semaphore::acquire`].
    #[must_use = "the permit goes back when it is dropped"]
    pub async fn acquire(&self) -> BoundedPermit<'_> {
        take(&self.permits).await;
        self.taken.fetch_add(1, Ordering::SeqCst);
        BoundedPermit { semaphore: self }
    }

    /// Gives a permit back: the counterpart of [`BoundedPermit::forget`].
    ///
    /// # Errors
    /// [`OverRelease`] when no permit is taken; nothing is changed then.
    pub fn release(&self) -> Result<(), OverRelease> {
        let one_less = |taken: usize| taken.checked_sub(1);
        (self.taken)
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .map_err(|_| OverRelease { bound: self.bound })?;
        self.permits.add_permits(1);
        Ok(())
    }

    /// How many permits are free at this moment. One that was handed to somebody in
    /// line is not.
    pub fn available(&self) -> usize {
        self.permits.available_permits()
    }

    /// The most permits there are.
    pub fn bound(&self) -> usize {
        self.bound
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphore")
            .field("available", &self.available())
            .field("bound", &self.bound)
            .finish()
    }
}

/// A permit of a [`BoundedSemaphore`]. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "the permit goes back when it is dropped"]
pub struct BoundedPermit<'a> {
    semaphore: &'a BoundedSemaphore,
}

impl BoundedPermit<'_> {
    /// Keeps the permit taken; somebody calls [`BoundedSemaphore::release`] later.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for BoundedPermit<'_> {
    fn drop(&mut self) {
        // An error here means that somebody else has released this permit.
        let _ = self.semaphore.release();
    }
}

/// A [`BoundedSemaphore`] was released more often than acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverRelease {
    /// The most permits it has.
    pub bound: usize,
}

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "released more often than acquired: the bound is {}",
            self.bound
        )
    }
}

impl std::error::Error for OverRelease {}
