//! One body type for both sides: what a server receives and sends, and what a
//! client sends and receives.
//!
//! A body is nothing, bytes, or a stream of chunks. Streams are pulled, so whoever
//! reads slowly slows the writer down: nothing is collected unless it is asked for.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::StatusCode;

use crate::chunk::Chunk;
use crate::memory::Piece;
use crate::server::Takeover;
use crate::stream::Stream as Connection;
use crate::wire::chunked::ChunkError;
use crate::wire::coding::CodingError;
use crate::wire::headers::Headers;
use crate::wire::multipart::MultipartError;

/// Room is made for so much of what a peer says it will send.
const COLLECTED_AT_ONCE: u64 = 4 << 20;

/// A body of a request or an answer.
#[derive(Default)]
pub struct Body {
    kind: Kind,
    content_type: Option<&'static str>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    /// Read to its end already. Who passes it on need not copy it to memory of its own.
    Read(Piece),
    Stream(Pin<Box<dyn BodyStream>>),
    /// No body: behind its head the connection is somebody else's.
    Takeover(Takeover),
}

/// A source of chunks.
pub trait BodyStream: Send + 'static {
    /// The next chunk, never an empty one; `None` is the end.
    ///
    /// After an error nothing more may be asked for.
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>>;

    /// The next chunk, for whoever passes it on without looking at it.
    ///
    /// Bytes that go from one plain TCP connection to another need not be copied on Linux. A
    /// stream that wraps another one and changes nothing asks that one for it; whatever
    /// makes chunks of its own leaves this as it is.
    fn poll_unseen(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        self.poll_chunk(cx).map_ok(Chunk::from)
    }

    /// Goes on with whatever else depends on this being polled, while no chunk is wanted: a
    /// peer that is busy sending does not read yet.
    ///
    /// That is the rest of a request whose answer this is. A stream that wraps another one
    /// passes it on. One that does not compiles as well, and brings back the halt: an upload
    /// whose client does not read the answer yet stands still until `write_timeout`.
    fn drive(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// How many bytes are still to come, if that is known exactly.
    fn remaining(&self) -> Option<u64> {
        None
    }

    /// The trailer fields, once the end was seen.
    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        None
    }

    /// The same body from its start, if this one can be had twice and is still whole.
    fn replay(&self) -> Option<Body> {
        None
    }
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self {
            kind: Kind::Empty,
            content_type: None,
        }
    }

    /// Streams chunks.
    pub fn stream(stream: impl BodyStream) -> Self {
        Self {
            kind: Kind::Stream(Box::pin(stream)),
            content_type: None,
        }
    }

    /// Streams what an async function yields, until it yields `None`.
    ///
    /// ```
    /// use squall_http::Body;
    /// let mut left = 3;
    /// let body = Body::from_fn(move || {
    ///     left -= 1;
    ///     let chunk = (left >= 0).then(|| Ok(bytes::Bytes::from_static(b"tick\n")));
    ///     async move { chunk }
    /// });
    /// assert_eq!(body.len(), None);
    /// ```
    pub fn from_fn<F, Fut>(next: F) -> Self
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Option<Result<Bytes, BodyError>>> + Send + 'static,
    {
        Self::stream(FromFn {
            next,
            pending: None,
        })
    }

    /// Streams what a `Stream` of the ecosystem (`futures`, `tokio-stream`, `async-stream`)
    /// yields, until it ends or fails.
    pub fn from_stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Self::stream(FromStream(Box::pin(stream)))
    }

    /// What was read as a whole.
    pub(crate) fn read(piece: Piece) -> Self {
        Self {
            kind: Kind::Read(piece),
            content_type: None,
        }
    }

    /// What stands in for the body of a 101.
    pub(crate) fn takeover(takeover: Takeover) -> Self {
        Self {
            kind: Kind::Takeover(takeover),
            content_type: None,
        }
    }

    /// Takes that out again.
    pub(crate) fn into_takeover(self) -> Option<Takeover> {
        match self.kind {
            Kind::Takeover(takeover) => Some(takeover),
            _ => None,
        }
    }

    /// What the content is, unless the headers say otherwise.
    pub fn with_content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// What the content is by default, such as `text/plain; charset=utf-8`.
    pub fn content_type(&self) -> Option<&'static str> {
        self.content_type
    }

    /// How many bytes are still to come, if that is known.
    pub fn len(&self) -> Option<u64> {
        match &self.kind {
            Kind::Empty | Kind::Takeover(_) => Some(0),
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::Read(piece) => Some(piece.len() as u64),
            Kind::Stream(stream) => stream.remaining(),
        }
    }

    /// Whether nothing is to come for certain.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The whole body, when it is in memory already.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Empty | Kind::Takeover(_) => Some(&[]),
            Kind::Bytes(bytes) => Some(bytes),
            Kind::Read(piece) => Some(piece.as_ref()),
            Kind::Stream(_) => None,
        }
    }

    /// The whole body as [`as_bytes`](Self::as_bytes) has it, shared.
    pub fn to_bytes(&self) -> Option<Bytes> {
        match &self.kind {
            Kind::Empty | Kind::Takeover(_) => Some(Bytes::new()),
            Kind::Bytes(bytes) => Some(bytes.clone()),
            Kind::Read(piece) => Some(Bytes::copy_from_slice(piece.as_ref())),
            Kind::Stream(_) => None,
        }
    }

    /// Another body with the same bytes; most streams cannot be read twice, see
    /// [`BodyStream::replay`].
    pub fn try_clone(&self) -> Option<Self> {
        let kind = match &self.kind {
            Kind::Empty => Kind::Empty,
            Kind::Bytes(bytes) => Kind::Bytes(bytes.clone()),
            Kind::Read(piece) => Kind::Bytes(Bytes::copy_from_slice(piece.as_ref())),
            Kind::Stream(stream) => stream.replay()?.kind,
            Kind::Takeover(_) => return None,
        };
        Some(Self {
            kind,
            content_type: self.content_type,
        })
    }

    /// Asks for the next chunk.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match &mut self.kind {
            Kind::Empty | Kind::Takeover(_) => Poll::Ready(None),
            Kind::Stream(stream) => stream.as_mut().poll_chunk(cx),
            whole => {
                let bytes = match std::mem::take(whole) {
                    Kind::Bytes(bytes) => bytes,
                    Kind::Read(piece) => piece.share(),
                    _ => Bytes::new(),
                };
                Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
            }
        }
    }

    /// Asks for the next chunk without wanting to see it, see [`BodyStream::poll_unseen`].
    pub fn poll_unseen(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyError>>> {
        match &mut self.kind {
            Kind::Stream(stream) => stream.as_mut().poll_unseen(cx),
            _ => self.poll_chunk(cx).map_ok(Chunk::from),
        }
    }

    /// Goes on without asking for a chunk, see [`BodyStream::drive`].
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        if let Kind::Stream(stream) = &mut self.kind {
            stream.as_mut().drive(cx);
        }
    }

    /// Asks for the next chunk in whichever shape it is best written to `to`.
    pub(crate) fn poll_for(
        &mut self,
        to: &Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        match to.takes_pipes() {
            true => self.poll_unseen(cx),
            false => self.poll_chunk(cx).map_ok(Chunk::from),
        }
    }

    /// The next chunk; `None` is the end.
    ///
    /// # Errors
    /// See [`BodyError`].
    ///
    /// # Cancel safety
    /// No chunk is lost.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Collects the whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] beyond the limit; the stream's own otherwise.
    ///
    /// # Cancel safety
    /// What was collected so far is lost.
    pub async fn collect(&mut self, limit: u64) -> Result<Bytes, BodyError> {
        if self.len().is_some_and(|len| len > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let Some(first) = self.chunk().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let mut whole = first;
        let mut more = BytesMut::new();
        while let Some(chunk) = self.chunk().await.transpose()? {
            if more.is_empty() {
                let left = self.len().map_or(0, |left| left.min(COLLECTED_AT_ONCE));
                more.reserve(whole.len() + chunk.len() + left as usize);
                more.extend_from_slice(&whole);
                whole = Bytes::new();
            }
            more.extend_from_slice(&chunk);
            if more.len() as u64 > limit {
                return Err(BodyError::TooLarge { limit });
            }
        }
        if !more.is_empty() {
            whole = more.freeze();
        }
        if whole.len() as u64 > limit {
            return Err(BodyError::TooLarge { limit });
        }
        Ok(whole)
    }

    /// The trailer fields of a stream whose end was seen.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        match &mut self.kind {
            Kind::Stream(stream) => stream.as_mut().take_trailers(),
            _ => None,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Body");
        match &self.kind {
            Kind::Empty => debug.field("empty", &true),
            Kind::Bytes(bytes) => debug.field("bytes", &bytes.len()),
            Kind::Read(piece) => debug.field("bytes", &piece.len()),
            Kind::Stream(stream) => debug.field("stream", &stream.remaining()),
            Kind::Takeover(_) => debug.field("takeover", &true),
        };
        debug.finish()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Bytes(bytes),
            content_type: None,
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::from(text.as_bytes()).with_content_type(TEXT)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes()).with_content_type(TEXT)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

struct FromFn<F, Fut> {
    next: F,
    pending: Option<Pin<Box<Fut>>>,
}

impl<F, Fut> BodyStream for FromFn<F, Fut>
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Option<Result<Bytes, BodyError>>> + Send + 'static,
{
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        // Both fields are Unpin: the future is boxed.
        let this = self.get_mut();
        loop {
            let next = &mut this.next;
            let pending = this.pending.get_or_insert_with(|| Box::pin(next()));
            match pending.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(chunk) => {
                    this.pending = None;
                    if !matches!(&chunk, Some(Ok(bytes)) if bytes.is_empty()) {
                        return Poll::Ready(chunk);
                    }
                }
            }
        }
    }
}

impl<F, Fut> Unpin for FromFn<F, Fut> {}

struct FromStream<S>(Pin<Box<S>>);

impl<S, B, E> BodyStream for FromStream<S>
where
    S: Stream<Item = Result<B, E>> + Send + 'static,
    B: Into<Bytes> + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let item = ready!(self.0.as_mut().poll_next(cx));
            let chunk = item.map(|item| item.map(Into::into).map_err(BodyError::other));
            if !matches!(&chunk, Some(Ok(bytes)) if bytes.is_empty()) {
                return Poll::Ready(chunk);
            }
        }
    }
}

/// For how long a peer may send nothing of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SilenceLimit {
    /// The server's `body_timeout`: a client is silent.
    BodyTimeout,
    /// The `idle_timeout` of a client or a forward: a server is silent.
    IdleTimeout,
}

impl fmt::Display for SilenceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BodyTimeout => "body_timeout",
            Self::IdleTimeout => "idle_timeout",
        })
    }
}

/// Why a body could not be read to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is larger than it may be (413).
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The peer closed the connection before the body was complete.
    Incomplete,
    /// The peer sent nothing for too long (408).
    TimedOut {
        /// The limit that was reached.
        limit: std::time::Duration,
        /// The setting that says so.
        setting: SilenceLimit,
    },
    /// The peer sent too little for too long (408).
    TooSlow {
        /// The bytes per second that were asked for.
        rate: u64,
    },
    /// The chunked framing was malformed (400), or spent more than it may (400, 431).
    Malformed(ChunkError),
    /// The connection failed.
    Io(io::Error),
    /// The exchange this body belonged to is over.
    Gone,
    /// Whatever a stream of one's own reports.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl BodyError {
    /// The status a server answers with when a request's body failed like this.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TimedOut { .. } | Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(error) => error.status(),
            Self::Incomplete | Self::Io(_) => StatusCode::BAD_REQUEST,
            Self::Gone => StatusCode::INTERNAL_SERVER_ERROR,
            // A part of an upload that is sent on fails as the upload does.
            Self::Other(error) => None
                .or_else(|| Some(error.downcast_ref::<MultipartError>()?.status()))
                .or_else(|| Some(error.downcast_ref::<CodingError>()?.status()))
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// Wraps any error.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(
                    f,
                    "the body is larger than {limit} bytes (setting: max_body_size)"
                )
            }
            Self::Incomplete => f.write_str("the peer closed before the body was complete"),
            Self::TimedOut { limit, setting } => {
                write!(
                    f,
                    "the peer sent no body bytes for {limit:?} (setting: {setting})"
                )
            }
            Self::TooSlow { rate } => {
                write!(
                    f,
                    "the peer sent its body slower than {rate} bytes per second (setting: min_body_rate)"
                )
            }
            Self::Malformed(error) => error.fmt(f),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Gone => f.write_str("the exchange this body belonged to is over"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Malformed(error) => Some(error),
            Self::Other(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
