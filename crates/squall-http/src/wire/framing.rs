//! Which body follows a head, and whether the connection lives on.
//!
//! RFC 9112 section 6 with its lenient readings left out: one message length, said in one
//! way. Two ways to say it are how requests are smuggled past a proxy, so they are errors
//! even where the RFC lets a recipient pick one.

use http::{Method, StatusCode};

use super::field::{is_token_byte, trim_ows};
use super::head::{HeadError, RequestHead, ResponseHead, Version};
use super::headers::Headers;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// Exactly so many bytes.
    Fixed(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Everything until the peer closes. Responses only.
    UntilClose,
}

impl BodyLength {
    /// Whether no body byte will come.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Fixed(0))
    }
}

/// Finds the body of a request (RFC 9112 section 6.3).
///
/// A request without `Content-Length` and `Transfer-Encoding` has none, whatever its
/// method.
pub fn request_body(head: &RequestHead) -> Result<BodyLength, HeadError> {
    let known = head.known();
    match (known.transfer_encoding(), known.content_length()) {
        (false, false) => Ok(BodyLength::None),
        (false, true) => {
            let mut lines = head.headers.get_all("content-length");
            match (lines.next().and_then(decimal), lines.next()) {
                (Some(length), None) => Ok(BodyLength::Fixed(length)),
                _ => Err(HeadError::ContentLength),
            }
        }
        (true, length) => chunked(head.version, &head.headers, length),
    }
}

/// Finds the body of the response to a `request_method` (RFC 9112 section 6.3).
///
/// A 2xx answer to CONNECT has no body: what follows is the tunnel. Several equal
/// `Content-Length` values count as one, which servers behind careless proxies need.
pub fn response_body(
    request_method: &Method,
    head: &ResponseHead,
) -> Result<BodyLength, HeadError> {
    let status = head.status;
    if status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || *request_method == Method::HEAD
        || (*request_method == Method::CONNECT && status.is_success())
    {
        return Ok(BodyLength::None);
    }
    framed(head)
}

/// The body that the fields of an answer speak of.
fn framed(head: &ResponseHead) -> Result<BodyLength, HeadError> {
    let known = head.known();
    if known.transfer_encoding() {
        return chunked(head.version, &head.headers, known.content_length());
    }
    if !known.content_length() {
        return Ok(BodyLength::UntilClose);
    }
    if let Some(length) = known.plain_length(&head.headers).and_then(decimal) {
        return Ok(BodyLength::Fixed(length));
    }
    let mut found = None;
    for element in head
        .headers
        .get_all("content-length")
        .flat_map(|line| line.split(|byte| *byte == b','))
    {
        let value = decimal(trim_ows(element)).ok_or(HeadError::ContentLength)?;
        if found.is_some_and(|earlier| earlier != value) {
            return Err(HeadError::ContentLength);
        }
        found = Some(value);
    }
    found.map(BodyLength::Fixed).ok_or(HeadError::ContentLength)
}

/// The length that the fields of an answer speak of, as a HEAD's do of what a GET would get.
pub fn told_length(head: &ResponseHead) -> Option<u64> {
    match framed(head) {
        Ok(BodyLength::Fixed(length)) => Some(length),
        _ => None,
    }
}

/// Whether an answer without a body speaks of one as no answer may.
///
/// A 204 has no length (RFC 9110 section 8.6); what a HEAD or a 304 says of one can be read
/// in one way only. A server that says otherwise may well send a body, to be taken for the
/// next answer.
pub fn is_doubtful(head: &ResponseHead) -> bool {
    if head.status != StatusCode::NO_CONTENT {
        return framed(head).is_err();
    }
    let mut lengths = head.headers.get_all("content-length");
    head.known().transfer_encoding() || lengths.any(|length| decimal(length) != Some(0))
}

/// Whether the connection may be used again after this message (RFC 9112 section 9.3).
///
/// `close` wins over `keep-alive`; HTTP/1.0 has to ask for persistence.
pub fn keep_alive(version: Version, headers: &Headers) -> bool {
    let mut asked = version == Version::Http11;
    for token in headers
        .get_all("connection")
        .flat_map(|line| line.split(|byte| *byte == b','))
    {
        let token = trim_ows(token);
        if token.eq_ignore_ascii_case(b"close") {
            return false;
        }
        asked |= token.eq_ignore_ascii_case(b"keep-alive");
    }
    asked
}

/// Whether the client waits for `100 Continue` before it sends the body.
///
/// Any other expectation is a 417; HTTP/1.0 has no expectations (RFC 9110 section 10.1.1).
pub fn expects_continue(head: &RequestHead) -> Result<bool, HeadError> {
    if !head.known().expect() || head.version == Version::Http10 {
        return Ok(false);
    }
    let mut expected = false;
    for line in head.headers.get_all("expect") {
        if !line.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::Expectation);
        }
        expected = true;
    }
    Ok(expected)
}

/// Checks a `Transfer-Encoding`, of which only a lone `chunked` is accepted.
fn chunked(version: Version, headers: &Headers, has_length: bool) -> Result<BodyLength, HeadError> {
    if version == Version::Http10 {
        return Err(HeadError::TransferEncodingInHttp10);
    }
    if has_length {
        return Err(HeadError::LengthConflict);
    }
    let mut lines = headers.get_all("transfer-encoding");
    match (lines.next(), lines.next()) {
        (Some(line), None) if line.eq_ignore_ascii_case(b"chunked") => {
            return Ok(BodyLength::Chunked);
        }
        _ => {}
    }
    // A well-formed list that ends with its only `chunked` is not an attack, just beyond us.
    let mut last_is_chunked = false;
    for element in headers
        .get_all("transfer-encoding")
        .flat_map(|line| line.split(|byte| *byte == b','))
    {
        let element = trim_ows(element);
        let valid = !element.is_empty() && element.iter().all(|byte| is_token_byte(*byte));
        if !valid || last_is_chunked || element.eq_ignore_ascii_case(b"identity") {
            return Err(HeadError::TransferEncoding);
        }
        last_is_chunked = element.eq_ignore_ascii_case(b"chunked");
    }
    if last_is_chunked {
        Err(HeadError::TransferCodingUnknown)
    } else {
        Err(HeadError::TransferEncoding)
    }
}

/// Reads `1*DIGIT` that fits in 64 bits; no sign, no space, no list.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, byte| {
        let digit = Some(byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, parse_request, parse_response};
    use super::*;

    fn request(fields: &str, version: &str) -> RequestHead {
        let mut head = RequestHead::new();
        let wire = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let used = parse_request(wire.as_bytes(), &HeadLimits::default(), &mut head);
        assert_eq!(used, Ok(Some(wire.len())), "{wire:?}");
        head
    }

    fn response(line: &str, fields: &str) -> ResponseHead {
        let mut head = ResponseHead::new();
        let wire = format!("{line}\r\n{fields}\r\n");
        assert_eq!(
            parse_response(wire.as_bytes(), &HeadLimits::default(), &mut head),
            Ok(Some(wire.len()))
        );
        head
    }

    #[test]
    fn bodies_of_requests() {
        for (fields, expected) in [
            ("", BodyLength::None),
            ("Content-Length: 0\r\n", BodyLength::Fixed(0)),
            ("content-length:  007\t\r\n", BodyLength::Fixed(7)),
            (
                "Content-Length: 18446744073709551615\r\n",
                BodyLength::Fixed(u64::MAX),
            ),
            ("Transfer-Encoding: \t chunked \t\r\n", BodyLength::Chunked),
            ("transfer-encoding: CHUNKED\r\n", BodyLength::Chunked),
            (
                "Transfer_Encoding: chunked\r\nContent-Length: 1\r\n",
                BodyLength::Fixed(1),
            ),
        ] {
            assert_eq!(
                request_body(&request(fields, "1.1")),
                Ok(expected),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn refused_lengths() {
        for value in [
            "",
            "+5",
            "-5",
            "0x5",
            "5_0",
            "5 5",
            "5,5",
            "5, 6",
            "5.0",
            "5;",
            "a",
            "\"5\"",
            "18446744073709551616",
            "\u{a0}5",
            "\u{665}",
        ] {
            let fields = format!("Content-Length: {value}\r\n");
            assert_eq!(
                request_body(&request(&fields, "1.1")),
                Err(HeadError::ContentLength),
                "{value:?}"
            );
        }
        let twice = "Content-Length: 5\r\nContent-Length: 5\r\n";
        assert_eq!(
            request_body(&request(twice, "1.1")),
            Err(HeadError::ContentLength)
        );
    }

    #[test]
    fn refused_codings() {
        for (fields, error) in [
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                HeadError::LengthConflict,
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                HeadError::TransferCodingUnknown,
            ),
            (
                "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
                HeadError::TransferCodingUnknown,
            ),
            ("Transfer-Encoding:\r\n", HeadError::TransferEncoding),
            ("Transfer-Encoding: gzip\r\n", HeadError::TransferEncoding),
            (
                "Transfer-Encoding: xchunked\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: identity\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: identity, chunked\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked, gzip\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked, chunked\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: ,chunked\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked,\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked;a=b\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: \"chunked\"\r\n",
                HeadError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: \u{a0}chunked\r\n",
                HeadError::TransferEncoding,
            ),
        ] {
            assert_eq!(
                request_body(&request(fields, "1.1")),
                Err(error),
                "{fields:?}"
            );
        }
        let old = request("Transfer-Encoding: chunked\r\n", "1.0");
        assert_eq!(request_body(&old), Err(HeadError::TransferEncodingInHttp10));
    }

    #[test]
    fn bodies_of_responses() {
        let (get, head, connect) = (Method::GET, Method::HEAD, Method::CONNECT);
        for (method, line, fields, expected) in [
            (&get, "HTTP/1.1 200 OK", "", Ok(BodyLength::UntilClose)),
            (
                &get,
                "HTTP/1.1 200 OK",
                "Content-Length: 5\r\n",
                Ok(BodyLength::Fixed(5)),
            ),
            (
                &get,
                "HTTP/1.1 200 OK",
                "Content-Length: 5, 5\r\nContent-Length: 5\r\n",
                Ok(BodyLength::Fixed(5)),
            ),
            (
                &get,
                "HTTP/1.1 200 OK",
                "Content-Length: 4\r\nContent-Length: 5\r\n",
                Err(HeadError::ContentLength),
            ),
            (
                &get,
                "HTTP/1.1 200 OK",
                "Content-Length: 5,\r\n",
                Err(HeadError::ContentLength),
            ),
            (
                &get,
                "HTTP/1.1 200 OK",
                "Content-Length: +5\r\n",
                Err(HeadError::ContentLength),
            ),
            (
                &get,
                "HTTP/1.1 200 OK",
                "Transfer-Encoding: chunked\r\n",
                Ok(BodyLength::Chunked),
            ),
            (
                &get,
                "HTTP/1.1 200 OK",
                "Transfer-Encoding: xchunked\r\n",
                Err(HeadError::TransferEncoding),
            ),
            (
                &get,
                "HTTP/1.0 200 OK",
                "Transfer-Encoding: chunked\r\n",
                Err(HeadError::TransferEncodingInHttp10),
            ),
            (
                &get,
                "HTTP/1.1 200 OK",
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                Err(HeadError::LengthConflict),
            ),
            (
                &get,
                "HTTP/1.1 103 Early Hints",
                "Content-Length: 5\r\n",
                Ok(BodyLength::None),
            ),
            (
                &get,
                "HTTP/1.1 204 No Content",
                "Transfer-Encoding: chunked\r\n",
                Ok(BodyLength::None),
            ),
            (
                &get,
                "HTTP/1.1 304 Not Modified",
                "Content-Length: 5\r\n",
                Ok(BodyLength::None),
            ),
            (
                &head,
                "HTTP/1.1 200 OK",
                "Content-Length: 5\r\n",
                Ok(BodyLength::None),
            ),
            (
                &connect,
                "HTTP/1.1 200 OK",
                "Content-Length: 5\r\n",
                Ok(BodyLength::None),
            ),
            (
                &connect,
                "HTTP/1.1 407 No",
                "Content-Length: 5\r\n",
                Ok(BodyLength::Fixed(5)),
            ),
        ] {
            assert_eq!(
                response_body(method, &response(line, fields)),
                expected,
                "{method} {line} {fields:?}"
            );
        }
    }

    #[test]
    fn persistence() {
        for (fields, version, expected) in [
            ("", "1.1", true),
            ("", "1.0", false),
            ("Connection: keep-alive\r\n", "1.0", true),
            ("Connection: CLOSE\r\n", "1.1", false),
            (
                "Connection: keep-alive\r\nConnection: close\r\n",
                "1.1",
                false,
            ),
            ("Connection: upgrade\r\n", "1.1", true),
            ("Connection: upgrade\r\n", "1.0", false),
            ("Connection: Keep-Alive, CLOSE\r\n", "1.1", false),
            ("Connection: x\r\nConnection: a,close\r\n", "1.1", false),
            ("Connection: \u{ff}, closed\r\n", "1.1", true),
            ("Proxy-Connection: close\r\n", "1.1", true),
        ] {
            assert_eq!(
                request(fields, version).keep_alive(),
                expected,
                "{fields:?} {version}"
            );
        }
    }

    #[test]
    fn expectations() {
        for (fields, version, expected) in [
            ("", "1.1", Ok(false)),
            ("Expect: 100-Continue\r\n", "1.1", Ok(true)),
            ("Expect: 100-continue\r\n", "1.0", Ok(false)),
            ("Expect: tea\r\n", "1.1", Err(HeadError::Expectation)),
            (
                "Expect: 100-continue, tea\r\n",
                "1.1",
                Err(HeadError::Expectation),
            ),
            ("Expect:\r\n", "1.1", Err(HeadError::Expectation)),
        ] {
            assert_eq!(
                expects_continue(&request(fields, version)),
                expected,
                "{fields:?}"
            );
        }
    }
}
