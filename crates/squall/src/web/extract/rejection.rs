//! `Rejection`: what an extractor found wrong, and where.

use std::fmt;

use http::StatusCode;

/// What an extractor found wrong with a request.
///
/// [`Error::rejection`](crate::Error::rejection) tells it to a handler that takes
/// `Result<T>`, to a middleware or an error renderer; clients see it as the member
/// `reason` of problem+json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// Something that has to be there is not. 400; in JSON 422.
    Missing,
    /// Something is not what its type takes. 400; in JSON 422.
    Invalid,
    /// Something that may come once came several times. 400; in JSON 422.
    Repeated,
    /// The whole cannot be read: it is no JSON, no form, no upload. 400.
    Syntax,
    /// Text that is not UTF-8. 400.
    NotUtf8,
    /// A content type, or a charset, that is not read here. 415.
    MediaType,
    /// Larger than a setting allows. 413.
    TooLarge,
    /// More of them than a setting allows. 400; in an upload 413.
    TooMany,
}

impl Rejection {
    /// Its name, as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Repeated => "repeated",
            Self::Syntax => "syntax",
            Self::NotUtf8 => "not-utf-8",
            Self::MediaType => "media-type",
            Self::TooLarge => "too-large",
            Self::TooMany => "too-many",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// The part of a request that an extractor reads.
///
/// Clients see it as the member `in` of problem+json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestPart {
    /// The parameters of the path.
    Path,
    /// The arguments behind the `?`.
    Query,
    /// A header.
    Header,
    /// A body as it is.
    Body,
    /// A JSON document in the body.
    Json,
    /// A urlencoded form in the body.
    Form,
    /// A multipart form in the body.
    Upload,
}

impl RequestPart {
    /// Its name, as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Body => "body",
            Self::Json => "json",
            Self::Form => "form",
            Self::Upload => "upload",
        }
    }
}

impl fmt::Display for RequestPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
