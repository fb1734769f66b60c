//! The limit on silence: armed while nothing moves, disarmed by every byte.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use squall_loop::Sleep;

#[derive(Debug)]
pub(super) struct Idle {
    limit: Option<Duration>,
    /// What rules it.
    setting: &'static str,
    timer: Option<Sleep>,
}

impl Idle {
    pub(super) fn new(limit: Option<Duration>, setting: &'static str) -> Self {
        Self {
            limit,
            setting,
            timer: None,
        }
    }

    /// Something moved, or the wait is not the peer's fault.
    pub(super) fn reset(&mut self) {
        self.timer = None;
    }

    /// Ready with the limit and its setting once nothing has moved for so long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Duration, &'static str)> {
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| squall_loop::sleep(limit));
        Pin::new(timer).poll(cx).map(|()| (limit, self.setting))
    }
}
