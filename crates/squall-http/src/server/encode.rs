//! An answer's head on the wire, with the framing that the engine generates.

use std::cell::Cell;
use std::time::SystemTime;

use http::StatusCode;
use squall_loop::time::coarse_nanos;

use super::message::Response;
use crate::body::Body;
use crate::wire::date;
use crate::wire::encode::{end, field, status_line};
use crate::wire::head::Version;
use crate::wire::headers::Headers;
use crate::wire::names::WellKnown;

/// How an answer's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body on the wire.
    None,
    /// So many bytes.
    Fixed(u64),
    /// Chunked.
    Chunked,
    /// Until the connection is closed, for HTTP/1.0.
    UntilClose,
}

/// Finds the framing of an answer (RFC 9112 section 6); `is_head`: to a HEAD.
pub(super) fn framing(is_head: bool, version: Version, status: StatusCode, body: &Body) -> Framing {
    if is_head || has_no_body(status) {
        return Framing::None;
    }
    match (body.len(), version) {
        (Some(length), _) => Framing::Fixed(length),
        (None, Version::Http11) => Framing::Chunked,
        (None, Version::Http10) => Framing::UntilClose,
    }
}

fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Writes a head. `keep` says whether the connection goes on after it.
pub(super) fn head(
    out: &mut Vec<u8>,
    (is_head, version): (bool, Version),
    (status, headers, body): (StatusCode, &Headers, &Body),
    framing: Framing,
    keep: bool,
) {
    status_line(out, version, status);
    let mut has_type = false;
    let mut has_date = false;
    if !headers.is_empty() {
        headers.write_some(out, |field| {
            match field {
                WellKnown::Date => has_date = true,
                WellKnown::ContentType => has_type = true,
                WellKnown::ContentLength
                | WellKnown::Connection
                | WellKnown::KeepAlive
                | WellKnown::TransferEncoding => return false,
                _ => {}
            }
            true
        });
    }
    // The usual fields are written piece by piece: short literals cost no copy call.
    if let Some(content_type) = body.content_type().filter(|_| !has_type) {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match framing {
        Framing::Fixed(length) => content_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        // A HEAD is told what a GET would get, where that is known.
        Framing::None if is_head && !has_no_body(status) => {
            let told = headers.get_all("content-length").last();
            let told = told.and_then(|told| std::str::from_utf8(told).ok()?.parse().ok());
            if let Some(length) = told.or(body.len()) {
                content_length(out, length);
            }
        }
        Framing::None | Framing::UntilClose => {}
    }
    if !has_date {
        date_field(out);
    }
    match (keep, version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
    end(out);
}

/// Writes the head of an interim answer, or of a 101, behind which HTTP ends.
pub(super) fn interim(out: &mut Vec<u8>, status: StatusCode, headers: &Headers) {
    const GENERATED: [&str; 4] = [
        "connection",
        "content-length",
        "keep-alive",
        "transfer-encoding",
    ];
    status_line(out, Version::Http11, status);
    for (name, value) in headers.iter() {
        if !(GENERATED.iter()).any(|generated| name.eq_ignore_ascii_case(generated)) {
            field(out, name, value);
        }
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
    end(out);
}

fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a whole answer that closes its connection; its body, which is in memory, unless
/// it is one to a HEAD.
pub(super) fn whole(out: &mut Vec<u8>, is_head: bool, answer: Response) {
    let (status, headers, body) = answer.into_parts();
    let bytes = body.as_bytes().unwrap_or_default();
    let framing = match is_head {
        true => Framing::None,
        false => Framing::Fixed(bytes.len() as u64),
    };
    let answer = (status, &headers, &body);
    head(out, (is_head, Version::Http11), answer, framing, false);
    if !is_head {
        out.extend_from_slice(bytes);
    }
}

/// Writes the `Date` field (RFC 9110 section 6.6.1), formatted twice a second.
fn date_field(out: &mut Vec<u8>) {
    const FRESH: u64 = 500_000_000;
    thread_local! {
        /// When it was made, and the line; without one at first.
        static LINE: Cell<(u64, [u8; DATE_LINE])> = const { Cell::new((u64::MAX, [0; DATE_LINE])) };
    }
    let now = coarse_nanos();
    let (made, mut line) = LINE.get();
    if now.wrapping_sub(made) >= FRESH || made == u64::MAX {
        line = *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
        if let Some(date) = line.get_mut(6..DATE_LINE - 2) {
            date.copy_from_slice(&date::format(SystemTime::now()));
        }
        LINE.set((now, line));
    }
    out.extend_from_slice(&line);
}

/// Its length is always the same.
const DATE_LINE: usize = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n".len();
