//! What Squall says in the log, under which `tracing` target.
//!
//! | target | what |
//! |---|---|
//! | `squall::access` | one line per answer: INFO below 400, WARN for 4xx, ERROR for 5xx. 499: the client left before |
//! | `squall::web` | errors behind a 5xx, panics, learned routes, start and stop |
//! | `squall::forward` | upstreams that fail, that are left alone, and that work again |
//! | `squall::loop` | blocked lanes, panics in tasks |
//! | `squall::trace` | a span per request, with the middleware [`Traces`](crate::middleware::Traces) |
//!
//! The library only emits events; which of them are kept, and where, is the program's
//! choice. While nobody listens to `squall::access`, a line costs next to nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use squall_http::Peer;
use squall_http::server::{Refused, Request};
use squall_http::wire::RequestHead;
use squall_loop::say;
use tracing::Level;

use crate::Settings;

/// Paths up to this length need no allocation of their own.
const INLINE: usize = 62;

/// A line of the access log, begun when the request came.
pub(crate) struct AccessLine {
    begun: Instant,
    method: Method,
    path: Kept,
    remote: Peer,
    /// The request's id, if a middleware gave it one.
    id: OnceLock<Box<str>>,
    /// Each request has one line, whoever answers it.
    written: AtomicBool,
}

enum Kept {
    Inline(u8, [u8; INLINE]),
    Heap(Box<str>),
}

impl AccessLine {
    /// `None` while nobody listens.
    #[inline]
    pub(crate) fn begin(settings: &Settings, request: &Request) -> Option<Arc<Self>> {
        if !tracing::enabled!(target: "squall::access", Level::ERROR) {
            return None;
        }
        let peer = request.exchange().remote_addr();
        Some(Arc::new(Self {
            begun: Instant::now(),
            method: request.method().clone(),
            path: Kept::new(request.path()),
            remote: settings.told(request.headers(), peer).client,
            id: OnceLock::new(),
            written: AtomicBool::new(false),
        }))
    }

    /// The line of what never became a request.
    pub(crate) fn refused(settings: &Settings, refused: &Refused<'_>) {
        if !tracing::enabled!(target: "squall::access", Level::ERROR) {
            return;
        }
        let client = |head: &RequestHead| settings.told(&head.headers, refused.remote_addr).client;
        let unread = || Method::from_bytes(b"-").unwrap_or_default();
        let line = Self {
            begun: Instant::now(),
            method: refused.head.map_or_else(unread, |head| head.method.clone()),
            path: Kept::new(refused.head.map_or("-", |head| head.path())),
            remote: (refused.head).map_or(refused.remote_addr, client),
            id: OnceLock::new(),
            written: AtomicBool::new(false),
        };
        line.log(refused.status);
    }

    /// Adds the request's id.
    pub(crate) fn name(&self, id: &str) {
        // The first name stays.
        let _ = self.id.set(id.into());
    }

    #[inline]
    pub(crate) fn log(&self, status: StatusCode) {
        if self.written.swap(true, Ordering::Relaxed) {
            return;
        }
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "squall::access",
                    $level,
                    method = %self.method,
                    path = self.path.as_str(),
                    status = status.as_u16(),
                    ms = millis(self.begun.elapsed()),
                    remote = %self.remote,
                    id = self.id.get().map(|id| &**id),
                )
            };
        }
        say(|| match status.as_u16() {
            ..400 => line!(Level::INFO),
            400..500 => line!(Level::WARN),
            500.. => line!(Level::ERROR),
        });
    }
}

/// Milliseconds with three decimals: nobody reads a clock's whole precision.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl Kept {
    fn new(path: &str) -> Self {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..path.len()) {
            Some(room) => {
                room.copy_from_slice(path.as_bytes());
                Self::Inline(u8::try_from(path.len()).unwrap_or(0), bytes)
            }
            None => Self::Heap(path.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Inline(len, bytes) => {
                let kept = bytes.get(..usize::from(*len)).unwrap_or_default();
                std::str::from_utf8(kept).unwrap_or_default()
            }
            Self::Heap(path) => path,
        }
    }
}
