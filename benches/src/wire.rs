//! Where an HTTP/1.1 answer ends: all that a load driver must know.

use std::io;

/// A whole answer at the start of the bytes read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Head and body, in bytes.
    pub(crate) len: usize,
    pub(crate) body: std::ops::Range<usize>,
    /// Seconds to wait before asking again.
    pub(crate) retry_after: Option<u64>,
}

pub(crate) fn request(path: &str, host: std::net::SocketAddr) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Finds the first answer; `None` while bytes are missing.
///
/// The routes that are measured answer with `Content-Length`, so an answer
/// without one is an error of the set-up.
pub(crate) fn answer(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = bytes[..end].split(|&b| b == b'\n');
    let status = lines
        .next()
        .and_then(status)
        .ok_or_else(|| malformed("no status line"))?;
    let mut length = None;
    let mut retry_after = None;
    for line in lines {
        length = length.or_else(|| number(line, b"content-length:"));
        retry_after = retry_after.or_else(|| number(line, b"retry-after:"));
    }
    let length = length.ok_or_else(|| malformed("no Content-Length"))?;
    let length = usize::try_from(length).map_err(|_| malformed("a huge Content-Length"))?;
    let body = end + 4..end + 4 + length;
    Ok((bytes.len() >= body.end).then_some(Answer {
        status,
        len: body.end,
        body,
        retry_after,
    }))
}

fn status(line: &[u8]) -> Option<u16> {
    let code = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

/// The value of the header `name`, which is lower case and ends in a colon.
fn number(line: &[u8], name: &[u8]) -> Option<u64> {
    let (found, value) = line.split_at_checked(name.len())?;
    if !found.eq_ignore_ascii_case(name) {
        return None;
    }
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("answer with {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-LENGTH:  8\r\n\r\nIt works";

    #[test]
    fn a_whole_answer() {
        let found = answer(OK).unwrap().unwrap();
        assert_eq!((found.status, found.len), (200, OK.len()));
        assert_eq!(&OK[found.body], b"It works");
    }

    #[test]
    fn when_to_ask_again() {
        let shed = b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";
        let found = answer(shed).unwrap().unwrap();
        assert_eq!((found.status, found.retry_after), (503, Some(2)));
    }

    #[test]
    fn every_shorter_piece_waits() {
        for end in 0..OK.len() {
            assert_eq!(answer(&OK[..end]).unwrap(), None, "{end} bytes");
        }
    }

    #[test]
    fn the_next_answer_is_left_alone() {
        let two = [OK, OK].concat();
        assert_eq!(answer(&two).unwrap().unwrap().len, OK.len());
    }

    #[test]
    fn what_cannot_be_framed_is_an_error() {
        assert!(answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(answer(b"SSH-2.0\r\n\r\n").is_err());
    }
}
