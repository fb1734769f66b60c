//! `TimeInfo`: when each phase of a fetch ended.

use std::time::Instant;

use serde::Serialize;
use squall_http::client::Progress;

/// When each phase ended, in seconds since the fetch began.
///
/// curl's and Tornado's names and meaning: each figure includes those before it. A phase
/// that did not happen, as on a reused connection, ends when the one before it did. After
/// a redirect they are those of the last hop, still counted from the begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct TimeInfo {
    /// A place among the allowed connections was found.
    pub queue: f64,
    /// The name was resolved.
    pub namelookup: f64,
    /// The connection was made.
    pub connect: f64,
    /// The TLS handshake was done.
    pub appconnect: f64,
    /// The request was about to be sent.
    pub pretransfer: f64,
    /// The first byte of the answer came.
    pub starttransfer: f64,
    /// The head was complete, or the body once it was read as a whole.
    pub total: f64,
    /// All redirects, challenges and repeats were behind, and the last request began.
    pub redirect: f64,
}

/// The marks from which a [`TimeInfo`] is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    begun: Instant,
    info: TimeInfo,
}

impl Marks {
    pub(super) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            info: TimeInfo::default(),
        }
    }

    fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    pub(super) fn queued(&mut self) {
        let now = self.now();
        self.info = TimeInfo {
            redirect: self.info.redirect,
            queue: now,
            namelookup: now,
            connect: now,
            appconnect: now,
            pretransfer: now,
            ..TimeInfo::default()
        };
    }

    /// Another request of the same fetch begins.
    pub(super) fn again(&mut self) {
        self.info.redirect = self.now();
    }

    pub(super) fn resolved(&mut self) {
        let now = self.now();
        self.info.namelookup = now;
        self.connected_at(now);
    }

    pub(super) fn connected(&mut self) {
        let now = self.now();
        self.connected_at(now);
    }

    fn connected_at(&mut self, now: f64) {
        self.info.connect = now;
        self.info.appconnect = now;
        self.info.pretransfer = now;
    }

    pub(super) fn secured(&mut self) {
        let now = self.now();
        self.info.appconnect = now;
        self.info.pretransfer = now;
    }

    pub(super) fn finish(&self, progress: &Progress) -> TimeInfo {
        let total = self.now();
        let first_byte =
            (progress.first_byte).map(|at| at.saturating_duration_since(self.begun).as_secs_f64());
        TimeInfo {
            starttransfer: first_byte.unwrap_or(0.0),
            total,
            ..self.info
        }
    }

    /// The figures of a fetch whose body has been read just now.
    pub(super) fn extend(&self, info: &mut TimeInfo) {
        info.total = self.now();
    }
}
