//! `Version`: which HTTP/1 a message is, and what becomes of one that is newer.

use super::HeadError;

/// The version of a message, as far as it changes what we do.
///
/// A higher minor version counts as 1.1, the highest we know (RFC 9110 section 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// HTTP/1.0: no chunked bodies, no persistence unless asked for.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

impl Version {
    /// The version as it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

impl From<Version> for http::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Http10 => http::Version::HTTP_10,
            Version::Http11 => http::Version::HTTP_11,
        }
    }
}

/// The version that `httparse` has found.
pub(super) fn version_of(minor: Option<u8>) -> Version {
    if minor == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    }
}

/// For a version `httparse` does not know: the head as HTTP/1.1, if it is 1.2 or higher.
///
/// `before` is what precedes the version on a line of this kind: a space in requests; in
/// responses the version comes first.
pub(super) fn with_known_minor(head: &[u8], before: u8) -> Result<Vec<u8>, HeadError> {
    let line_end = memchr::memchr(b'\n', head).ok_or(HeadError::Version)?;
    let line = head
        .get(..line_end)
        .and_then(|line| line.strip_suffix(b"\r"))
        .ok_or(HeadError::LineEnd)?;
    let start = if before == b' ' {
        memchr::memrchr(b' ', line).map_or(0, |space| space + 1)
    } else {
        0
    };
    let text = line.get(start..).unwrap_or_default();
    let ends = if before == b' ' {
        text.len() == 8
    } else {
        text.get(8).is_none_or(|byte| *byte == b' ')
    };
    match text.get(..8) {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if ends && major.is_ascii_digit() =>
        {
            if *major != b'1' && minor.is_ascii_digit() && !head.starts_with(b"PRI ") {
                return Err(HeadError::VersionUnsupported);
            }
            // 1.0 and 1.1 come here only when something else is wrong with the line.
            if *major != b'1' || !(b'2'..=b'9').contains(minor) {
                return Err(HeadError::Version);
            }
        }
        _ => return Err(HeadError::Version),
    }
    let mut copy = head.to_vec();
    if let Some(minor) = copy.get_mut(start + 7) {
        *minor = b'1';
    }
    Ok(copy)
}
