//! `Error`: what to show, what to log, who is to blame and whether to retry.
//!
//! A handler returns it with `?`: every error of the standard library and of other
//! crates turns into one. What such an error says stays in the log, because it may
//! name files, hosts or queries; the client sees the status alone, and of a failed fetch
//! where it failed and the kind of cause. What *you* write with [`Error::bad_request`]
//! and its sisters is shown.
//!
//! ```
//! use squall::{Error, Path, Result};
//!
//! async fn half(Path(number): Path<u32>) -> Result<String> {
//!     if number % 2 == 1 {
//!         return Err(Error::bad_request("the number has to be even"));
//!     }
//!     let text = std::fs::read_to_string("/etc/hostname")?; // a 500, logged
//!     Ok(format!("{} on {text}", number / 2))
//! }
//! ```

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use http::StatusCode;
use squall_http::wire::coding::CodingError;
use squall_http::wire::multipart::MultipartError;
use squall_http::{BodyError, Headers};
use squall_loop::{TimeoutError, say};

use crate::client::FetchError;
use crate::web::extract::{Rejection, RequestPart};

/// A result whose error is answered as a status.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// After how long a client may ask again where there was no room for its request.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

type Source = Box<dyn StdError + Send + Sync>;

/// Why a request could not be answered as asked.
///
/// It is no `std::error::Error` itself, so that every one of those converts into it;
/// it converts into a boxed one.
#[doc(alias = "HTTPError")]
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    status: StatusCode,
    shown: Option<Cow<'static, str>>,
    source: Option<Source>,
    field: Option<Cow<'static, str>>,
    rejection: Option<Rejection>,
    part: Option<RequestPart>,
    /// Members of problem+json in place of or beside the usual ones.
    members: serde_json::Map<String, serde_json::Value>,
    blame: Option<Blame>,
    retry: Option<Duration>,
    headers: Headers,
}

/// Who is to blame for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blame {
    /// Whoever sent the request.
    Client,
    /// This program.
    Server,
    /// A service that this program called.
    Upstream,
}

impl Error {
    /// An error that shows its status and nothing else.
    pub fn status(status: StatusCode) -> Self {
        Self {
            inner: Box::new(Inner {
                status,
                shown: None,
                source: None,
                field: None,
                rejection: None,
                part: None,
                members: serde_json::Map::new(),
                blame: None,
                retry: None,
                headers: Headers::new(),
            }),
        }
    }

    /// 400: the request makes no sense, and why.
    pub fn bad_request(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::BAD_REQUEST).show(shown)
    }

    /// 401: who is asking?
    ///
    /// How that can be proven belongs into it, too (RFC 9110 section 15.5.2): say it with
    /// `.with_header("WWW-Authenticate", "Bearer")`, or whatever the scheme is.
    pub fn unauthorized(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::UNAUTHORIZED).show(shown)
    }

    /// 403: not for you.
    pub fn forbidden(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::FORBIDDEN).show(shown)
    }

    /// 404: there is no such thing.
    pub fn not_found(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::NOT_FOUND).show(shown)
    }

    /// 409: it contradicts what is there.
    pub fn conflict(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::CONFLICT).show(shown)
    }

    /// 413: too much of it.
    pub fn too_large(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::PAYLOAD_TOO_LARGE).show(shown)
    }

    /// 415: a content type that is not understood here.
    pub fn unsupported_media_type(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::UNSUPPORTED_MEDIA_TYPE).show(shown)
    }

    /// 422: well-formed, and still not acceptable.
    pub fn unprocessable(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::UNPROCESSABLE_ENTITY).show(shown)
    }

    /// 500: this program failed. The source is logged, never shown.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::status(StatusCode::INTERNAL_SERVER_ERROR).with_source(source)
    }

    /// 502: a service behind this one failed.
    pub fn bad_gateway(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::BAD_GATEWAY).show(shown)
    }

    /// 503: not now.
    pub fn service_unavailable(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::SERVICE_UNAVAILABLE).show(shown)
    }

    /// 504: something took too long.
    pub fn gateway_timeout(shown: impl Into<Cow<'static, str>>) -> Self {
        Self::status(StatusCode::GATEWAY_TIMEOUT).show(shown)
    }

    /// 400: an argument that has to be there is not.
    #[doc(alias = "MissingArgumentError")]
    pub fn missing_argument(name: &str) -> Self {
        let mut error = Self::bad_request(format!("missing argument {name:?}"));
        error.inner.rejection = Some(Rejection::Missing);
        error.with_field(name.to_owned())
    }

    /// 400: an argument is not what it should be.
    pub fn invalid_argument(name: &str, why: impl fmt::Display) -> Self {
        let mut error = Self::bad_request(format!("argument {name:?}: {why}"));
        error.inner.rejection = Some(Rejection::Invalid);
        error.with_field(name.to_owned())
    }

    /// What an extractor found wrong, with the status that goes with it. It is shown.
    ///
    /// ```
    /// use squall::{Error, Rejection, RequestPart};
    ///
    /// let error = Error::rejected(RequestPart::Body, Rejection::MediaType, "CSV is expected");
    /// assert_eq!(error.status_code().as_u16(), 415);
    /// ```
    pub fn rejected(
        part: RequestPart,
        rejection: Rejection,
        shown: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut error = Self::status(rejection.status()).show(shown).part_of(part);
        error.inner.rejection = Some(rejection);
        error
    }

    /// Says what the client sees. It is shown for every status.
    #[must_use]
    pub fn show(mut self, shown: impl Into<Cow<'static, str>>) -> Self {
        self.inner.shown = Some(shown.into());
        self
    }

    /// Says what caused it, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Changes the status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.inner.status = status;
        self
    }

    /// Names the field of the request that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.inner.field = Some(field.into());
        self
    }

    /// Says which part of the request is wrong.
    #[must_use]
    pub fn part_of(mut self, part: RequestPart) -> Self {
        self.inner.part = Some(part);
        self
    }

    /// Gives the kind of problem an address of its own, at which people may read about
    /// it: the member `type` of problem+json (RFC 9457 section 3.1.1), in place of
    /// `about:blank`, and its `title` in place of the status's words.
    ///
    /// ```
    /// use squall::{Error, StatusCode};
    ///
    /// let error = Error::status(StatusCode::FORBIDDEN)
    ///     .with_type("https://example.com/probs/out-of-credit", "You have not enough credit")
    ///     .with_member("balance", 30);
    /// ```
    #[must_use]
    pub fn with_type(self, uri: &str, title: &str) -> Self {
        self.with_member("type", uri).with_member("title", title)
    }

    /// Adds a member to the answer's problem+json (RFC 9457 section 3.2), or replaces one.
    /// It is shown.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.inner.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header to the answer; an invalid one is left out.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.inner.headers.append(name, value) {
            say(|| {
                tracing::warn!(target: "squall::web", %error, "a header of an error is left out");
            });
        }
        self
    }

    /// Says who is to blame, when the status does not tell.
    #[must_use]
    pub fn blame(mut self, blame: Blame) -> Self {
        self.inner.blame = Some(blame);
        self
    }

    /// Tells the client to try again, not before `delay` (`Retry-After`).
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.inner.retry = Some(delay);
        self
    }

    /// The status of the answer.
    pub fn status_code(&self) -> StatusCode {
        self.inner.status
    }

    /// What the client sees beside the status.
    pub fn shown(&self) -> Option<&str> {
        self.inner.shown.as_deref()
    }

    /// What caused it.
    pub fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.inner.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }

    /// The field of the request that is wrong.
    pub fn field(&self) -> Option<&str> {
        self.inner.field.as_deref()
    }

    /// What an extractor found wrong.
    pub fn rejection(&self) -> Option<Rejection> {
        self.inner.rejection
    }

    /// The part of the request that is wrong.
    pub fn part(&self) -> Option<RequestPart> {
        self.inner.part
    }

    /// What was given with [`with_member`](Self::with_member).
    pub fn members(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.inner.members
    }

    /// The headers of the answer.
    pub fn headers(&self) -> &Headers {
        &self.inner.headers
    }

    /// Who is to blame: as was said, or as the status tells.
    pub fn blamed(&self) -> Blame {
        self.inner.blame.unwrap_or(match self.inner.status {
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Blame::Upstream,
            status if status.is_client_error() => Blame::Client,
            _ => Blame::Server,
        })
    }

    /// When the client may try again, if that was said.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.inner.retry
    }

    /// Whether the same request may well succeed later.
    pub fn is_retryable(&self) -> bool {
        self.inner.retry.is_some()
            || matches!(
                self.inner.status,
                StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
                    | StatusCode::TOO_MANY_REQUESTS
            )
    }

    /// Whether something took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.inner.status,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.inner.shown, &self.inner.source) {
            (Some(shown), _) => f.write_str(shown)?,
            (None, Some(_)) => {}
            (None, None) => write!(f, "{}", self.inner.status)?,
        }
        let mut said = self.inner.shown.as_deref().unwrap_or_default().to_owned();
        let mut next = self.source();
        while let Some(source) = next {
            let text = source.to_string();
            // Many errors show their source themselves.
            if !said.contains(&text) {
                write!(f, "{}{text}", if said.is_empty() { "" } else { ": " })?;
                said.push_str(&text);
            }
            next = source.source();
        }
        Ok(())
    }
}

/// As [`Display`](fmt::Display): this is what `fn main() -> squall::Result<()>` prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let (status, show) = classify(&error);
        let fetch = (&error as &(dyn StdError + 'static)).downcast_ref::<FetchError>();
        let shown = match fetch {
            Some(fetch) => fetch.told(),
            None => show.then(|| error.to_string()),
        };
        let in_line = fetch.is_some_and(FetchError::is_pool);
        let rejection = rejection_of(&error);
        let mut converted = Self::status(status).with_source(error);
        if let Some((part, rejection)) = rejection {
            converted = converted.part_of(part);
            converted.inner.rejection = Some(rejection);
        }
        if in_line {
            converted = converted.retry_after(RETRY_AFTER);
        }
        match shown {
            Some(shown) => converted.show(shown),
            None => converted,
        }
    }
}

/// The status of other people's errors, and whether their text is fit to be shown.
fn classify(error: &(dyn StdError + 'static)) -> (StatusCode, bool) {
    if let Some(body) = error.downcast_ref::<BodyError>() {
        let status = body.status();
        return (status, status.is_client_error());
    }
    if let Some(multipart) = error.downcast_ref::<MultipartError>() {
        return (multipart.status(), true);
    }
    if let Some(coding) = error.downcast_ref::<CodingError>() {
        return (coding.status(), true);
    }
    if let Some(fetch) = error.downcast_ref::<FetchError>() {
        return (fetch.answered_with(), false);
    }
    if error.is::<TimeoutError>() {
        return (StatusCode::GATEWAY_TIMEOUT, true);
    }
    match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::TimedOut => {
            (StatusCode::GATEWAY_TIMEOUT, false)
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, false),
    }
}

/// What bodies and uploads say about a request, in an extractor's words.
fn rejection_of(error: &(dyn StdError + 'static)) -> Option<(RequestPart, Rejection)> {
    if let Some(error) = error.downcast_ref::<MultipartError>() {
        let rejection = match error {
            MultipartError::NotMultipart => Rejection::MediaType,
            MultipartError::TooLarge { .. } => Rejection::TooLarge,
            _ if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Rejection::TooMany,
            _ => Rejection::Syntax,
        };
        return Some((RequestPart::Upload, rejection));
    }
    match error.downcast_ref::<BodyError>()? {
        BodyError::TooLarge { .. } => Some((RequestPart::Body, Rejection::TooLarge)),
        _ => None,
    }
}

impl From<Error> for Source {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

/// An [`Error`] where a standard one is asked for.
struct Boxed(Error);

impl StdError for Boxed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source().and_then(StdError::source)
    }
}

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
