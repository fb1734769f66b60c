//! `ForwardError`: why an upstream gave no answer, and what the client is told.

use std::fmt;

use http::StatusCode;
use squall_http::BodyError;

use crate::client::{FetchError, Phase};

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
    Fetch(FetchError),
}

impl ForwardError {
    /// The path cannot be mapped safely.
    pub(super) fn path(why: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            cause: Cause::Path(why),
        }
    }

    pub(super) fn from_fetch(error: FetchError) -> Self {
        let status = match error.phase() {
            // The client's own fault, such as a body that it did not finish.
            _ if error.request_body().is_some() => error
                .request_body()
                .map_or(StatusCode::BAD_REQUEST, BodyError::status),
            Phase::Request => StatusCode::INTERNAL_SERVER_ERROR,
            Phase::Queue => StatusCode::SERVICE_UNAVAILABLE,
            _ if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self {
            status,
            cause: Cause::Fetch(error),
        }
    }

    /// The status of the answer: 502, 503 or 504 for the upstream's part, 4xx for the
    /// client's, 500 for an upstream address that is none.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What became of the request to the upstream, if there was one.
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match &self.cause {
            Cause::Path(_) => None,
            Cause::Fetch(error) => Some(error),
        }
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Path(why) => write!(f, "the path cannot be forwarded: {why}"),
            Cause::Fetch(error) => error.fmt(f),
        }
    }
}

/// The client is told where it failed and the kind of cause; the whole story, which names
/// hosts, goes to the log.
impl From<ForwardError> for crate::Error {
    fn from(error: ForwardError) -> Self {
        let converted = Self::status(error.status);
        match error.cause {
            Cause::Path(why) => converted.show(why),
            Cause::Fetch(error) => match error.told() {
                Some(told) => converted.show(told).with_source(error),
                None => converted.with_source(error),
            },
        }
    }
}
