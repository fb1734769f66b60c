//! The limit on silence: begins with each wait, and again with every byte.
//!
//! Hardly any wait lasts as long as it may. So the timer that bounds it stays armed when
//! the exchange is over, for the next one; see [`Alarm`].

use std::task::{Context, Poll};
use std::time::Duration;

use crate::alarm::{Alarm, Deadline};

#[derive(Debug)]
pub(super) struct Idle {
    limit: Option<Duration>,
    /// What rules it.
    setting: &'static str,
    deadline: Deadline,
    alarm: Alarm,
}

/// None.
impl Default for Idle {
    fn default() -> Self {
        Self {
            limit: None,
            setting: "",
            deadline: Deadline::default(),
            alarm: Alarm::roaming(),
        }
    }
}

impl Idle {
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
        (self.deadline.poll(&mut self.alarm, cx, limit)).map(|()| (limit, self.setting))
    }
}
