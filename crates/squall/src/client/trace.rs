//! `Trace`: how far a fetch has come, and what its failure tells of that.

use std::time::Instant;

use squall_http::client::{ExchangeError, Progress};
use squall_loop::time::now;

use super::error::{Cause, FetchError, Phase, RequestSent};
use super::response::Hop;
use super::time_info::Marks;

/// Where a fetch is, and how it got there.
pub(super) struct Trace {
    pub(super) phase: Phase,
    pub(super) marks: Marks,
    pub(super) progress: Progress,
    /// How much of the request was sent before, which led to a redirect, a challenge or a
    /// closed connection.
    pub(super) before: RequestSent,
    pub(super) history: Vec<Hop>,
    pub(super) repeats: u32,
}

impl Trace {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            phase: Phase::Request,
            marks: Marks::begin(now),
            progress: Progress::default(),
            before: RequestSent::No,
            history: Vec::new(),
            repeats: 0,
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Another request of the same fetch begins, now.
    pub(super) fn again(&mut self) -> Instant {
        self.before = self.before.max(sent_by(&self.progress));
        self.progress = Progress::default();
        self.marks.again()
    }

    pub(super) fn error(&self, cause: Cause, url: String) -> FetchError {
        let phase = match &cause {
            Cause::Exchange(ExchangeError::Target(_)) | Cause::Config(_) => Phase::Request,
            Cause::Exchange(
                ExchangeError::Write(_) | ExchangeError::Body(_) | ExchangeError::BodyLength { .. },
            ) => Phase::Write,
            Cause::Exchange(ExchangeError::TimedOut { .. }) | Cause::Timeout { .. }
                if self.phase == Phase::Write && self.progress.written =>
            {
                Phase::WaitHead
            }
            Cause::Exchange(ExchangeError::TimedOut { .. }) => Phase::Write,
            Cause::Exchange(_) => Phase::WaitHead,
            _ => self.phase,
        };
        let time_info = self.marks.finish(&self.progress, now()).info;
        let sent = self.progress.sent.max(self.before);
        FetchError::new(url, phase, sent, time_info, cause)
    }
}

/// What an attempt that is over says of the request as a whole: whether its next one is
/// answered, too, is open.
pub(super) fn sent_by(attempt: &Progress) -> RequestSent {
    attempt.sent.min(RequestSent::Maybe)
}

/// The error of a client whose settings cannot be used.
pub(super) fn refused(what: String) -> FetchError {
    Trace::begin(now()).error(Cause::Invalid(what), String::new())
}
