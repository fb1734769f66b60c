//! Writes heads: status lines, request lines and header fields, into a byte buffer.
//!
//! The pieces append to whatever the buffer holds, so several answers to pipelined
//! requests go out in one write. A head is finished by [`end`]; drivers put their own
//! fields (`Date`, `Content-Length`, `Connection`) between the application's and the end.

use http::{Method, StatusCode};

use super::head::Version;
use super::headers::Headers;

/// Writes the status line and the fields of an answer, but not the empty line.
///
/// The reason phrase is the registered one, or empty (RFC 9112 section 4).
pub fn response_head(out: &mut Vec<u8>, version: Version, status: StatusCode, headers: &Headers) {
    status_line(out, version, status);
    headers.write(out);
}

/// Writes a status line, such as `HTTP/1.1 200 OK`, with its CRLF.
pub fn status_line(out: &mut Vec<u8>, version: Version, status: StatusCode) {
    let common: Option<&[u8]> = match (version, status.as_u16()) {
        (Version::Http11, 200) => Some(b"HTTP/1.1 200 OK\r\n"),
        (Version::Http11, 201) => Some(b"HTTP/1.1 201 Created\r\n"),
        (Version::Http11, 204) => Some(b"HTTP/1.1 204 No Content\r\n"),
        (Version::Http11, 206) => Some(b"HTTP/1.1 206 Partial Content\r\n"),
        (Version::Http11, 302) => Some(b"HTTP/1.1 302 Found\r\n"),
        (Version::Http11, 304) => Some(b"HTTP/1.1 304 Not Modified\r\n"),
        (Version::Http11, 400) => Some(b"HTTP/1.1 400 Bad Request\r\n"),
        (Version::Http11, 404) => Some(b"HTTP/1.1 404 Not Found\r\n"),
        (Version::Http11, 500) => Some(b"HTTP/1.1 500 Internal Server Error\r\n"),
        (Version::Http11, 503) => Some(b"HTTP/1.1 503 Service Unavailable\r\n"),
        _ => None,
    };
    if let Some(line) = common {
        return out.extend_from_slice(line);
    }
    out.extend_from_slice(version.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes one field line. The caller vouches for name and value.
///
/// Meant for the driver's own fields and for values that came out of a [`Headers`], which
/// checked them; a value of unknown origin goes through [`Headers::append`].
// Mostly the name is known to the compiler, which then copies it without a call.
#[inline(always)]
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    debug_assert!(
        super::field::check(name, value).is_ok(),
        "invalid header field {name:?}"
    );
    line(out, name.as_bytes(), value);
}

/// Writes a field line that came out of a [`Headers`].
#[inline(always)]
pub(crate) fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a field whose value is a number, such as `Content-Length`.
pub fn field_number(out: &mut Vec<u8>, name: &str, value: u64) {
    field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a request line with its CRLF.
///
/// Refuses a target with a byte that is not allowed in one (RFC 9112 section 3.2), since
/// it could end the line and start a request of its own.
pub fn request_line(
    out: &mut Vec<u8>,
    method: &Method,
    target: &str,
    version: Version,
) -> Result<(), super::target::InvalidTarget> {
    super::target::check_bytes(target)?;
    out.reserve(method.as_str().len() + target.len() + 12);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.push(b' ');
    out.extend_from_slice(version.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Writes the fields of a [`Headers`], without the empty line.
pub fn fields(out: &mut Vec<u8>, headers: &Headers) {
    headers.write(out);
}

/// Writes the empty line that ends a head.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_an_answer() {
        let mut headers = Headers::new();
        headers.append("X-A", "b").unwrap();
        let mut out = Vec::new();
        response_head(&mut out, Version::Http11, StatusCode::OK, &headers);
        field(&mut out, "Server", b"squall");
        field_number(&mut out, "Content-Length", u64::MAX);
        end(&mut out);
        let expected = "HTTP/1.1 200 OK\r\nX-A: b\r\nServer: squall\r\nContent-Length: 18446744073709551615\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_status_line_is_the_generic_one() {
        for code in 100..1000 {
            let status = StatusCode::from_u16(code).unwrap();
            let mut out = Vec::new();
            status_line(&mut out, Version::Http11, status);
            let reason = status.canonical_reason().unwrap_or("");
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("HTTP/1.1 {code} {reason}\r\n")
            );
        }
        let mut out = Vec::new();
        status_line(&mut out, Version::Http10, StatusCode::OK);
        assert_eq!(out, b"HTTP/1.0 200 OK\r\n");
    }

    #[test]
    fn a_target_cannot_inject() {
        let mut out = Vec::new();
        request_line(&mut out, &Method::GET, "/a?b", Version::Http11).unwrap();
        assert_eq!(out, b"GET /a?b HTTP/1.1\r\n");
        for target in ["", "/a b", "/a\r\nHost: x", "/\u{e9}", "/a#b", "/\0"] {
            assert!(
                request_line(&mut out, &Method::GET, target, Version::Http11).is_err(),
                "{target:?}"
            );
        }
    }
}
