//! Heads as nearly everybody writes them, read in one pass.
//!
//! What is written in another way, is wrong or is not all there is left to the full
//! parser, which also says what is wrong. So what is read here has to be what that one
//! reads; a test holds them against each other.

use http::{Method, StatusCode};

use super::Known;
use crate::wire::field::token_len;
use crate::wire::headers::Headers;
use crate::wire::names::{WellKnown, usual};
use crate::wire::steps::text_len;

/// Method and target of an HTTP/1.1 request, and the length of its line. What the target
/// holds is not looked at, except that it is no space.
pub(super) fn request_line(head: &[u8]) -> Option<(Method, &[u8], usize)> {
    const END: &[u8] = b" HTTP/1.1\r\n";
    let (method, rest) = match head.split_at_checked(4)? {
        (b"GET ", rest) => (Method::GET, rest),
        (b"POST", rest) => (Method::POST, rest.strip_prefix(b" ")?),
        _ => return None,
    };
    let (target, behind) = rest.split_at_checked(memchr::memchr(b' ', rest)?)?;
    let line = head.len() - behind.len() + END.len();
    (behind.starts_with(END)).then_some((method, target, line))
}

/// Status and reason of an answer with the usual reason, and the length of its line.
pub(super) fn status_line(head: &[u8]) -> Option<(StatusCode, &'static str, usize)> {
    let (version, rest) = head.split_first_chunk::<9>()?;
    let (code, rest) = rest.split_first_chunk::<3>()?;
    let status = StatusCode::from_bytes(code).ok()?;
    let reason = status.canonical_reason()?;
    let rest = rest.strip_prefix(b" ")?.strip_prefix(reason.as_bytes())?;
    let is_plain = version == b"HTTP/1.1 " && rest.starts_with(b"\r\n");
    is_plain.then_some((status, reason, 15 + reason.len()))
}

/// Reads the fields at the front of `section`, at most so many, and the empty line behind
/// them. Returns what is known of them, and the length of it all.
///
/// Each line has to be as we write it: `name: value CRLF`.
pub(super) fn fields(section: &[u8], most: usize, out: &mut Headers) -> Option<(Known, usize)> {
    let mut known = Known::default();
    let mut rest = section;
    out.begin_parsed();
    for index in 0..most.saturating_add(1) {
        let at = section.len() - rest.len();
        if let [b'\r', b'\n', ..] = rest {
            out.end_parsed(section.get(..at + 2)?);
            return Some((known, at + 2));
        }
        let (field, name_len) = usual(rest).or_else(|| named(rest))?;
        let text = rest.get(name_len..)?.strip_prefix(b": ")?;
        let (value, behind) = text.split_at_checked(text_len(text))?;
        let [b'\r', b'\n', next @ ..] = behind else {
            return None;
        };
        if matches!(value, [b' ', ..] | [.., b' ']) {
            return None;
        }
        known.note(field, index);
        out.push_line(field, at, name_len, value.len());
        rest = next;
    }
    None
}

/// Which field a line is, and how long its name is.
fn named(line: &[u8]) -> Option<(WellKnown, usize)> {
    let name = line.get(..token_len(line))?;
    (!name.is_empty()).then(|| (WellKnown::of(name), name.len()))
}
