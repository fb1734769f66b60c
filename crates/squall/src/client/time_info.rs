//! `TimeInfo`: when each phase of a fetch ended.

use std::time::Instant;

use serde::Serialize;
use squall_http::client::Progress;
use squall_loop::time::now;

/// When each phase ended, in seconds since the fetch began.
///
/// curl's and Tornado's names and meaning: each figure includes those before it. A phase
/// that did not happen, as on a reused connection, ends when the one before it did. After
/// a redirect they are those of the last hop, still counted from the begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct TimeInfo {
    /// A place among the allowed connections was found, and the turn to make one had come where
    /// there was none to be used again.
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

/// The marks of a fetch, on the loop's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) begun: Instant,
    pub(super) info: TimeInfo,
}

impl Marks {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            begun: now,
            info: TimeInfo::default(),
        }
    }

    fn at(&self, moment: Instant) -> f64 {
        moment.saturating_duration_since(self.begun).as_secs_f64()
    }

    pub(super) fn queued(&mut self, now: Instant) {
        let now = self.at(now);
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

    /// Another request of the same fetch begins, now.
    pub(super) fn again(&mut self) -> Instant {
        let now = now();
        self.info.redirect = self.at(now);
        now
    }

    pub(super) fn resolved(&mut self) {
        let now = self.at(now());
        self.info.namelookup = now;
        self.connected_at(now);
    }

    pub(super) fn connected(&mut self) {
        let now = self.at(now());
        self.connected_at(now);
    }

    fn connected_at(&mut self, now: f64) {
        self.info.connect = now;
        self.info.appconnect = now;
        self.info.pretransfer = now;
    }

    pub(super) fn secured(&mut self) {
        let now = self.at(now());
        self.info.appconnect = now;
        self.info.pretransfer = now;
    }

    /// The head is there, or will never be.
    pub(super) fn finish(mut self, progress: &Progress, end: Instant) -> Self {
        self.info.starttransfer = progress.first_byte.map_or(0.0, |at| self.at(at));
        self.info.total = self.at(end);
        self
    }

    /// The body has been read just now.
    pub(super) fn extend(&mut self) {
        self.info.total = self.at(now());
    }
}
