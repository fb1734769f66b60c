//! Everything that a connection's driver waits for, on its one timer.

use std::task::{Context, Poll};
use std::time::Duration;

use super::conn::Conn;
use super::patience::{Patience, Slow};
use crate::alarm::{Alarm, Deadline};

/// The driver's waits: one at a time.
#[derive(Default)]
pub(super) struct Waits {
    alarm: Alarm,
    deadline: Deadline,
    /// What the client has left for taking its answers, once it has kept one waiting.
    writing: Option<Box<Patience>>,
}

impl Waits {
    /// A wait is over; the next one begins a new limit.
    pub(super) fn forget(&mut self) {
        self.deadline.forget();
    }

    /// Ready when this wait has lasted `limit`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        self.deadline.poll(&mut self.alarm, cx, limit)
    }

    /// What is buffered cannot be written at present. Ready when the client has taken
    /// its answers too slowly.
    pub(super) fn poll_writing(&mut self, conn: &Conn, cx: &mut Context<'_>) -> Poll<()> {
        let pace = conn.server.settings.write_pace();
        let patience = (self.writing).get_or_insert_with(|| Box::new(Patience::new(pace)));
        patience
            .poll(&mut self.alarm, cx, conn.sent(), pace)
            .map(|slow| {
                let (what, setting) = match slow {
                    Slow::Silent => ("takes nothing of its answer", "write_timeout"),
                    Slow::Dripping => ("takes its answer too slowly", "min_write_rate"),
                };
                let peer = conn.peer;
                tracing::debug!(target: "squall::http", %peer, "closed: the client {what} (setting: {setting})");
            })
    }

    /// Everything has been written.
    pub(super) fn written(&mut self) {
        if let Some(patience) = &mut self.writing {
            patience.rest();
        }
    }
}
