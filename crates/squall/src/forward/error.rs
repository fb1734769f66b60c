//! `ForwardError`: why an upstream gave no answer, and what the client is told.

use std::fmt;

use http::StatusCode;

use crate::client::FetchError;
use crate::error::RETRY_AFTER;

/// A request that could not be forwarded.
///
/// It converts into [`squall::Error`](crate::Error) with its status. Like that it is no
/// `std::error::Error` itself.
#[derive(Debug)]
pub struct ForwardError {
    status: StatusCode,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Path(&'static str),
    /// The settings cannot be used.
    Invalid(String),
    Unavailable(String),
    /// The upstream has switched to another protocol than it was asked for.
    Switched,
    /// The request has been here before.
    Circled,
    /// The program's own, when it changed the request.
    Rewrite(crate::Error),
    Fetch(FetchError),
}

impl ForwardError {
    fn new(status: StatusCode, cause: Cause) -> Self {
        Self { status, cause }
    }

    /// The path cannot be mapped safely.
    pub(super) fn path(why: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Cause::Path(why))
    }

    pub(super) fn invalid(why: String) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Cause::Invalid(why))
    }

    /// There is no upstream that could be asked.
    pub(super) fn unavailable(why: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Cause::Unavailable(why))
    }

    pub(super) fn switched() -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Cause::Switched)
    }

    pub(super) fn circled() -> Self {
        Self::new(StatusCode::LOOP_DETECTED, Cause::Circled)
    }

    pub(super) fn rewrite(error: crate::Error) -> Self {
        Self::new(error.status_code(), Cause::Rewrite(error))
    }

    pub(super) fn from_fetch(error: FetchError) -> Self {
        Self::new(error.answered_with(), Cause::Fetch(error))
    }

    /// The status of the answer: 502, 503 or 504 for the upstream's part, 4xx for the
    /// client's, 500 for settings that cannot be used, such as an address that is none, 508
    /// for a request that comes back to where it has been, or what
    /// [`rewrite`](super::Forward::rewrite) has said.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What became of the request to the upstream, if there was one.
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match &self.cause {
            Cause::Fetch(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Path(why) => write!(f, "the path cannot be forwarded: {why}"),
            Cause::Invalid(why) => write!(f, "the forward cannot be used as it is set: {why}"),
            Cause::Unavailable(why) => f.write_str(why),
            Cause::Switched => {
                f.write_str("the upstream switches to another protocol than it was asked for")
            }
            Cause::Circled => f.write_str("the request goes in a circle: Via has our own name"),
            Cause::Rewrite(error) => error.fmt(f),
            Cause::Fetch(error) => error.fmt(f),
        }
    }
}

/// The client is told where it failed and the kind of cause; the whole story, which names
/// hosts, goes to the log.
impl From<ForwardError> for crate::Error {
    fn from(error: ForwardError) -> Self {
        let story = error.to_string();
        let converted = Self::status(error.status);
        match error.cause {
            Cause::Path(why) => converted.show(why),
            Cause::Rewrite(error) => error,
            Cause::Fetch(error) => error.into(),
            Cause::Unavailable(_) => converted
                .show("no server for this request is available at the moment")
                .retry_after(RETRY_AFTER)
                .with_source(story),
            Cause::Circled => converted
                .show("the request goes in a circle")
                .with_source(story),
            Cause::Invalid(_) | Cause::Switched => converted.with_source(story),
        }
    }
}
