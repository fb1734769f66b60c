//! Answers: what a handler may return.

mod attachment;
mod file;
mod html;
mod json;
mod redirect;
mod sse;

use bytes::Bytes;
use http::StatusCode;
use squall_http::server::Response;
use squall_http::{Body, Headers};

pub use attachment::Attachment;
pub use file::File;
pub use html::Html;
pub use redirect::Redirect;
pub use sse::{Event, EventSender, NotSent, Sse};

use crate::{Error, Result};

const OCTETS: &str = "application/octet-stream";

/// Anything that a handler may return.
///
/// | type | answer |
/// |---|---|
/// | `&'static str`, `String` | `text/plain` |
/// | `Vec<u8>`, `Bytes` | `application/octet-stream` |
/// | [`Json<T>`](crate::Json), [`Html<T>`] | as they say |
/// | [`Body`] | streamed, as it says |
/// | [`File`] | a file from disk, streamed |
/// | [`Sse`] | events, as they happen |
/// | [`Attachment<T>`] | `T`, to be saved under a name |
/// | `StatusCode`, `()` | that status, 200; no body |
/// | `(StatusCode, T)`, `(headers, T)`, `(StatusCode, headers, T)` | `T` with another status and headers |
/// | [`Redirect`] | 303, or as it says |
/// | `Option<T>` | 404 when there is none |
/// | `Result<T, E>` | the error, rendered; any error converts |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an answer",
    label = "a handler cannot return this",
    note = "return text, bytes, `Json<T>`, `Html<T>`, `Body`, `StatusCode`, `Response`, a tuple \
            `(StatusCode, T)`, or a `squall::Result` of these"
)]
pub trait IntoResponse {
    /// The answer, or the error that is rendered in its place.
    ///
    /// # Errors
    /// Whatever stands in the way of an answer.
    fn into_response(self) -> Result<Response>;
}

/// Headers of an answer: [`Headers`], an array of names and values, or
/// [`Cookies`](crate::Cookies).
pub trait IntoHeaders {
    /// Appends them.
    ///
    /// # Errors
    /// When a name or a value holds what a header may not.
    fn append_to(self, headers: &mut Headers) -> Result<()>;
}

impl IntoHeaders for Headers {
    fn append_to(self, headers: &mut Headers) -> Result<()> {
        for (name, value) in self.iter() {
            headers.append(name, value)?;
        }
        Ok(())
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>, const N: usize> IntoHeaders for [(K, V); N] {
    fn append_to(self, headers: &mut Headers) -> Result<()> {
        for (name, value) in self {
            headers.set(name.as_ref(), value)?;
        }
        Ok(())
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Result<Response> {
        Ok(self)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Result<Response> {
        Ok(Response::default())
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Result<Response> {
        Ok(Response::new(self, Body::empty()))
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Result<Response> {
        Ok(Response::new(StatusCode::OK, self))
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Result<Response> {
        Ok(Response::new(StatusCode::OK, self))
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Result<Response> {
        Bytes::from(self).into_response()
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Result<Response> {
        Body::from(self).with_content_type(OCTETS).into_response()
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Result<Response> {
        Ok(Response::new(StatusCode::OK, self))
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Result<Response> {
        let mut response = self.1.into_response()?;
        response.set_status(self.0);
        Ok(response)
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (H, T) {
    fn into_response(self) -> Result<Response> {
        let mut response = self.1.into_response()?;
        self.0.append_to(response.headers_mut())?;
        Ok(response)
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (StatusCode, H, T) {
    fn into_response(self) -> Result<Response> {
        (self.0, (self.1, self.2)).into_response()
    }
}

impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> Result<Response> {
        match self {
            Some(answer) => answer.into_response(),
            None => Err(Error::status(StatusCode::NOT_FOUND)),
        }
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Result<Response> {
        self.map_err(Into::into)?.into_response()
    }
}

/// Always an error.
impl IntoResponse for Error {
    fn into_response(self) -> Result<Response> {
        Err(self)
    }
}

/// `T` is never made.
impl IntoResponse for std::convert::Infallible {
    fn into_response(self) -> Result<Response> {
        match self {}
    }
}
