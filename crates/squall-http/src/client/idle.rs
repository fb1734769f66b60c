//! The limit on silence: begins with each wait, and again with every byte.

use std::task::{Context, Poll};
use std::time::Duration;

use super::spare_alarm::SpareAlarm;
use crate::alarm::Deadline;

#[derive(Debug)]
pub(super) struct Idle {
    limit: Option<Duration>,
    /// What rules it.
    setting: &'static str,
    deadline: Deadline,
    alarm: Option<SpareAlarm>,
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
        let SpareAlarm(alarm) = self.alarm.get_or_insert_default();
        (self.deadline.poll(alarm, cx, limit)).map(|()| (limit, self.setting))
    }
}
