//! `Multipart`: an upload, part by part, as it arrives.
//!
//! Nothing is collected: a part is read chunk by chunk, or moved on as a [`Body`], for
//! example into a request to another service. Whoever reads slowly slows the client
//! down.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use squall_http::wire::multipart::{
    Event, MultipartError, MultipartParser, PartHead, boundary_from_content_type,
};
use squall_http::{Body, BodyError, BodyStream, Headers};

use super::{FromRequest, Rejection, RequestPart, body};
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::web::upload::{Upload, UploadPolicy, safe_file_name};
use crate::{Error, Result};

/// An upload (`multipart/form-data`), part by part.
///
/// What it may be is the application's [`UploadPolicy`], or one of its
/// [own](Self::with_policy). Where the order of the parts is not known, [`Upload`] collects
/// it. As an `Option`, it is `None` without a body.
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
    /// Held for a moment only; two tasks never wait here for the network.
    reader: Arc<Mutex<Reader>>,
}

impl FromRequest for Multipart {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let value = request.headers().get("content-type").unwrap_or_default();
        let boundary = boundary_from_content_type(value)?;
        let policy = Arc::new(request.shared().settings.uploads.clone());
        let parser = MultipartParser::new(&boundary, policy.limits)?;
        Ok(Self {
            reader: Arc::new(Mutex::new(Reader {
                body: request.take_body(),
                parser,
                policy,
                spent: Spent::default(),
                refused: None,
                buffer: BytesMut::new(),
                part: 0,
                in_part: false,
                ended: false,
                next: None,
            })),
        })
    }

    fn is_absent(request: &Request) -> bool {
        body::is_absent(request)
    }

    fn needs(needs: &mut Needs) {
        needs.body::<Self>();
    }
}

impl Multipart {
    /// Reads it by another policy than the application's. To be called before the first
    /// part is read.
    ///
    /// ```
    /// use squall::{Multipart, Result, State, UploadPolicy};
    ///
    /// async fn avatar(form: Multipart, policy: State<UploadPolicy>) -> Result<String> {
    ///     let form = form.with_policy(policy.0).collect().await?;
    ///     Ok(form.file("avatar")?.safe_file_name())
    /// }
    /// # let _ = squall::post(avatar);
    /// ```
    #[must_use]
    pub fn with_policy(self, policy: impl Into<Arc<UploadPolicy>>) -> Self {
        let mut reader = self.reader.lock();
        reader.policy = policy.into();
        let limits = reader.policy.limits;
        reader.parser.set_limits(limits);
        drop(reader);
        self
    }

    /// Collects what is left: fields in memory, files spooled to disk when they are large.
    ///
    /// # Errors
    /// As [`next_part`](Self::next_part); 400 when a field is not UTF-8, 507 when there is
    /// no room on the disk.
    ///
    /// # Cancel safety
    /// What was collected so far is lost, and removed from the disk.
    pub async fn collect(mut self) -> Result<Upload> {
        let policy = self.reader.lock().policy.clone();
        Upload::collect(&mut self, &policy).await
    }

    /// The next part; `None` is the end. What was not read of the last one is skipped,
    /// also when it was moved on as a body.
    ///
    /// # Errors
    /// The body's, and 400 or 413 when the upload is malformed or passes a limit: that is
    /// the end. 413 or 415 that names the field when the policy refuses a file; a handler
    /// that goes on skips it.
    ///
    /// # Cancel safety
    /// No part is lost.
    pub async fn next_part(&mut self) -> Result<Option<Part>> {
        let part = poll_fn(|cx| self.reader.lock().poll_part(cx)).await;
        let Some((head, number)) = part.map_err(unwrap)? else {
            return Ok(None);
        };
        if let Some(filename) = &head.filename {
            let mut reader = self.reader.lock();
            reader.spent.files += 1;
            let (policy, kind) = (&reader.policy, head.content_type.as_deref());
            policy.admit(reader.spent.files, &head.name, filename, kind)?;
        }
        let reader = self.reader.clone();
        let stream = PartStream { reader, number };
        Ok(Some(Part { head, stream }))
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
        Err(Error::missing_argument(name).part_of(RequestPart::Upload))
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

    /// The file's name as one that may be used here; see [`safe_file_name`].
    pub fn safe_file_name(&self) -> Option<String> {
        self.filename().map(safe_file_name)
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
        chunk
            .transpose()
            .map_err(|error| unwrap(error).with_field(self.head.name.clone()))
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
                let shown = format!("the part {name:?} is larger than {limit} bytes");
                let refused = Error::rejected(RequestPart::Upload, Rejection::TooLarge, shown);
                return Err(refused.with_field(name.to_owned()));
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
        String::from_utf8(bytes.into()).map_err(|_| {
            let shown = format!("the part {:?} is not UTF-8", self.name());
            Error::rejected(RequestPart::Upload, Rejection::NotUtf8, shown)
                .with_field(self.name().to_owned())
        })
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
        let mut reader = self.reader.lock();
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
    policy: Arc<UploadPolicy>,
    spent: Spent,
    /// The first error is the last word.
    refused: Option<MultipartError>,
    buffer: BytesMut,
    /// The number of the current part, from 1.
    part: u64,
    in_part: bool,
    ended: bool,
    /// A part whose head was read while the last part's data was asked for.
    next: Option<PartHead>,
}

/// What the upload took of its policy so far.
#[derive(Debug, Default)]
struct Spent {
    /// Bytes of data.
    total: u64,
    /// Bytes of the parts that are no files.
    fields: u64,
    /// Bytes of the current part, if it is a file.
    file: Option<u64>,
    files: usize,
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
            self.spent.file = head.filename.as_ref().map(|_| 0);
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
        let event = match self.refused {
            Some(refused) => Err(refused),
            None => self.parser.next_event(&self.buffer),
        };
        match event.map_err(|error| self.refuse(error))? {
            Event::Part { consumed, head } => {
                self.drop_front(consumed);
                self.next = Some(head);
            }
            Event::Data { len } => {
                let len = len.min(self.buffer.len());
                (self.spend(len as u64)).map_err(|error| self.refuse(error))?;
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
                (self.parser.finish()).map_err(|error| self.refuse(error))?;
                self.in_part = false;
                self.ended = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Counts data of the current part.
    fn spend(&mut self, bytes: u64) -> Result<(), MultipartError> {
        let (spent, policy) = (&mut self.spent, &self.policy);
        spent.total += bytes;
        let (setting, sum, limit) = match &mut spent.file {
            Some(file) => {
                *file += bytes;
                ("file", *file, policy.file)
            }
            None => {
                spent.fields += bytes;
                ("fields", spent.fields, policy.fields)
            }
        };
        let all = ("total", spent.total, policy.total);
        for (setting, sum, limit) in [(setting, sum, limit), all] {
            if sum > limit {
                return Err(MultipartError::TooLarge { setting, limit });
            }
        }
        Ok(())
    }

    fn refuse(&mut self, error: MultipartError) -> BodyError {
        self.refused = Some(error);
        BodyError::other(error)
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
