//! `HeadError`: why a head was refused, and with which status.
//!
//! Each variant belongs to one rule, so that a log line says what the peer did, and each
//! limit's text names the setting that moves it.

use std::fmt;

use http::StatusCode;

use super::super::target::InvalidTarget;
use super::HeadLimits;

/// Why a head cannot be used. The connection is closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The method is not a token, too long, or reserved. 400.
    Method,
    /// The request line is malformed: not `method SP target SP version`. 400.
    RequestLine,
    /// The request target is malformed, or not allowed with this method. 400.
    Target(InvalidTarget),
    /// The version is malformed. 400.
    Version,
    /// The major version is one we do not speak. 505.
    VersionUnsupported,
    /// The status line is malformed. Responses only.
    StatusLine,
    /// A line does not end with CRLF. 400.
    LineEnd,
    /// Too many empty lines in front of the head. 400.
    EmptyLines,
    /// A header name is malformed, folded, or has space before its colon. 400.
    HeaderName,
    /// A header value holds a control character. 400.
    HeaderValue,
    /// There are more fields than `max_headers`. 431.
    TooManyHeaders {
        /// The limit that was passed.
        limit: usize,
    },
    /// The head is longer than `max_header_size`. 431.
    TooLarge {
        /// The limit that was passed.
        limit: usize,
    },
    /// The request target is longer than `max_target_size`. 414.
    TargetTooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// An HTTP/1.1 request has no `Host`. 400.
    HostMissing,
    /// There are several `Host` fields. 400.
    HostRepeated,
    /// `Host` is not a host with an optional port. 400.
    Host,
    /// A field that may come once came twice. 400.
    FieldRepeated {
        /// The field.
        name: &'static str,
    },
    /// `Content-Length` is not one decimal number, or too large to count. 400.
    ContentLength,
    /// `Content-Length` and `Transfer-Encoding` are both there. 400.
    LengthConflict,
    /// `Transfer-Encoding` is not `chunked`. 400.
    TransferEncoding,
    /// `Transfer-Encoding` in an HTTP/1.0 message. 400.
    TransferEncodingInHttp10,
    /// `Transfer-Encoding` asks for a coding we do not know. 501.
    TransferCodingUnknown,
    /// `Expect` asks for something else than `100-continue`. 417.
    Expectation,
}

impl HeadError {
    /// The status a server answers with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::VersionUnsupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TooManyHeaders { .. } | Self::TooLarge { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::TransferCodingUnknown => StatusCode::NOT_IMPLEMENTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn from_httparse(error: httparse::Error, limits: &HeadLimits) -> Self {
        match error {
            httparse::Error::HeaderName => Self::HeaderName,
            httparse::Error::HeaderValue => Self::HeaderValue,
            httparse::Error::NewLine => Self::LineEnd,
            httparse::Error::Status => Self::StatusLine,
            httparse::Error::Token => Self::RequestLine,
            httparse::Error::TooManyHeaders => Self::TooManyHeaders {
                limit: limits.max_headers,
            },
            httparse::Error::Version => Self::Version,
        }
    }
}

impl From<InvalidTarget> for HeadError {
    fn from(error: InvalidTarget) -> Self {
        Self::Target(error)
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Target(error) => return error.fmt(f),
            Self::TooManyHeaders { limit } => {
                return write!(f, "more than {limit} header fields (setting: max_headers)");
            }
            Self::TooLarge { limit } => {
                return write!(
                    f,
                    "the head is longer than {limit} bytes (setting: max_header_size)"
                );
            }
            Self::TargetTooLong { limit } => {
                return write!(
                    f,
                    "the request target is longer than {limit} bytes (setting: max_target_size)"
                );
            }
            Self::FieldRepeated { name } => return write!(f, "more than one {name} field"),
            Self::Method => "invalid method",
            Self::RequestLine => "malformed request line",
            Self::Version => "malformed HTTP version",
            Self::VersionUnsupported => "HTTP version not supported",
            Self::StatusLine => "malformed status line",
            Self::LineEnd => "a line of the head does not end with CRLF",
            Self::EmptyLines => "too many empty lines in front of the head",
            Self::HeaderName => "malformed header name",
            Self::HeaderValue => "control character in a header value",
            Self::HostMissing => "no Host field",
            Self::HostRepeated => "more than one Host field",
            Self::Host => "invalid Host field",
            Self::ContentLength => "invalid Content-Length",
            Self::LengthConflict => "both Content-Length and Transfer-Encoding",
            Self::TransferEncoding => "invalid Transfer-Encoding",
            Self::TransferEncodingInHttp10 => "Transfer-Encoding in an HTTP/1.0 message",
            Self::TransferCodingUnknown => "transfer coding not implemented",
            Self::Expectation => "expectation not supported",
        };
        f.write_str(text)
    }
}

impl std::error::Error for HeadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Target(error) => Some(error),
            _ => None,
        }
    }
}
