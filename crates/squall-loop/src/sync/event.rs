//! A flag that tasks wait for.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// A flag that is set once for everybody: all who wait go on.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use squall_loop::{IoLoop, sync::Event, with_timeout};
///
/// let io_loop = IoLoop::builder().lanes(1).build()?;
/// io_loop.run(async {
///     let ready = Arc::new(Event::new());
///     assert!(with_timeout(Duration::ZERO, ready.wait()).await.is_err());
///
///     let setter = ready.clone();
///     IoLoop::current().add_callback(move || setter.set());
///     ready.wait().await;
///     assert!(ready.is_set());
/// })?;
/// io_loop.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Event {
    /// How often it was set or cleared: odd while it is set.
    turns: AtomicU64,
    waiting: Notify,
}

impl Event {
    /// An event that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the event. All who wait go on, even if it is cleared at once.
    pub fn set(&self) {
        if !is_set(self.turns.fetch_or(1, Ordering::SeqCst)) {
            self.waiting.notify_waiters();
        }
    }

    /// Takes it back: whoever waits from here on waits for the next
    /// [`set`](Self::set).
    pub fn clear(&self) {
        let turn = |turns: u64| is_set(turns).then_some(turns + 1);
        // An error: it is clear.
        let _ = (self.turns).fetch_update(Ordering::SeqCst, Ordering::SeqCst, turn);
    }

    /// Whether the event is set at this moment.
    pub fn is_set(&self) -> bool {
        is_set(self.turns.load(Ordering::SeqCst))
    }

    /// Waits until the event is set; at once if it is.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing for anybody.
    pub async fn wait(&self) {
        let begun = self.turns.load(Ordering::SeqCst);
        if is_set(begun) {
            return;
        }
        loop {
            // In line before the look: a `set` in between is not missed. And after a
            // notification one more look, for it may be that of a `set` before.
            let notified = self.waiting.notified();
            if self.turns.load(Ordering::SeqCst) != begun {
                return;
            }
            notified.await;
        }
    }
}

fn is_set(turns: u64) -> bool {
    turns % 2 == 1
}
