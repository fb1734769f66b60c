//! `MultipartError`: why an upload was refused.

use std::fmt;

use http::StatusCode;

/// Why a multipart body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultipartError {
    /// The content type is not `multipart/form-data`. 415.
    NotMultipart,
    /// The boundary is missing, repeated or malformed. 400.
    Boundary,
    /// A line of the framing does not end with CRLF, or has too much padding. 400.
    Line,
    /// A part's header is malformed, folded, or one that may come once came twice. 400.
    Header,
    /// `Content-Disposition` is missing, malformed, repeated or without a name. 400.
    Disposition,
    /// The body ended before the closing boundary. 400.
    Incomplete,
    /// Something else than a line end follows the closing boundary. 400.
    AfterEnd,
    /// There is more data than a policy allows. 413.
    TooLarge {
        /// The name of the limit.
        setting: &'static str,
        /// The limit that was passed, in bytes.
        limit: u64,
    },
    /// There are more parts than `parts`. 413.
    TooManyParts {
        /// The limit that was passed.
        limit: usize,
    },
    /// A part has more headers than `headers`. 413.
    TooManyHeaders {
        /// The limit that was passed.
        limit: usize,
    },
    /// A part's headers are longer than `header_bytes`. 413.
    HeadersTooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// The text before the first part is longer than `preamble_bytes`. 413.
    PreambleTooLong {
        /// The limit that was passed.
        limit: usize,
    },
}

impl MultipartError {
    /// The status a server answers with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotMultipart => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. }
            | Self::TooManyParts { .. }
            | Self::TooManyHeaders { .. }
            | Self::HeadersTooLong { .. }
            | Self::PreambleTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMultipart => f.write_str("the content type is not multipart/form-data"),
            Self::Boundary => f.write_str("the multipart boundary is missing or malformed"),
            Self::Line => f.write_str("a multipart line does not end with CRLF"),
            Self::Header => f.write_str("a part's header is malformed"),
            Self::Disposition => {
                f.write_str("a part's Content-Disposition is missing, malformed or has no name")
            }
            Self::Incomplete => f.write_str("the multipart body ended before its closing boundary"),
            Self::AfterEnd => {
                f.write_str("the closing multipart boundary is not followed by a line end")
            }
            Self::TooLarge { setting, limit } => {
                write!(f, "larger than {limit} bytes (setting: uploads.{setting})")
            }
            Self::TooManyParts { limit } => {
                write!(f, "more than {limit} parts (setting: uploads.limits.parts)")
            }
            Self::TooManyHeaders { limit } => write!(
                f,
                "a part has more than {limit} headers (setting: uploads.limits.headers)"
            ),
            Self::HeadersTooLong { limit } => {
                write!(
                    f,
                    "a part's headers are longer than {limit} bytes (setting: uploads.limits.header_bytes)"
                )
            }
            Self::PreambleTooLong { limit } => {
                write!(
                    f,
                    "more than {limit} bytes before the first part (setting: uploads.limits.preamble_bytes)"
                )
            }
        }
    }
}

impl std::error::Error for MultipartError {}
