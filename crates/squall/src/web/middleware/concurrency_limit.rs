//! `ConcurrencyLimit`: so many handlers at a time, and a line of bounded length.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use squall_http::server::ResponseFuture;
use squall_loop::sync::Semaphore;
use squall_loop::with_timeout;

use super::{Middleware, Next, visit};
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// When a client may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Lets so many requests be answered at a time; others wait in line, and whoever finds the
/// line full, or waits too long, gets 503 with `Retry-After`.
///
/// A request counts until its handler has answered; a body that is streamed after that
/// does not.
///
/// ```
/// use std::time::Duration;
/// use squall::Application;
/// use squall::middleware::ConcurrencyLimit;
///
/// let application = Application::new().middleware(
///     ConcurrencyLimit::new(50).queue(200).wait(Duration::from_secs(2)),
/// );
/// ```
#[derive(Clone)]
pub struct ConcurrencyLimit {
    limit: usize,
    queue: usize,
    wait: Duration,
    line: Arc<Line>,
}

struct Line {
    permits: Semaphore,
    waiting: AtomicUsize,
}

impl ConcurrencyLimit {
    /// `limit` requests at a time, as many in line, for 5 s.
    pub fn new(limit: usize) -> Self {
        // The most a semaphore can have anywhere is 2^29.
        let permits = Semaphore::new(limit.min(1 << 28));
        Self {
            limit,
            queue: limit,
            wait: Duration::from_secs(5),
            line: Arc::new(Line {
                permits,
                waiting: AtomicUsize::new(0),
            }),
        }
    }

    /// The most requests that wait: default as many as are let in.
    #[must_use]
    pub fn queue(mut self, most: usize) -> Self {
        self.queue = most;
        self
    }

    /// How long a request waits: default 5 s.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }
}

/// A place in the line, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize, most: usize) -> Result<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        match before < most {
            true => Ok(place),
            false => Err(full("ConcurrencyLimit::queue")),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Middleware for ConcurrencyLimit {
    fn call(&self, request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let (line, queue, wait) = (self.line.clone(), self.queue, self.wait);
        Box::pin(visit.attend(async move {
            let place = match line.permits.available() {
                0 => Some(Waiting::begin(&line.waiting, queue)?),
                _ => None,
            };
            let permit = (with_timeout(wait, line.permits.acquire()).await)
                .map_err(|_| full("ConcurrencyLimit::wait"))?;
            drop(place);
            let response = next.run(request).await;
            drop(permit);
            Ok(response)
        }))
    }

    fn needs(&self, needs: &mut Needs) {
        if self.limit == 0 {
            needs.fault("ConcurrencyLimit: a limit of 0 answers nothing");
        }
    }
}

fn full(setting: &str) -> Error {
    Error::service_unavailable(format!(
        "too many requests are being answered (setting: {setting})"
    ))
    .retry_after(RETRY_AFTER)
}

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimit")
            .field("limit", &self.limit)
            .field("queue", &self.queue)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
