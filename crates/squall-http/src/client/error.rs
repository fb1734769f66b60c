//! `ExchangeError`: why a request has no answer.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::body::BodyError;
use crate::wire::head::HeadError;
use crate::wire::target::InvalidTarget;

/// Why an exchange ended without an answer's head. The connection is closed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The request target holds a byte that none may hold. Nothing was sent.
    Target(InvalidTarget),
    /// The request's own body failed; what was sent of it is no complete request.
    Body(BodyError),
    /// The request's body was not as long as it said.
    BodyLength {
        /// How many bytes were missing; `None`: there were too many.
        missing: Option<u64>,
    },
    /// The request could not be sent, and no answer had come.
    Write(io::Error),
    /// The answer could not be read.
    Read(io::Error),
    /// The peer closed without a complete answer's head.
    Closed,
    /// The answer's head is malformed or too large.
    Head(HeadError),
    /// More 1xx answers than `informational`.
    TooManyInformational {
        /// The limit that was passed.
        limit: usize,
    },
    /// The peer switches protocols without having been asked.
    SwitchingProtocols,
    /// Nothing moved for too long.
    TimedOut {
        /// The limit that was reached.
        limit: Duration,
        /// What rules it.
        setting: &'static str,
    },
}

impl ExchangeError {
    /// Whether the connection ended under the request, as one that was idle too long does.
    ///
    /// A TLS alert ends it too, and is none: the peer says why, and would say it again.
    pub fn is_disconnect(&self) -> bool {
        match self {
            Self::Write(_) | Self::Closed => true,
            Self::Read(error) => error.kind() != io::ErrorKind::InvalidData,
            _ => false,
        }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::Body(error) => write!(f, "the request's body failed: {error}"),
            Self::BodyLength {
                missing: Some(missing),
            } => write!(
                f,
                "the request's body ended {missing} bytes before its length"
            ),
            Self::BodyLength { missing: None } => {
                f.write_str("the request's body is longer than its length")
            }
            Self::Write(error) => write!(f, "the request could not be sent: {error}"),
            Self::Read(error) => write!(f, "the answer could not be read: {error}"),
            Self::Closed => f.write_str("the peer closed the connection before it answered"),
            Self::Head(error) => write!(f, "the answer is malformed: {error}"),
            Self::TooManyInformational { limit } => {
                write!(f, "more than {limit} 1xx answers (informational)")
            }
            Self::SwitchingProtocols => {
                f.write_str("the peer switches protocols without having been asked")
            }
            Self::TimedOut { limit, setting } => {
                write!(f, "nothing moved for {limit:?} ({setting})")
            }
        }
    }
}

impl std::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Target(error) => Some(error),
            Self::Body(error) => Some(error),
            Self::Write(error) | Self::Read(error) => Some(error),
            Self::Head(error) => Some(error),
            _ => None,
        }
    }
}
