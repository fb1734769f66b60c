//! `Multipart`: a form with files, written as it is sent.
//!
//! Nothing is collected: a file is read in pieces on the executor, a stream is asked for more
//! when what it gave is on the wire. When every length is known, so is the whole's, and the
//! request has a `Content-Length`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use squall_http::wire::multipart::{PART_END, closing, part_head, part_len, random_boundary};
use squall_http::{Body, BodyError, BodyStream, Headers};

use crate::file_body::file_body;

/// A form in memory up to this size is one piece.
const IN_ONE_PIECE: usize = 64 << 10;

/// A `multipart/form-data` form.
///
/// ```
/// use squall::client::{HttpRequest, Multipart};
/// let form = Multipart::new()
///     .text("api_key", "k")
///     .bytes("image", "cat.png", "image/png", b"\x89PNG".as_slice());
/// assert!(form.len().is_some());
/// let request = HttpRequest::post("http://ocr.test/").multipart(form);
/// ```
pub struct Multipart {
    boundary: String,
    parts: Vec<Part>,
    error: Option<String>,
}

struct Part {
    head: Bytes,
    body: Body,
    len: Option<u64>,
}

impl Multipart {
    /// An empty form, with a boundary that nobody can guess.
    pub fn new() -> Self {
        let (boundary, error) = match random_boundary() {
            Ok(boundary) => (boundary, None),
            Err(error) => (String::new(), Some(format!("no random boundary: {error}"))),
        };
        Self {
            boundary,
            parts: Vec::new(),
            error,
        }
    }

    /// Adds a field.
    pub fn text(self, name: &str, value: impl Into<String>) -> Self {
        let value = Bytes::from(value.into());
        self.add(name, None, None, value.into(), None)
    }

    /// Adds a field with a content type of its own, such as one that is JSON.
    pub fn typed(self, name: &str, content_type: &str, value: impl Into<Body>) -> Self {
        self.add(name, None, Some(content_type), value.into(), None)
    }

    /// Adds a file that is in memory. An empty `content_type` is guessed from the name.
    pub fn bytes(
        self,
        name: &str,
        filename: &str,
        content_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Self {
        self.part(name, filename, content_type, bytes.into().into(), None)
    }

    /// Adds a file from disk, named after it. It is read while the form is sent.
    ///
    /// # Errors
    /// When it cannot be opened, or is no file.
    ///
    /// # Cancel safety
    /// Dropping it drops the form.
    pub async fn file(self, name: &str, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let filename = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let body = file_body(path).await?;
        Ok(self.part(name, &filename, "", body, None))
    }

    /// Adds a file that streams, such as the body of a request or a part of an upload.
    ///
    /// `len` is its exact length, if the body does not know it and you do. An empty
    /// `content_type` is guessed from the name.
    pub fn part(
        self,
        name: &str,
        filename: &str,
        content_type: &str,
        body: Body,
        len: Option<u64>,
    ) -> Self {
        let guessed;
        let content_type = match content_type {
            "" => {
                guessed = mime_guess::from_path(filename).first_or_octet_stream();
                guessed.essence_str()
            }
            given => given,
        };
        self.add(name, Some(filename), Some(content_type), body, len)
    }

    fn add(
        mut self,
        name: &str,
        filename: Option<&str>,
        content_type: Option<&str>,
        body: Body,
        len: Option<u64>,
    ) -> Self {
        match part_head(&self.boundary, name, filename, content_type) {
            Ok(head) => self.parts.push(Part {
                head: head.into(),
                len: body.len().or(len),
                body,
            }),
            Err(error) => {
                self.error.get_or_insert(error.to_string());
            }
        }
        self
    }

    /// The length of the whole form in bytes, if every part's is known.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a form always has its closing line"
    )]
    pub fn len(&self) -> Option<u64> {
        let closing = closing(&self.boundary).len() as u64;
        (self.parts.iter()).try_fold(closing, |sum, part| {
            sum.checked_add(part_len(&part.head, part.len?)?)
        })
    }

    /// The `Content-Type` that says how the form is written.
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// The form as a body.
    ///
    /// A header that could not be written, or a part that is not as long as was said,
    /// fails the body with a [`MultipartError`].
    pub fn into_body(self) -> Body {
        let (left, closing) = (self.len(), Bytes::from(closing(&self.boundary)));
        let small = left.is_some_and(|len| len <= IN_ONE_PIECE as u64);
        if small
            && self.error.is_none()
            && self.parts.iter().all(|part| part.body.as_bytes().is_some())
        {
            let mut whole = BytesMut::new();
            for part in &self.parts {
                whole.extend_from_slice(&part.head);
                whole.extend_from_slice(part.body.as_bytes().unwrap_or_default());
                whole.extend_from_slice(PART_END);
            }
            whole.extend_from_slice(&closing);
            return whole.freeze().into();
        }
        Body::stream(Writer {
            parts: self.parts.into(),
            stage: Stage::Head,
            closing,
            left,
            begun: false,
            error: self.error,
        })
    }
}

impl Default for Multipart {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart")
            .field("parts", &self.parts.len())
            .field("len", &self.len())
            .finish()
    }
}

/// A form that cannot be sent as it was described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipartError(String);

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the form cannot be sent: {}", self.0)
    }
}

impl std::error::Error for MultipartError {}

fn failed(what: impl Into<String>) -> BodyError {
    BodyError::other(MultipartError(what.into()))
}

/// The form on its way: `Head -> Data -> (next part's) Head -> ... -> closing`.
struct Writer {
    parts: VecDeque<Part>,
    stage: Stage,
    closing: Bytes,
    left: Option<u64>,
    begun: bool,
    error: Option<String>,
}

enum Stage {
    Head,
    Data,
    Closed,
}

impl Writer {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(failed(error)));
        }
        let Some(part) = self.parts.front_mut() else {
            let last = matches!(self.stage, Stage::Head).then(|| self.closing.clone());
            self.stage = Stage::Closed;
            return Poll::Ready(Ok(last));
        };
        if matches!(self.stage, Stage::Head) {
            self.stage = Stage::Data;
            return Poll::Ready(Ok(Some(part.head.clone())));
        }
        let chunk = ready!(part.body.poll_chunk(cx)).transpose()?;
        let len = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if let Some(left) = &mut part.len {
            *left = (left.checked_sub(len))
                .ok_or_else(|| failed("a part is longer than its length"))?;
            if chunk.is_none() && *left > 0 {
                return Poll::Ready(Err(failed(format!(
                    "a part ended {left} bytes before its length"
                ))));
            }
        }
        if chunk.is_some() {
            return Poll::Ready(Ok(chunk));
        }
        self.parts.pop_front();
        self.stage = Stage::Head;
        Poll::Ready(Ok(Some(Bytes::from_static(PART_END))))
    }
}

impl BodyStream for Writer {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        this.begun = true;
        let next = ready!(this.poll_next(cx));
        if let (Some(left), Ok(Some(chunk))) = (&mut this.left, &next) {
            *left = left.saturating_sub(chunk.len() as u64);
        }
        Poll::Ready(next.transpose())
    }

    fn remaining(&self) -> Option<u64> {
        self.left
    }

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        None
    }

    /// Forms of text, bytes and files can be sent twice.
    fn replay(&self) -> Option<Body> {
        if self.begun {
            return None;
        }
        let again = |part: &Part| {
            Some(Part {
                head: part.head.clone(),
                body: part.body.try_clone()?,
                len: part.len,
            })
        };
        Some(Body::stream(Self {
            parts: self.parts.iter().map(again).collect::<Option<_>>()?,
            stage: Stage::Head,
            closing: self.closing.clone(),
            left: self.left,
            begun: false,
            error: self.error.clone(),
        }))
    }
}
