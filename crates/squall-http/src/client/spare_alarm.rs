//! `SpareAlarm`: timers that go from one fetch to the next.
//!
//! Hardly any wait lasts as long as it may. So the timers that bound them stay on their
//! thread, armed as they are; see [`Alarm`].

use std::cell::RefCell;
use std::task::{Context, Poll};

use squall_loop::time::coarse_nanos;

use crate::alarm::Alarm;
use crate::memory::KEPT;

thread_local! {
    static SPARES: RefCell<Vec<Alarm>> = const { RefCell::new(Vec::new()) };
}

/// A timer that is taken from those of its thread and goes back there when it is dropped.
#[derive(Debug)]
pub struct SpareAlarm(Alarm);

impl SpareAlarm {
    /// Ready at `due`, on the loop's clock
    /// ([`coarse_nanos`](squall_loop::time::coarse_nanos)).
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn poll(&mut self, cx: &mut Context<'_>, due: u64) -> Poll<()> {
        self.0.poll(cx, coarse_nanos(), due)
    }
}

impl Default for SpareAlarm {
    fn default() -> Self {
        let spare = SPARES.with_borrow_mut(|spares| {
            // Who waits is on a thread of a loop: only those keep any.
            spares.reserve_exact(KEPT - spares.len());
            spares.pop()
        });
        Self(spare.unwrap_or_else(Alarm::roaming))
    }
}

impl Drop for SpareAlarm {
    fn drop(&mut self) {
        let alarm = std::mem::take(&mut self.0);
        // On a thread that ends there is nothing to keep it for.
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < spares.capacity() {
                spares.push(alarm);
            }
        });
    }
}
