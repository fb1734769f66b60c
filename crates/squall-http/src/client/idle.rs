//! The limit on silence: begins with each wait, and again with every byte.
//!
//! Hardly any wait lasts that long, so timers go from one exchange to the next on a
//! thread, armed as they are; see [`Alarm`].

use std::cell::RefCell;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::alarm::{Alarm, Deadline};

/// How many timers a thread keeps.
const KEPT: usize = 64;

thread_local! {
    static SPARES: RefCell<Vec<Alarm>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub(super) struct Idle {
    limit: Option<Duration>,
    /// What rules it.
    setting: &'static str,
    deadline: Deadline,
    alarm: Option<Alarm>,
}

impl Idle {
    pub(super) fn new(limit: Option<Duration>, setting: &'static str) -> Self {
        Self {
            limit,
            setting,
            deadline: Deadline::default(),
            alarm: None,
        }
    }

    /// Another limit instead of this one; its wait begins.
    pub(super) fn set(&mut self, limit: Option<Duration>, setting: &'static str) {
        (self.limit, self.setting) = (limit, setting);
        self.reset();
    }

    /// Something moved, or the wait is not the peer's fault.
    pub(super) fn reset(&mut self) {
        self.deadline.forget();
    }

    /// Ready with the limit and its setting once nothing has moved for so long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Duration, &'static str)> {
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(take);
        (self.deadline.poll(alarm, cx, limit)).map(|()| (limit, self.setting))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            give(alarm);
        }
    }
}

fn take() -> Alarm {
    let spare = SPARES.with_borrow_mut(|spares| {
        // Who waits is on a thread of a loop: only those keep any.
        spares.reserve_exact(KEPT - spares.len());
        spares.pop()
    });
    spare.unwrap_or_else(Alarm::roaming)
}

fn give(alarm: Alarm) {
    // On a thread that ends there is nothing to keep it for.
    let _ = SPARES.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        if spares.len() < spares.capacity() {
            spares.push(alarm);
        }
    });
}
