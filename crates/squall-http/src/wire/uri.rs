//! Paths and queries: split, decoded once, encoded.
//!
//! A path is decoded segment by segment and exactly once, so that `%2F` never becomes a
//! separator and `%252e` never becomes a dot (RFC 3986 sections 2.4 and 3.3). A query is
//! pairs in `application/x-www-form-urlencoded` notation, as browsers write it: see
//! [`super::form`].
//!
//! ```
//! use squall_http::wire::uri;
//!
//! let (path, query) = uri::split("/a%2Fb/c?d=e");
//! let segments: Vec<_> = uri::segments(path).map(uri::decode_segment).collect::<Result<_, _>>()?;
//! assert_eq!(segments, ["a/b", "c"]);
//! assert_eq!(query, Some("d=e"));
//! # Ok::<(), uri::DecodeError>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Everything but `pchar` (RFC 3986 section 3.3).
const NOT_PCHAR: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Splits an origin-form target into path and query; the fragment, if any, is dropped.
pub fn split(target: &str) -> (&str, Option<&str>) {
    let target = target.split('#').next().unwrap_or_default();
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// The segments of a path, still encoded. `/a//b/` has `a`, an empty one, `b`, an empty one.
pub fn segments(path: &str) -> std::str::Split<'_, char> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// Decodes one path segment.
///
/// A `%` without two hexadecimal digits, a NUL, and what is not UTF-8 are errors. Whether
/// the result, which may hold a slash or be `..`, is safe depends on its use: for file
/// names see [`is_safe_file_segment`].
pub fn decode_segment(segment: &str) -> Result<Cow<'_, str>, DecodeError> {
    if memchr::memchr2(b'%', 0, segment.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(segment));
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match *first {
            b'%' => {}
            0 => return Err(DecodeError::Nul),
            byte => {
                bytes.push(byte);
                continue;
            }
        }
        let [high, low, tail @ ..] = tail else {
            return Err(DecodeError::Percent);
        };
        match (hex(*high), hex(*low)) {
            (Some(0), Some(0)) => return Err(DecodeError::Nul),
            (Some(high), Some(low)) => bytes.push(high << 4 | low),
            _ => return Err(DecodeError::Percent),
        }
        rest = tail;
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| DecodeError::Utf8)
}

/// Percent-encodes a text for use as one path segment; a slash becomes `%2F`.
///
/// The segments `.` and `..` cannot be encoded: every reader undoes it.
pub fn encode_segment(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, NOT_PCHAR).into()
}

/// Whether a decoded segment can be a file's name on every system.
///
/// Not empty, not `.` or `..`, no separator of any system, no colon (drives and streams of
/// Windows) and no control.
pub fn is_safe_file_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && !segment
            .chars()
            .any(|char| matches!(char, '/' | '\\' | ':') || char.is_control())
}

/// Why a path segment cannot be decoded. A server answers 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// A percent sign without two hexadecimal digits behind it.
    Percent,
    /// `%00`.
    Nul,
    /// The decoded bytes are not UTF-8.
    Utf8,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Percent => "a percent sign is not followed by two hexadecimal digits",
            Self::Nul => "a path must not contain %00",
            Self::Utf8 => "the decoded path is not UTF-8",
        })
    }
}

impl std::error::Error for DecodeError {}

/// The value of a hexadecimal digit.
pub(super) fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits() {
        assert_eq!(split("/a?b?c"), ("/a", Some("b?c")));
        assert_eq!(split("/a?"), ("/a", Some("")));
        assert_eq!(split("/a#b?c"), ("/a", None));
        assert_eq!(segments("/a//b/").collect::<Vec<_>>(), ["a", "", "b", ""]);
        assert_eq!(segments("/").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn decodes_once() {
        for (text, decoded) in [
            ("a+b", Ok("a+b")),
            ("%41%e2%82%AC", Ok("A\u{20ac}")),
            ("%2e%2E", Ok("..")),
            ("%252e", Ok("%2e")),
            ("%2F", Ok("/")),
            ("%", Err(DecodeError::Percent)),
            ("%4", Err(DecodeError::Percent)),
            ("a%zz", Err(DecodeError::Percent)),
            ("%+1", Err(DecodeError::Percent)),
            ("%00", Err(DecodeError::Nul)),
            ("\0", Err(DecodeError::Nul)),
            ("%41\0", Err(DecodeError::Nul)),
            ("%ff", Err(DecodeError::Utf8)),
            ("%c0%ae", Err(DecodeError::Utf8)),
        ] {
            assert_eq!(
                decode_segment(text).as_deref().map_err(|error| *error),
                decoded,
                "{text}"
            );
        }
    }

    #[test]
    fn file_segments() {
        for bad in ["", ".", "..", "a/b", "a\\b", "c:", "a\0", "a\n"] {
            assert!(!is_safe_file_segment(bad), "{bad:?}");
        }
        assert!(is_safe_file_segment("...") && is_safe_file_segment("a b.txt"));
    }

    proptest! {
        #[test]
        fn a_segment_survives(text in "[^\0]{0,20}") {
            let encoded = encode_segment(&text);
            prop_assert!(!encoded.contains(['/', '?', '#', ' ']));
            prop_assert_eq!(decode_segment(&encoded).unwrap(), text.as_str());
        }
    }
}
