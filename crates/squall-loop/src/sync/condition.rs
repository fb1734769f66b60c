//! Notifications to those who wait for them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::line::Line;
use parking_lot::Mutex;

/// Tasks wait here until another one tells them that something has changed.
///
/// A notification that finds nobody in line is nothing. So look at what you wait
/// for when you are already in line, or a notification from another lane may slip
/// in between:
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use squall_loop::{IoLoop, sync::Condition};
///
/// let io_loop = IoLoop::builder().lanes(2).build()?;
/// let shared = Arc::new((Mutex::new(Vec::new()), Condition::new()));
///
/// let consumer = shared.clone();
/// let taken = io_loop.spawn(async move {
///     let (basket, condition) = &*consumer;
///     loop {
///         let notified = condition.wait(); // in line
///         if let Some(apple) = basket.lock().unwrap().pop() {
///             return apple; // out of line
///         }
///         notified.await;
///     }
/// });
///
/// shared.0.lock().unwrap().push("apple");
/// shared.1.notify(1);
/// assert_eq!(io_loop.run(taken)??, "apple");
/// io_loop.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Condition {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    line: Line,
    /// Places before this one were all notified, once, by `notify_all`.
    all_before: u64,
}

impl Condition {
    /// A condition nobody waits for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A place in line, from this call on; awaiting it waits for a notification.
    ///
    /// Tornado's `wait(timeout)` tells by a `bool` whether it was notified:
    /// [`with_timeout`](crate::with_timeout)`(limit, condition.wait()).await.is_ok()`.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line; a [`notify`](Self::notify) that had reached it
    /// goes to the next.
    pub fn wait(&self) -> Wait<'_> {
        Wait {
            place: Some(self.state.lock().line.join(None)),
            condition: self,
        }
    }

    /// Lets the first `n` in line go on; all, if there are fewer.
    pub fn notify(&self, n: usize) {
        let mut state = self.state.lock();
        let served = serve(&mut state.line, n);
        drop(state);
        served.into_iter().for_each(Waker::wake);
    }

    /// Lets all who are in line go on.
    pub fn notify_all(&self) {
        let mut state = self.state.lock();
        state.all_before = state.line.end();
        let served = serve(&mut state.line, usize::MAX);
        drop(state);
        served.into_iter().for_each(Waker::wake);
    }
}

fn serve(line: &mut Line, n: usize) -> Vec<Waker> {
    (0..n.min(line.len()))
        .filter_map(|_| line.serve()?)
        .collect()
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("waiting", &self.state.lock().line.len())
            .finish()
    }
}

/// A place in the line of a [`Condition`]: the future of [`Condition::wait`].
#[must_use = "waits for nothing unless it is awaited, and passes on what it is told"]
#[derive(Debug)]
pub struct Wait<'a> {
    condition: &'a Condition,
    /// None: notified, and told so.
    place: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(place) = self.place else {
            return Poll::Ready(());
        };
        let mut state = self.condition.state.lock();
        let waits = state.line.wait(place, cx.waker());
        drop(state);
        if waits.is_some() {
            return Poll::Pending;
        }
        self.place = None;
        Poll::Ready(())
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut state = self.condition.state.lock();
        let left = state.line.leave(place);
        // Those who were in line at a `notify_all` have theirs.
        let passes_on = left.is_none() && place >= state.all_before;
        drop(state);
        if passes_on {
            self.condition.notify(1);
        }
    }
}
