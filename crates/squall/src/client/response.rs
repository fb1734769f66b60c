//! `HttpResponse`: an answer, its body read as a whole or as it comes.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;
use squall_http::client::{RequestSent, Upgraded};
use squall_http::memory::give_fields;
use squall_http::wire::head::ResponseHead;
use squall_http::{Body, BodyError, BodyStream, Headers};
use url::Url;

use super::address::Address;
use super::error::{Cause, FetchError, Phase};
use super::save::save;
use super::time_info::{Marks, TimeInfo};
use super::total::Total;

/// An answer. Dropping it before the body's end closes its connection, unless all of it has
/// arrived.
///
/// It is one pointer large, for it goes from hand to hand. It is `Send` and not `Sync`, as
/// its body is: it may go to another task, but not be looked at from two at a time.
#[doc(alias = "HTTPResponse")]
pub struct HttpResponse(Box<Inner>);

pub(super) struct Inner {
    pub(super) head: ResponseHead,
    pub(super) body: Body,
    /// Those of a body that was read as a whole.
    pub(super) trailers: Option<Box<Headers>>,
    pub(super) url: Address,
    pub(super) remote_addr: Option<SocketAddr>,
    pub(super) reused: bool,
    pub(super) retries: u32,
    pub(super) history: Vec<Hop>,
    pub(super) upgraded: Option<Box<Upgraded>>,
    pub(super) marks: Marks,
    pub(super) max_body_size: u64,
    /// Until when the whole body has to be read.
    pub(super) total: Option<Total>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        give_fields(std::mem::take(&mut self.head.headers));
    }
}

/// A redirect that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The address that was asked.
    pub url: Url,
    /// Its answer's status, such as 302.
    pub status: StatusCode,
}

impl HttpResponse {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Box::new(inner))
    }

    pub(super) fn add_retries(&mut self, retries: u32) {
        self.0.retries += retries;
    }

    /// The status as a number, such as 200.
    pub fn code(&self) -> u16 {
        self.0.head.status.as_u16()
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.head.status
    }

    /// The server's reason phrase, else the registered one; may be empty.
    pub fn reason(&self) -> &str {
        match &*self.0.head.reason {
            "" => self.0.head.status.canonical_reason().unwrap_or_default(),
            reason => reason,
        }
    }

    /// The header fields, in order.
    pub fn headers(&self) -> &Headers {
        &self.0.head.headers
    }

    /// The address that answered, after redirects.
    pub fn effective_url(&self) -> &Url {
        self.0.url.url()
    }

    /// The server's address on the network.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.remote_addr
    }

    /// Whether the connection had carried another request before.
    pub fn reused(&self) -> bool {
        self.0.reused
    }

    /// How often the request was sent again: because an idle connection turned out to be
    /// closed, or because a [`Retry`](super::Retry) policy said so.
    pub fn retries(&self) -> u32 {
        self.0.retries
    }

    /// The redirects that were followed, in order.
    pub fn history(&self) -> &[Hop] {
        &self.0.history
    }

    /// How long the body is, if the server has said it and it comes as it is.
    pub fn content_length(&self) -> Option<u64> {
        self.0.body.len()
    }

    /// The connection after a 101, which the request has asked for with
    /// [`upgrade`](super::HttpRequest::upgrade).
    pub fn into_upgraded(mut self) -> Option<Upgraded> {
        self.0.upgraded.take().map(|upgraded| *upgraded)
    }

    /// How long the fetch took: to the head, or to the end once the body was read.
    pub fn request_time(&self) -> Duration {
        Duration::try_from_secs_f64(self.0.marks.info.total).unwrap_or_default()
    }

    /// When each phase ended, in seconds.
    pub fn time_info(&self) -> &TimeInfo {
        &self.0.marks.info
    }

    /// Makes a status of 400 and more an error, as Tornado's `fetch` does.
    ///
    /// # Errors
    /// A [`FetchError`] of [`Phase::Status`] with that status.
    #[doc(alias = "error_for_status")]
    #[doc(alias = "raise_error")]
    pub fn rethrow(self) -> Result<Self, FetchError> {
        if self.0.head.status.as_u16() < 400 {
            return Ok(self);
        }
        let status = self.0.head.status;
        Err(self.error(Phase::Status, Cause::Status(status)))
    }

    /// The whole body, at most `max_body_size` bytes (100 MiB).
    ///
    /// It stays here, so it can be asked for again.
    ///
    /// # Errors
    /// A [`FetchError`] of [`Phase::Body`]: too large, cut off, malformed, or not there
    /// within the request's timeout.
    ///
    /// # Cancel safety
    /// What was read so far is lost, and whoever asks again is told so by an error.
    pub async fn bytes(&mut self) -> Result<Bytes, FetchError> {
        let limit = self.0.max_body_size;
        if let Some(bytes) = self.0.body.to_bytes() {
            return match bytes.len() as u64 <= limit {
                true => Ok(bytes),
                false => Err(self.error(Phase::Body, Cause::Body(BodyError::TooLarge { limit }))),
            };
        }
        let mut body = self.take_body();
        let collected = async { body.collect(limit).await.map_err(Cause::Body) };
        let collected = match &mut self.0.total {
            None => collected.await,
            Some(total) => total.bound(collected).await,
        };
        self.0.marks.extend();
        let bytes = collected.map_err(|cause| self.error(Phase::Body, cause))?;
        self.0.trailers = body.take_trailers().map(Box::new);
        self.0.body = bytes.clone().into();
        Ok(bytes)
    }

    /// The body, for whoever puts it back when all went well.
    pub(super) fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.0.body, Body::stream(Broken))
    }

    pub(super) fn put_body(&mut self, body: Body) {
        self.0.body = body;
    }

    /// The whole body, if it was read with [`bytes`](Self::bytes) or one of its kin, or was
    /// fetched by an [`HttpClient`](super::HttpClient).
    pub fn body(&self) -> Option<&[u8]> {
        self.0.body.as_bytes()
    }

    /// The same as text; what is not UTF-8 is replaced by U+FFFD.
    pub fn body_text(&self) -> Option<Cow<'_, str>> {
        self.body().map(String::from_utf8_lossy)
    }

    /// The same, read as JSON.
    ///
    /// # Errors
    /// A [`FetchError`] of [`Phase::Body`] when it is not the JSON that is expected, or has
    /// not been read.
    pub fn body_json<T: DeserializeOwned>(&self) -> Result<T, FetchError> {
        let body = self.body().ok_or_else(|| {
            let why = BodyError::other("the body has not been read as a whole");
            self.error(Phase::Body, Cause::Body(why))
        })?;
        serde_json::from_slice(body).map_err(|error| self.error(Phase::Body, Cause::Json(error)))
    }

    /// The whole body as text; what is not UTF-8 is replaced by U+FFFD.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn text(&mut self) -> Result<String, FetchError> {
        let bytes = self.bytes().await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The whole body, read as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and when it is not the JSON that is expected.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, FetchError> {
        self.bytes().await?;
        self.body_json()
    }

    /// The next piece of the body; `None` is its end.
    ///
    /// The server is read no faster than this is called.
    ///
    /// # Errors
    /// A [`FetchError`] of [`Phase::Body`]. A body that was cut off is never a clean end,
    /// not for whoever goes on after the error either.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let chunk = self.0.body.chunk().await.transpose();
        chunk.map_err(|error| {
            self.0.body = Body::stream(Broken);
            self.error(Phase::Body, Cause::Body(error))
        })
    }

    /// Reads the body into the file at `path`, and says how long it is.
    ///
    /// It grows beside its place, under a hidden name that ends with `.part`, and is moved
    /// there when it is whole: a file that was there before is replaced at once, or not at
    /// all. Memory holds no more than some pieces.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk); [`Phase::Save`] when it cannot be written.
    ///
    /// # Cancel safety
    /// What was written so far is removed, and the rest of the body is lost: the request has
    /// to be made again.
    pub async fn save_to(&mut self, path: impl AsRef<Path>) -> Result<u64, FetchError> {
        self.save_with_progress(path, |_, _| ()).await
    }

    /// As [`save_to`](Self::save_to), and tells after each piece how many bytes have come,
    /// and of how many if that is known.
    ///
    /// # Errors
    /// As [`save_to`](Self::save_to).
    ///
    /// # Cancel safety
    /// As [`save_to`](Self::save_to).
    pub async fn save_with_progress(
        &mut self,
        path: impl AsRef<Path>,
        on_progress: impl FnMut(u64, Option<u64>),
    ) -> Result<u64, FetchError> {
        save(self, path.as_ref(), on_progress).await
    }

    /// The body, to be passed on as it comes.
    pub fn into_body(mut self) -> Body {
        std::mem::take(&mut self.0.body)
    }

    /// The fields of the chunked body's trailer, once its end was seen: after
    /// [`chunk`](Self::chunk) has given `None`, or after [`bytes`](Self::bytes) and its kin.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        let kept = self.0.trailers.take().map(|trailers| *trailers);
        kept.or_else(|| self.0.body.take_trailers())
    }

    pub(super) fn error(&self, phase: Phase, cause: Cause) -> FetchError {
        let url = self.0.url.shown().to_owned();
        FetchError::new(url, phase, RequestSent::Yes, self.0.marks.info, cause)
    }
}

/// What is left of a body whose reading has failed or was given up: no end of it.
struct Broken;

impl BodyStream for Broken {
    fn poll_chunk(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let why = "an earlier reading of this body has failed or was given up";
        Poll::Ready(Some(Err(BodyError::other(why))))
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.0.head.status)
            .field("url", &self.0.url.shown())
            .field("headers", &self.0.head.headers)
            .field("body", &self.0.body)
            .finish()
    }
}
