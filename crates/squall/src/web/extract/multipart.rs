//! `Multipart`: an upload, part by part, as it arrives.
//!
//! Nothing is collected: a part is read chunk by chunk, or moved on as a [`Body`], for
//! example into a request to another service. Whoever reads slowly slows the client
//! down.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use squall_http::wire::multipart::{
    Event, MultipartError, MultipartParser, PartHead, boundary_from_content_type,
};
use squall_http::{Body, BodyError, BodyStream, Headers};

use super::FromRequest;
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// An upload (`multipart/form-data`), part by part.
///
/// ```
/// use squall::{Error, Multipart, Result};
///
/// async fn upload(mut form: Multipart) -> Result<String> {
///     let mut sizes = String::new();
///     while let Some(mut part) = form.next_part().await? {
///         let mut size = 0;
///         while let Some(chunk) = part.chunk().await? {
///             size += chunk.len();
///         }
///         sizes += &format!("{}: {size} bytes\n", part.name());
///     }
///     Ok(sizes)
/// }
/// # let _ = squall::post(upload);
/// ```
#[derive(Debug)]
#[doc(alias = "stream_request_body")]
pub struct Multipart {
    reader: Arc<Mutex<Reader>>,
}

impl FromRequest for Multipart {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let value = request.headers().get("content-type").unwrap_or_default();
        let boundary = boundary_from_content_type(value)?;
        let parser = MultipartParser::new(&boundary, request.shared().settings.multipart)?;
        Ok(Self {
            reader: Arc::new(Mutex::new(Reader {
                body: request.take_body(),
                parser,
                buffer: BytesMut::new(),
                part: 0,
                in_part: false,
                ended: false,
                next: None,
            })),
        })
    }

    fn needs(needs: &mut Needs) {
        needs.body::<Self>();
    }
}

impl Multipart {
    /// The next part; `None` is the end. What was not read of the last one is skipped,
    /// also when it was moved on as a body.
    ///
    /// # Errors
    /// The body's, and 400 or 413 when the upload is malformed or passes a limit.
    ///
    /// # Cancel safety
    /// No part is lost.
    pub async fn next_part(&mut self) -> Result<Option<Part>> {
        let part = poll_fn(|cx| lock(&self.reader).poll_part(cx)).await;
        let found = part.map_err(unwrap)?;
        Ok(found.map(|(head, number)| Part {
            head,
            stream: PartStream {
                reader: self.reader.clone(),
                number,
            },
        }))
    }

    /// Skips to the next part of that name; parts in between are lost.
    ///
    /// # Errors
    /// As [`next_part`](Self::next_part); 400 that names the field when there is none.
    pub async fn part(&mut self, name: &str) -> Result<Part> {
        while let Some(part) = self.next_part().await? {
            if part.name() == name {
                return Ok(part);
            }
        }
        Err(Error::missing_argument(name))
    }
}

/// One part of an upload: a field or a file.
#[derive(Debug)]
pub struct Part {
    head: PartHead,
    stream: PartStream,
}

impl Part {
    /// The field's name.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// The file's name as the client sent it; `Some` marks a file. Never a path to
    /// write to as it is.
    pub fn filename(&self) -> Option<&str> {
        self.head.filename.as_deref()
    }

    /// What the client says it is. Unchecked.
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type.as_deref()
    }

    /// The part's headers.
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }

    /// The next chunk; `None` is the end.
    ///
    /// # Errors
    /// As [`Multipart::next_part`].
    ///
    /// # Cancel safety
    /// No chunk is lost.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = poll_fn(|cx| Pin::new(&mut self.stream).poll_chunk(cx)).await;
        chunk.transpose().map_err(unwrap)
    }

    /// The whole part, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// 413 that names the part; otherwise as [`chunk`](Self::chunk).
    ///
    /// # Cancel safety
    /// What was collected so far is lost.
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > limit {
                let name = self.name();
                return Err(Error::too_large(format!(
                    "the part {name:?} is larger than {limit} bytes"
                ))
                .with_field(name.to_owned()));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The whole part as text, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// 400 when it is not UTF-8; otherwise as [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    /// What was collected so far is lost.
    pub async fn text(&mut self, limit: usize) -> Result<String> {
        let bytes = self.bytes(limit).await?;
        (String::from_utf8(bytes.into()))
            .map_err(|_| Error::invalid_argument(self.name(), "not UTF-8"))
    }

    /// The rest of the part as a body, to be sent elsewhere while it arrives.
    ///
    /// The body fails when the next part is asked for before it was read to its end.
    pub fn into_body(self) -> Body {
        Body::stream(self.stream)
    }
}

/// A part's data. It is there until the next part is asked for.
#[derive(Debug)]
struct PartStream {
    reader: Arc<Mutex<Reader>>,
    number: u64,
}

impl BodyStream for PartStream {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut reader = lock(&self.reader);
        if reader.part != self.number {
            return Poll::Ready(Some(Err(BodyError::Gone)));
        }
        reader.poll_data(cx).map(Result::transpose)
    }
}

/// The body on the wire, and where in it we are.
#[derive(Debug)]
struct Reader {
    body: Body,
    parser: MultipartParser,
    buffer: BytesMut,
    /// The number of the current part, from 1.
    part: u64,
    in_part: bool,
    ended: bool,
    /// A part whose head was read while the last part's data was asked for.
    next: Option<PartHead>,
}

/// Held for a moment only; two tasks never wait here for the network.
fn lock(reader: &Mutex<Reader>) -> MutexGuard<'_, Reader> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reader {
    fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(PartHead, u64)>, BodyError>> {
        // Skips what is left of the current part.
        while self.in_part {
            ready!(self.poll_data(cx))?;
        }
        while self.next.is_none() && !self.ended {
            ready!(self.poll_step(cx))?;
        }
        Poll::Ready(Ok(self.next.take().map(|head| {
            self.part += 1;
            self.in_part = true;
            (head, self.part)
        })))
    }

    /// The next piece of the current part; `None` is its end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        while self.in_part {
            if let Some(data) = ready!(self.poll_step(cx))? {
                return Poll::Ready(Ok(Some(data)));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Takes one event from the buffer, or reads more into it.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let event = self.parser.next_event(&self.buffer);
        match event.map_err(BodyError::other)? {
            Event::Part { consumed, head } => {
                self.drop_front(consumed);
                self.next = Some(head);
            }
            Event::Data { len } => {
                let len = len.min(self.buffer.len());
                return Poll::Ready(Ok(Some(self.buffer.split_to(len).freeze())));
            }
            Event::PartEnd { consumed } => {
                self.drop_front(consumed);
                self.in_part = false;
            }
            Event::End { consumed } => {
                self.drop_front(consumed);
                self.in_part = false;
                self.ended = true;
            }
            Event::NeedMore { consumed } => {
                self.drop_front(consumed);
                ready!(self.poll_more(cx))?;
            }
        }
        Poll::Ready(Ok(None))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match ready!(self.body.poll_chunk(cx)).transpose()? {
            Some(chunk) if self.buffer.is_empty() => {
                // The usual case costs no copy when nobody else holds the chunk.
                self.buffer = chunk
                    .try_into_mut()
                    .unwrap_or_else(|chunk| chunk.as_ref().into());
            }
            Some(chunk) => self.buffer.extend_from_slice(&chunk),
            None => {
                self.parser.finish().map_err(BodyError::other)?;
                self.in_part = false;
                self.ended = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn drop_front(&mut self, bytes: usize) {
        let bytes = bytes.min(self.buffer.len());
        drop(self.buffer.split_to(bytes));
    }
}

/// A body's error as an answer: what the parser refused keeps its status.
fn unwrap(error: BodyError) -> Error {
    match error {
        BodyError::Other(source) => match source.downcast::<MultipartError>() {
            Ok(refused) => (*refused).into(),
            Err(source) => BodyError::Other(source).into(),
        },
        error => error.into(),
    }
}
