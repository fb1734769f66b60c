//! Request and response heads: bytes in, [`RequestHead`] or [`ResponseHead`] out.
//!
//! Heads as nearly everybody writes them are read in one pass (`plain`). In all others
//! `httparse` finds the tokens; this file adds what a server on the open internet needs:
//! limits, no bare line feeds, no empty-line floods, a checked target, exactly one `Host`.
//! Whatever two parsers could read differently is an error (RFC 9112 section 11.2). The
//! values are reused from head to head and keep their memory. A head that drips in is
//! scanned once per byte, and parsed when its empty line has arrived.
//!
//! ```
//! use squall_http::wire::head::{HeadLimits, RequestHead, parse_request};
//!
//! let mut head = RequestHead::new();
//! let wire = b"GET /a?b=c HTTP/1.1\r\nHost: a.test\r\n\r\nnext";
//! let used = parse_request(wire, &HeadLimits::default(), &mut head)?;
//! assert_eq!(used, Some(wire.len() - 4));
//! assert_eq!((head.path(), head.query()), ("/a", Some("b=c")));
//! # Ok::<(), squall_http::wire::head::HeadError>(())
//! ```

mod error;
mod known;
mod plain;
mod scan;
mod version;

use std::borrow::Cow;
use std::mem::MaybeUninit;

use http::{Method, StatusCode};
use httparse::{Header, ParserConfig, Status};

pub use self::error::HeadError;
pub use self::known::Known;
use self::scan::Scan;
pub use self::version::Version;
use self::version::{version_of, with_known_minor};
use super::headers::Headers;
use super::names::WellKnown;
use super::target::{self, Marks, TargetForm};

/// Empty lines that are skipped in front of a head (RFC 9112 section 2.2).
const EMPTY_LINES: usize = 8;
/// Longest method; the longest registered one has 17 bytes.
const METHOD_BYTES: usize = 64;
/// Slots for header fields on the stack: the ceiling of `HeadLimits::max_headers`.
const SLOTS: usize = 256;

/// What a peer may send as one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Size of the whole head, in bytes. Default 64 KiB.
    pub max_header_size: usize,
    /// Number of field lines. Default 100, at most 256.
    pub max_headers: usize,
    /// Length of the request target, in bytes. Default 8 KiB.
    pub max_target_size: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            max_header_size: 64 << 10,
            max_headers: 100,
            max_target_size: 8 << 10,
        }
    }
}

/// The head of a request. Reusable: parsing into it again keeps its memory.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// The method, case kept: methods are case-sensitive (RFC 9110 section 9.1).
    pub method: Method,
    /// The version of the message.
    pub version: Version,
    /// The header fields. `Host` is the effective one: see [`RequestHead::host`].
    pub headers: Headers,
    target: String,
    form: TargetForm,
    marks: Marks,
    known: Known,
    scan: Scan,
    /// The last `Host` that was checked and found valid; outlives [`clear`](Self::clear).
    valid_host: Vec<u8>,
}

impl RequestHead {
    /// Makes an empty head to parse into.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the request, and a head that was half scanned; keeps the memory.
    pub fn clear(&mut self) {
        self.method = Method::GET;
        self.version = Version::Http11;
        self.headers.clear();
        self.target.clear();
        self.form = TargetForm::Origin;
        self.marks = Marks::default();
        self.known = Known::default();
        self.scan = Scan::default();
    }

    /// Whether the path may have a segment `.` or `..`, in any spelling. Most have not, and
    /// need not be looked through for it.
    pub fn may_have_dot_segments(&self) -> bool {
        self.marks.dots
    }

    /// The request target as it was sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Which of the four forms the target has.
    pub fn target_form(&self) -> TargetForm {
        self.form
    }

    /// The path, still percent-encoded. `*` or the authority for those forms.
    pub fn path(&self) -> &str {
        let text = self.path_and_query();
        let end = (self.marks.question)
            .then(|| memchr::memchr(b'?', text.as_bytes()))
            .flatten();
        match end.and_then(|end| text.get(..end)).unwrap_or(text) {
            "" if self.form == TargetForm::Absolute => "/",
            path => path,
        }
    }

    /// The query without its question mark, still percent-encoded.
    pub fn query(&self) -> Option<&str> {
        let (_, query) = (self.marks.question)
            .then(|| self.path_and_query().split_once('?'))
            .flatten()?;
        Some(query)
    }

    /// The host the request is for, with its port if one was given.
    ///
    /// The authority of an absolute target wins over the `Host` field (RFC 9112 section
    /// 3.2.2), and the field is replaced by it while parsing, so no two readers of this
    /// head can disagree about the host.
    pub fn host(&self) -> Option<&str> {
        match self.known.plain_host(&self.headers) {
            Some(host) => std::str::from_utf8(host).ok(),
            None => self.headers.get("host"),
        }
    }

    /// Which fields that steer the connection were in the head as it was parsed.
    pub fn known(&self) -> Known {
        self.known
    }

    /// Whether the connection may carry another request (RFC 9112 section 9.3).
    pub fn keep_alive(&self) -> bool {
        keep_alive(self.version, self.known, &self.headers)
    }

    /// The path and the query as they came. Without a path, which an absolute target need
    /// not have, it is empty or begins with the question mark.
    pub fn path_and_query(&self) -> &str {
        match self.form {
            TargetForm::Absolute => {
                target::split_absolute(&self.target).map_or("/", |(_, rest)| rest)
            }
            _ => &self.target,
        }
    }
}

/// The head of a response. Reusable: parsing into it again keeps its memory.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// The version of the message.
    pub version: Version,
    /// The reason phrase; empty if it is absent or holds obs-text.
    pub reason: Cow<'static, str>,
    /// The header fields.
    pub headers: Headers,
    known: Known,
    scan: Scan,
}

impl ResponseHead {
    /// Makes an empty head to parse into.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the response, and a head that was half scanned; keeps the memory.
    pub fn clear(&mut self) {
        self.status = StatusCode::OK;
        self.version = Version::Http11;
        self.reason = Cow::Borrowed("");
        self.headers.clear();
        self.known = Known::default();
        self.scan = Scan::default();
    }

    /// Which fields that steer the connection were in the head as it was parsed.
    pub fn known(&self) -> Known {
        self.known
    }

    /// Whether the connection may carry another request (RFC 9112 section 9.3).
    pub fn keep_alive(&self) -> bool {
        keep_alive(self.version, self.known, &self.headers)
    }
}

/// The answer of the usual heads without a search.
#[inline]
fn keep_alive(version: Version, known: Known, headers: &Headers) -> bool {
    if !known.connection() {
        return version == Version::Http11;
    }
    match known.plain_connection(headers) {
        Some(keep_alive) => keep_alive,
        None => super::framing::keep_alive(version, headers),
    }
}

/// Parses one request head at the front of `buf` into `out`.
///
/// Returns how many bytes the head takes, empty lines in front of it included, or `None`
/// if it is not complete. Then call again with the same bytes and more behind them, and
/// the same `out`: it remembers how far the head has been looked at. Call
/// [`RequestHead::clear`] before a different connection uses `out`. What can never become
/// a head is refused early, except for a stray CR, which is refused when the head ends.
///
/// ```text
/// bytes -> empty lines skipped -> plain ----------------> target -> Host -> Ok(Some(n))
///                                   `-> httparse -> line ends ---^
///                                          `-- incomplete -> scan, limits -> Ok(None)
/// ```
pub fn parse_request(
    buf: &[u8],
    limits: &HeadLimits,
    out: &mut RequestHead,
) -> Result<Option<usize>, HeadError> {
    let Some((skipped, head)) = skip_empty_lines(buf)? else {
        return Ok(None);
    };
    if !out.scan.is_worth_parsing(head, limits, true)? {
        return Ok(None);
    }
    let used = match read_request(head, limits, out) {
        Err(error @ (HeadError::Version | HeadError::LineEnd)) => {
            let Some(whole) = out.scan.whole_head(head, limits, true)? else {
                return Ok(None);
            };
            if error == HeadError::LineEnd {
                return Err(error);
            }
            read_request(&with_known_minor(whole, b' ')?, limits, out)?
        }
        used => used?,
    };
    match used {
        Some(used) => out.scan.end(used, limits).map(|used| Some(skipped + used)),
        None => out.scan.wait(head, limits, true).map(|()| None),
    }
}

/// Parses one response head at the front of `buf` into `out`; `None` if incomplete.
///
/// As strict as [`parse_request`], with two concessions to old servers: a missing reason
/// phrase, and folded lines, which are unfolded (RFC 9112 section 5.2).
pub fn parse_response(
    buf: &[u8],
    limits: &HeadLimits,
    out: &mut ResponseHead,
) -> Result<Option<usize>, HeadError> {
    let Some((skipped, head)) = skip_empty_lines(buf)? else {
        return Ok(None);
    };
    if !out.scan.is_worth_parsing(head, limits, false)? {
        return Ok(None);
    }
    let used = match read_response(head, limits, out) {
        Err(error @ (HeadError::Version | HeadError::LineEnd)) => {
            let Some(whole) = out.scan.whole_head(head, limits, false)? else {
                return Ok(None);
            };
            if error == HeadError::LineEnd {
                return Err(error);
            }
            read_response(&with_known_minor(whole, b'H')?, limits, out)?
        }
        used => used?,
    };
    match used {
        Some(used) => out.scan.end(used, limits).map(|used| Some(skipped + used)),
        None => out.scan.wait(head, limits, false).map(|()| None),
    }
}

fn read_request(
    head: &[u8],
    limits: &HeadLimits,
    out: &mut RequestHead,
) -> Result<Option<usize>, HeadError> {
    match read_plain_request(head, limits, out) {
        Some(used) => Ok(Some(used)),
        None => read_any_request(head, limits, out),
    }
}

/// Reads one of the usual heads. `None` says nothing: the full parser has to look.
fn read_plain_request(head: &[u8], limits: &HeadLimits, out: &mut RequestHead) -> Option<usize> {
    let (method, target, line) = plain::request_line(head)?;
    if target.len() > limits.max_target_size {
        return None;
    }
    let section = head.get(line..)?;
    let (known, rest) = plain::fields(section, most_fields(limits), &mut out.headers)?;
    (out.method, out.version, out.known) = (method, Version::Http11, known);
    // It is checked where it lies from now on: text at the begin of a word is read by words.
    let mut text = std::mem::take(&mut out.target).into_bytes();
    text.clear();
    text.extend_from_slice(target);
    out.target = String::from_utf8(text).ok()?;
    (out.form, out.marks) = target::check(&out.method, &out.target).ok()?;
    check_host(out).ok()?;
    Some(line + rest)
}

/// The same for every head.
#[inline(never)] // The usual ones need no room for 256 fields.
fn read_any_request(
    head: &[u8],
    limits: &HeadLimits,
    out: &mut RequestHead,
) -> Result<Option<usize>, HeadError> {
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; SLOTS];
    let slots = slots.get_mut(..most_fields(limits)).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    let used = match ParserConfig::default().parse_request_with_uninit_headers(
        &mut request,
        head,
        slots,
    ) {
        Ok(Status::Complete(used)) => used,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(HeadError::from_httparse(error, limits)),
    };
    let (method, target) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    if target.len() > limits.max_target_size {
        return Err(HeadError::TargetTooLong {
            limit: limits.max_target_size,
        });
    }
    out.method = match method {
        "GET" => Method::GET,
        "POST" => Method::POST,
        // The client preface of HTTP/2 is reserved, not a method (RFC 9113 section 3.4).
        "PRI" => return Err(HeadError::Method),
        _ if method.len() > METHOD_BYTES => return Err(HeadError::Method),
        _ => Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Method)?,
    };
    out.version = version_of(request.version);
    (out.form, out.marks) = target::check(&out.method, target)?;
    out.target.clear();
    out.target.push_str(target);
    out.known = read_fields(head, used, request.headers, &mut out.headers)?;
    check_host(out)?;
    Ok(Some(used))
}

fn most_fields(limits: &HeadLimits) -> usize {
    limits.max_headers.min(SLOTS)
}

fn read_response(
    head: &[u8],
    limits: &HeadLimits,
    out: &mut ResponseHead,
) -> Result<Option<usize>, HeadError> {
    if let Some((status, reason, line)) = plain::status_line(head)
        && let Some(section) = head.get(line..)
        && let Some((known, rest)) = plain::fields(section, most_fields(limits), &mut out.headers)
    {
        (out.status, out.version) = (status, Version::Http11);
        (out.reason, out.known) = (Cow::Borrowed(reason), known);
        return Ok(Some(line + rest));
    }
    read_any_response(head, limits, false, out)
}

/// The same for every head.
fn read_any_response(
    head: &[u8],
    limits: &HeadLimits,
    folded: bool,
    out: &mut ResponseHead,
) -> Result<Option<usize>, HeadError> {
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; SLOTS];
    let slots = slots.get_mut(..most_fields(limits)).unwrap_or_default();
    let mut response = httparse::Response::new(&mut []);
    let mut config = ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(folded);
    let used = match config.parse_response_with_uninit_headers(&mut response, head, slots) {
        Ok(Status::Complete(used)) => used,
        Ok(Status::Partial) => return Ok(None),
        // Few servers fold lines: only what cannot be read otherwise may be folded.
        Err(_) if !folded => return read_any_response(head, limits, true, out),
        Err(error) => return Err(HeadError::from_httparse(error, limits)),
    };
    out.status =
        StatusCode::from_u16(response.code.unwrap_or(0)).map_err(|_| HeadError::StatusLine)?;
    out.version = version_of(response.version);
    let reason = response.reason.unwrap_or_default();
    out.reason = match out.status.canonical_reason() {
        // As nearly always: no memory of its own.
        Some(usual) if usual == reason => Cow::Borrowed(usual),
        _ => Cow::Owned(reason.to_owned()),
    };
    out.known = read_fields(head, used, response.headers, &mut out.headers)?;
    if folded {
        unfold(response.headers, &mut out.headers)?;
    }
    Ok(Some(used))
}

/// Copies the header section and notes where its fields are.
///
/// `httparse` takes a bare LF for a line end. A field that does not start right behind a
/// CRLF shows that one was there.
fn read_fields(
    head: &[u8],
    used: usize,
    parsed: &[Header<'_>],
    out: &mut Headers,
) -> Result<Known, HeadError> {
    let base = head.as_ptr() as usize;
    let offset_of = |bytes: &[u8]| (bytes.as_ptr() as usize).wrapping_sub(base);
    let after_crlf =
        |at: usize| at.checked_sub(2).and_then(|from| head.get(from..at)) == Some(b"\r\n");

    let first = parsed
        .first()
        .map_or(used, |header| offset_of(header.name.as_bytes()));
    let section = head.get(first..used).ok_or(HeadError::LineEnd)?;
    // With no field, the section is empty and the request line ends two bytes earlier.
    let last_line_end = used.wrapping_sub(2);
    if !after_crlf(used) || !after_crlf(last_line_end) {
        return Err(HeadError::LineEnd);
    }
    let mut known = Known::default();
    let mut line_ends = true;
    out.begin_parsed();
    for (index, header) in parsed.iter().enumerate() {
        let name = offset_of(header.name.as_bytes());
        line_ends &= after_crlf(name);
        let field = WellKnown::of(header.name.as_bytes());
        known.note(field, index);
        // An empty value need not point into the head.
        let value = if header.value.is_empty() {
            first
        } else {
            offset_of(header.value)
        };
        let (name, value) = (name.wrapping_sub(first), value.wrapping_sub(first));
        let name = name..name.wrapping_add(header.name.len());
        let value = value..value.wrapping_add(header.value.len());
        out.push_parsed(field, name, value);
    }
    out.end_parsed(section);
    if line_ends {
        Ok(known)
    } else {
        Err(HeadError::LineEnd)
    }
}

/// Unfolds the values that came in several lines; each of them has to end with CRLF.
fn unfold(parsed: &[Header<'_>], out: &mut Headers) -> Result<(), HeadError> {
    for (index, header) in parsed.iter().enumerate() {
        let mut folds = memchr::memchr_iter(b'\n', header.value).peekable();
        if folds.peek().is_some() {
            out.unfold(index);
        }
        for at in folds {
            let before = at
                .checked_sub(1)
                .and_then(|before| header.value.get(before));
            if before != Some(&b'\r') {
                return Err(HeadError::LineEnd);
            }
        }
    }
    Ok(())
}

fn check_host(head: &mut RequestHead) -> Result<(), HeadError> {
    let repeated = head.known.repeated;
    if repeated & Known::HOST != 0 {
        return Err(HeadError::HostRepeated);
    }
    if repeated & Known::CONTENT_TYPE != 0 {
        return Err(HeadError::FieldRepeated {
            name: "Content-Type",
        });
    }
    if head.known.host() {
        let host = head.headers.value_at(head.known.host_index as usize);
        // Most requests name the host that the one before named.
        if host != head.valid_host {
            if !target::is_authority(host) {
                return Err(HeadError::Host);
            }
            head.valid_host.clear();
            head.valid_host.extend_from_slice(host);
        }
    } else if head.version == Version::Http11 {
        return Err(HeadError::HostMissing);
    }
    if head.form == TargetForm::Absolute {
        let authority = target::split_absolute(&head.target).map_or("", |(authority, _)| authority);
        head.headers
            .set("Host", authority)
            .map_err(|_| HeadError::Host)?;
    }
    Ok(())
}

/// Skips CRLFs in front of a head; `None` while nothing else has come.
fn skip_empty_lines(buf: &[u8]) -> Result<Option<(usize, &[u8])>, HeadError> {
    let mut head = buf;
    for _ in 0..=EMPTY_LINES {
        match head {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', rest @ ..] => head = rest,
            [b'\r' | b'\n', ..] => return Err(HeadError::LineEnd),
            _ => return Ok(Some((buf.len() - head.len(), head))),
        }
    }
    Err(HeadError::EmptyLines)
}

#[cfg(test)]
mod tests;
