//! `Sse`: server-sent events, for `EventSource` in browsers.
//!
//! The format is that of HTML, section 9.2. An event is written when it happens; in the
//! silence between two a comment goes out from time to time, so that proxies do not give
//! the connection up and a client that is gone is noticed. Whoever sends events waits
//! for slow clients: nothing is piled up.

use std::fmt::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use squall_http::server::Response;
use squall_http::{Body, BodyError, BodyStream};
use squall_loop::{IoLoop, Sleep, sleep};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::IntoResponse;
use crate::Result;

/// How long it may be silent before a comment is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// An answer of events, until there are no more or the client is gone.
///
/// ```
/// use std::time::Duration;
/// use squall::{Event, Header, IntoResponse, IoLoop, LastEventId, Sse, sleep};
///
/// async fn clock(last: Option<Header<LastEventId>>) -> impl IntoResponse {
///     // A client that connects again says what it has seen.
///     let seen: u64 = last.and_then(|last| last.0.0.parse().ok()).unwrap_or(0);
///     let (sender, events) = Sse::channel(8);
///     IoLoop::current().spawn(async move {
///         for n in seen + 1.. {
///             let tick = Event::data(format!("tick {n}")).id(&n.to_string());
///             if sender.send(tick).await.is_err() {
///                 return; // the client is gone
///             }
///             sleep(Duration::from_secs(1)).await;
///         }
///     });
///     events
/// }
/// # let _ = squall::get(clock);
/// ```
#[must_use = "it is an answer: return it"]
pub struct Sse {
    events: Pin<Box<dyn Events>>,
    keep_alive: Duration,
}

impl Sse {
    /// Events that an async function makes, until it gives `None`.
    ///
    /// Each is asked for when the last one is on its way.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squall::{Event, Sse, sleep};
    ///
    /// let mut left = 3;
    /// let countdown = Sse::from_fn(move || {
    ///     let now = left;
    ///     left -= 1;
    ///     async move {
    ///         sleep(Duration::from_secs(1)).await;
    ///         (now > 0).then(|| Event::data(now.to_string()))
    ///     }
    /// });
    /// ```
    pub fn from_fn<F, Fut>(next: F) -> Self
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Option<Event>> + Send + 'static,
    {
        Self::new(FromFn {
            next,
            pending: None,
        })
    }

    /// Events that are sent from elsewhere, such as a task of its own: at most
    /// `capacity` wait for the client.
    ///
    /// The answer ends when every sender is dropped; sending fails when the client is
    /// gone.
    ///
    /// # Panics
    /// When `capacity` is 0.
    pub fn channel(capacity: usize) -> (EventSender, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        (EventSender { sender }, Self::new(Channel(receiver)))
    }

    fn new(events: impl Events) -> Self {
        Self {
            events: Box::pin(events),
            keep_alive: KEEP_ALIVE,
        }
    }

    /// How long it may be silent before a comment is sent: default 15 s.
    pub fn keep_alive(mut self, silence: Duration) -> Self {
        self.keep_alive = silence;
        self
    }
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse")
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

impl IntoResponse for Sse {
    fn into_response(self) -> Result<Response> {
        let body = Body::stream(Stream {
            silence: sleep(self.keep_alive),
            sse: self,
        });
        let body = body.with_content_type("text/event-stream");
        let mut response = Response::new(StatusCode::OK, body);
        let headers = response.headers_mut();
        headers.set("Cache-Control", "no-cache")?;
        // nginx and its kin hold an answer back until a buffer is full, unless told.
        headers.set("X-Accel-Buffering", "no")?;
        Ok(response)
    }
}

/// One event, as `EventSource` receives it.
///
/// No text can break out of its field: line ends divide data into lines, which the
/// client joins again, and are left out of everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    text: String,
}

impl Event {
    /// An event without anything; a client is not told of it unless it has data.
    pub fn new() -> Self {
        Self::default()
    }

    /// An event with text.
    pub fn data(text: impl AsRef<str>) -> Self {
        Self::new().and_data(text)
    }

    /// An event with a value as JSON.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self> {
        Ok(Self::data(serde_json::to_string(value)?))
    }

    /// A comment, which clients ignore.
    pub fn comment(text: impl AsRef<str>) -> Self {
        Self::new().lines("", text.as_ref())
    }

    /// Adds text, on a line of its own.
    #[must_use]
    pub fn and_data(self, text: impl AsRef<str>) -> Self {
        self.lines("data", text.as_ref())
    }

    /// What kind of event it is: the name under which the client listens for it. Default:
    /// `message`.
    #[must_use]
    pub fn event(self, name: &str) -> Self {
        self.field("event", name)
    }

    /// What the client is to send as [`LastEventId`](crate::LastEventId) when it connects
    /// again. An empty one makes it forget.
    #[must_use]
    pub fn id(self, id: &str) -> Self {
        self.field("id", id)
    }

    /// How long the client is to wait before it connects again, in whole milliseconds.
    #[must_use]
    pub fn retry(self, delay: Duration) -> Self {
        self.field("retry", &delay.as_millis().to_string())
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        self.text.push_str(name);
        self.text.push_str(": ");
        let fits = |char: &char| !matches!(char, '\r' | '\n' | '\0');
        self.text.extend(value.chars().filter(fits));
        self.text.push('\n');
        self
    }

    fn lines(mut self, name: &str, text: &str) -> Self {
        // A CRLF is one line end, a lone CR another.
        for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
            // Writing to a String does not fail.
            let _ = writeln!(self.text, "{name}: {line}");
        }
        self
    }

    fn into_chunk(mut self) -> Bytes {
        self.text.push('\n');
        self.text.into()
    }
}

/// Sends events to a client of [`Sse::channel`]; clones send to the same one.
#[derive(Debug, Clone)]
pub struct EventSender {
    sender: mpsc::Sender<Event>,
}

impl EventSender {
    /// Sends an event, once there is room for it.
    ///
    /// # Errors
    /// When the client is gone.
    ///
    /// # Cancel safety
    /// The event was not sent.
    pub async fn send(&self, event: Event) -> Result<(), NotSent> {
        let sent = self.sender.send(event).await;
        sent.map_err(|_| NotSent::Disconnected)
    }

    /// Sends an event if there is room for it. For one event to many clients: those that
    /// are too slow may be dropped, and ask again for what they missed.
    ///
    /// # Errors
    /// When the client is gone, or has not taken yet what waits for it.
    pub fn try_send(&self, event: Event) -> Result<(), NotSent> {
        self.sender.try_send(event).map_err(|error| match error {
            TrySendError::Full(_) => NotSent::Full,
            TrySendError::Closed(_) => NotSent::Disconnected,
        })
    }

    /// Waits until the client is gone.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn disconnected(&self) {
        self.sender.closed().await;
    }
}

/// Why an event was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotSent {
    /// The client is gone.
    Disconnected,
    /// As many events as may wait for the client do.
    Full,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disconnected => "the client is gone",
            Self::Full => "the client is too slow",
        })
    }
}

impl std::error::Error for NotSent {}

/// A source of events.
trait Events: Send + 'static {
    fn poll_event(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>>;
}

struct Channel(mpsc::Receiver<Event>);

impl Events for Channel {
    fn poll_event(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(cx)
    }
}

struct FromFn<F, Fut> {
    next: F,
    pending: Option<Pin<Box<Fut>>>,
}

// Neither field is ever pinned: the future is boxed.
impl<F, Fut> Unpin for FromFn<F, Fut> {}

impl<F, Fut> Events for FromFn<F, Fut>
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Option<Event>> + Send + 'static,
{
    fn poll_event(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = self.get_mut();
        let next = &mut this.next;
        let pending = this.pending.get_or_insert_with(|| Box::pin(next()));
        let event = ready!(pending.as_mut().poll(cx));
        this.pending = None;
        Poll::Ready(event)
    }
}

/// Events on their way, with comments in between.
struct Stream {
    sse: Sse,
    silence: Sleep,
}

impl BodyStream for Stream {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let chunk = match self.sse.events.as_mut().poll_event(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(event)) => event.into_chunk(),
            Poll::Pending => {
                ready!(Pin::new(&mut self.silence).poll(cx));
                Bytes::from_static(b":\n\n")
            }
        };
        let next = IoLoop::current().now() + self.sse.keep_alive;
        self.silence.reset(next);
        Poll::Ready(Some(Ok(chunk)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: Event) -> String {
        String::from_utf8(event.into_chunk().into()).unwrap()
    }

    #[test]
    fn events_are_written_field_by_field() {
        let event = Event::data("a\nb")
            .event("news")
            .id("7")
            .retry(Duration::from_millis(1500))
            .and_data("");
        assert_eq!(
            written(event),
            "data: a\ndata: b\nevent: news\nid: 7\nretry: 1500\ndata: \n\n"
        );
        assert_eq!(written(Event::comment("hi\nyou")), ": hi\n: you\n\n");
        assert_eq!(written(Event::json(&[1, 2]).unwrap()), "data: [1,2]\n\n");
    }

    #[test]
    fn no_text_breaks_out_of_its_field() {
        let event = Event::data("a\r\nid: 1\rdata: b\n\nevent: c")
            .event("x\ndata: y")
            .id("1\r\n\0\nretry: 0");
        assert_eq!(
            written(event),
            "data: a\ndata: id: 1\ndata: data: b\ndata: \ndata: event: c\n\
             event: xdata: y\nid: 1retry: 0\n\n"
        );
        assert_eq!(written(Event::comment("\ndata: x")), ": \n: data: x\n\n");
    }
}
