//! Everything that a connection's driver waits for, on its one timer.

use std::task::{Context, Poll};
use std::time::Duration;

use squall_loop::say;

use super::conn::Conn;
use super::patience::{Pace, Patience, Slow};
use crate::alarm::{Alarm, Deadline};

/// The driver's waits: one at a time.
#[derive(Default)]
pub(super) struct Waits {
    alarm: Alarm,
    deadline: Deadline,
    /// What the client has left for taking its answers, once it has kept one waiting.
    writing: Option<Box<Writing>>,
}

/// How long a client may keep its answer waiting: one that is sending may not read before it
/// is done, and what it sends has limits of its own.
struct Writing {
    patience: Patience,
    /// Bytes of the request's body that were taken when it was last asked.
    taken: u64,
    /// The same of all requests, as far as they were taken in such a wait.
    uploaded: u64,
}

impl Writing {
    fn new(pace: Pace) -> Self {
        Self {
            patience: Patience::new(pace),
            taken: 0,
            uploaded: 0,
        }
    }

    /// Bytes that the client has moved, in both directions.
    fn moved(&mut self, conn: &Conn) -> u64 {
        let read = conn.read();
        // Less is another request's.
        self.uploaded += read.taken().saturating_sub(self.taken);
        self.taken = read.taken();
        drop(read);
        self.uploaded + conn.sent()
    }
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
        let writing = (self.writing).get_or_insert_with(|| Box::new(Writing::new(pace)));
        let moved = writing.moved(conn);
        (writing.patience)
            .poll(&mut self.alarm, cx, moved, pace)
            .map(|slow| {
                let (what, setting) = match slow {
                    Slow::Silent => ("takes nothing of its answer", "write_timeout"),
                    Slow::Dripping => ("takes its answer too slowly", "min_write_rate"),
                };
                let peer = conn.peer;
                say(
                    || tracing::debug!(target: "squall::http", %peer, "closed: the client {what} (setting: {setting})"),
                );
            })
    }

    /// Everything has been written.
    pub(super) fn written(&mut self) {
        if let Some(writing) = &mut self.writing {
            writing.patience.rest();
        }
    }
}
