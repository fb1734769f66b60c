//! `EventSource`: server-sent events, with reconnection.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use squall_http::wire::event_stream::EventStreamParser;
use squall_loop::time::now;
use squall_loop::{say, sleep_until};

pub use squall_http::wire::event_stream::Event;

use super::async_http_client::AsyncHttpClient;
use super::error::{Cause, FetchError, Phase};
use super::request::HttpRequest;
use super::response::HttpResponse;

/// How long to wait before the stream is asked for again, unless the server says it.
const RETRY: Duration = Duration::from_secs(3);
/// No server and no row of failures makes us wait longer.
const MAX_RETRY: Duration = Duration::from_secs(600);
/// A pause that is going to be doubled counts as this long at least, whatever the server wants.
const LEAST_DOUBLED: Duration = Duration::from_millis(50);
/// How large an event may be, in bytes.
const MAX_EVENT: usize = 1 << 20;

/// The events of a server, one after the other.
///
/// When the connection ends or fails, the stream is asked for again after the time that
/// the server wants (3 s unless it says so), with `Last-Event-ID`. Each further attempt
/// that fails doubles the pause, from 100 ms up to ten minutes. Why it had to be asked for
/// again is in the log (`squall::client`, debug).
///
/// ```no_run
/// # async fn example() -> Result<(), squall::FetchError> {
/// use squall::client::{AsyncHttpClient, EventSource, HttpRequest};
///
/// let client = AsyncHttpClient::new();
/// let mut news = EventSource::new(&client, || HttpRequest::get("https://a.test/news"));
/// while let Some(event) = news.next().await? {
///     println!("{}: {}", event.event, event.data);
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventSource {
    client: AsyncHttpClient,
    make: Box<dyn Fn() -> HttpRequest + Send + Sync>,
    response: Option<HttpResponse>,
    parser: EventStreamParser,
    ready: VecDeque<Event>,
    retry: Duration,
    max_retries: Option<u32>,
    max_event_size: usize,
    /// Attempts in a row that have failed.
    failures: u32,
    /// When the stream is asked for again.
    due: Option<Instant>,
}

impl EventSource {
    /// Events of the answers to requests that a function makes, one per connection.
    ///
    /// Nothing is sent before [`next`](Self::next) is awaited. Its requests have no total
    /// timeout unless they say so; the idle timeout holds, so a server that is silent for
    /// longer has to send comments.
    pub fn new(
        client: &AsyncHttpClient,
        make: impl Fn() -> HttpRequest + Send + Sync + 'static,
    ) -> Self {
        Self {
            client: client.clone(),
            make: Box::new(make),
            response: None,
            parser: EventStreamParser::new(MAX_EVENT, ""),
            ready: VecDeque::new(),
            retry: RETRY,
            max_retries: None,
            max_event_size: MAX_EVENT,
            failures: 0,
            due: None,
        }
    }

    /// Goes on behind the event with this id, in the first request, too.
    #[must_use]
    pub fn last_event_id(mut self, id: impl Into<String>) -> Self {
        self.parser = EventStreamParser::new(self.max_event_size, id);
        self
    }

    /// How many attempts in a row may fail before the failure is told: default none ends
    /// it. Zero: no reconnection.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// How large an event may be: default 1 MiB.
    #[must_use]
    pub fn max_event_size(mut self, bytes: usize) -> Self {
        self.max_event_size = bytes;
        self.parser = EventStreamParser::new(bytes, self.parser.last_id());
        self
    }

    /// The next event; `None`: the server wants us to stop (204).
    ///
    /// # Errors
    /// What reconnecting does not mend: an answer with another status than 200 or of
    /// another type than `text/event-stream`, one that is malformed, an event that is too
    /// large, a request that is invalid, and whatever refuses it: a redirect, a proxy, a
    /// certificate, a setting such as `public_only`; and any failure once
    /// [`max_retries`](Self::max_retries) are used up. After an error the next call begins
    /// anew.
    ///
    /// # Cancel safety
    /// No event is lost.
    pub async fn next(&mut self) -> Result<Option<Event>, FetchError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.response.is_none() && !self.open().await? {
                return Ok(None);
            }
            match self.read().await {
                Ok(Some(piece)) => self.feed(&piece)?,
                Ok(None) => self.failed(None, true)?,
                Err(error) => {
                    // A stream that broke off may go on; one that is too much stays so.
                    let may_pass = !error.is_too_large();
                    self.failed(Some(error), may_pass)?;
                }
            }
        }
    }

    /// Reads a piece of the stream; `None` at its end.
    async fn read(&mut self) -> Result<Option<Bytes>, FetchError> {
        match &mut self.response {
            Some(response) => response.chunk().await,
            None => Ok(None),
        }
    }

    /// Takes the events of a piece. One that is too large would be so the next time, too.
    fn feed(&mut self, piece: &[u8]) -> Result<(), FetchError> {
        let mut events = Vec::new();
        let fed = self.parser.feed(piece, &mut events);
        self.ready.extend(events);
        if let Some(retry) = self.parser.take_retry() {
            self.retry = retry.min(MAX_RETRY);
        }
        self.failures = 0;
        let Err(error) = fed else { return Ok(()) };
        self.due = None;
        let cause = Cause::Body(squall_http::BodyError::other(error));
        let response = self.response.take();
        response.map_or(Ok(()), |response| Err(response.error(Phase::Body, cause)))
    }

    /// Asks for the stream; false where the server wants us to stop.
    async fn open(&mut self) -> Result<bool, FetchError> {
        loop {
            if let Some(due) = self.due {
                sleep_until(due).await;
                self.due = None;
            }
            let id = self.parser.last_id().to_owned();
            let mut request = (self.make)()
                .default_header("Accept", "text/event-stream")
                .default_header("Cache-Control", "no-cache")
                .without_total_timeout()
                .raise_error(false);
            if !id.is_empty() {
                request.headers.remove("Last-Event-ID");
                request = request.header("Last-Event-ID", &id);
            }
            self.parser = EventStreamParser::new(self.max_event_size, id);
            match self.client.fetch(request).await {
                Ok(response) if response.status() == StatusCode::NO_CONTENT => return Ok(false),
                Ok(response) => {
                    self.response = Some(check(response)?);
                    return Ok(true);
                }
                Err(error) => {
                    let may_pass = error.may_pass() || error.is_timeout() || error.is_pool();
                    self.failed(Some(error), may_pass)?;
                }
            }
        }
    }

    /// Counts an attempt that has ended, and gives up where that is wanted.
    fn failed(&mut self, error: Option<FetchError>, may_pass: bool) -> Result<(), FetchError> {
        let response = self.response.take();
        let ended = || {
            let cause = Cause::Body(squall_http::BodyError::Incomplete);
            response.map(|response| response.error(Phase::Body, cause))
        };
        let Some(error) = error.or_else(ended) else {
            return Ok(());
        };
        let retries_left = (self.max_retries).is_none_or(|retries| self.failures < retries);
        if !may_pass || !retries_left {
            self.failures = 0;
            self.due = None;
            return Err(error);
        }
        self.failures += 1;
        let pause = self.pause();
        self.due = now().checked_add(pause);
        say(|| {
            tracing::debug!(
                target: "squall::client",
                %error,
                failures = self.failures,
                ?pause,
                "a stream of events is asked for again"
            );
        });
        Ok(())
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(20);
        let first = match doublings {
            0 => self.retry,
            _ => self.retry.max(LEAST_DOUBLED),
        };
        first.saturating_mul(1 << doublings).min(MAX_RETRY)
    }
}

/// Whether an answer is a stream of events.
fn check(response: HttpResponse) -> Result<HttpResponse, FetchError> {
    if response.status() != StatusCode::OK {
        let status = response.status();
        return Err(response.error(Phase::Status, Cause::Status(status)));
    }
    let kind = response.headers().get("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/event-stream") {
        let what = format!("the answer is of type {kind:?}, not text/event-stream");
        return Err(response.error(Phase::Body, Cause::Invalid(what)));
    }
    Ok(response)
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource")
            .field("connected", &self.response.is_some())
            .field("last_event_id", &self.parser.last_id())
            .finish_non_exhaustive()
    }
}
