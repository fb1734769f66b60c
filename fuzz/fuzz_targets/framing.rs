//! Where a request ends: ours against a plain reading of RFC 9112, written apart.
//!
//! Whatever we accept, the plain reader must frame alike; that is what smuggling needs
//! to be otherwise. It looks at lines and knows nothing of our parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::chunked::{ChunkedDecoder, Decoded};
use squall_http::wire::framing::{BodyLength, request_body};
use squall_http::wire::head::{HeadLimits, RequestHead, parse_request};

/// The end of the request and its body, as the plain reader sees it.
#[derive(Debug, PartialEq)]
struct Framed {
    end: usize,
    body: Vec<u8>,
}

fn token(text: &[u8]) -> bool {
    let other = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || other.contains(b))
}

/// The next line up to CRLF, and where it ends; None for a bare LF or CR, or no end.
fn line(wire: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let end = from + wire[from..].iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    (wire.get(end..end + 2) == Some(b"\r\n")).then(|| (&wire[from..end], end + 2))
}

fn plain(wire: &[u8]) -> Option<Framed> {
    let mut at = 0;
    while wire[at..].starts_with(b"\r\n") {
        at += 2;
    }
    let (request, mut at) = line(wire, at)?;
    let words: Vec<&[u8]> = request.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return None;
    };
    let old = version == b"HTTP/1.0";
    let known = version.len() == 8 && version.starts_with(b"HTTP/1.") && version[7].is_ascii_digit();
    if !token(method) || target.is_empty() || !known {
        return None;
    }
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    loop {
        let (field, next) = line(wire, at)?;
        at = next;
        if field.is_empty() {
            break;
        }
        let colon = field.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&field[..colon], field[colon + 1..].trim_ascii());
        if !token(name) {
            return None;
        }
        match name.to_ascii_lowercase().as_slice() {
            b"content-length" => lengths.push(value),
            b"transfer-encoding" => codings.push(value),
            b"host" => hosts += 1,
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && !old) {
        return None;
    }
    match (&lengths[..], &codings[..]) {
        ([], []) => Some(Framed { end: at, body: Vec::new() }),
        ([length], []) => {
            let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            let length: u64 = std::str::from_utf8(length).ok().filter(|_| digits)?.parse().ok()?;
            let end = at.checked_add(usize::try_from(length).ok()?)?;
            Some(Framed { end, body: wire.get(at..end)?.to_vec() })
        }
        ([], [coding]) if !old && coding.eq_ignore_ascii_case(b"chunked") => {
            let mut body = Vec::new();
            loop {
                let (size, next) = line(wire, at)?;
                let size = size.split(|b| *b == b';').next()?.trim_ascii_end();
                let digits = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
                let text = std::str::from_utf8(size).ok().filter(|_| digits)?;
                let size = usize::try_from(u64::from_str_radix(text, 16).ok()?).ok()?;
                at = next;
                if size == 0 {
                    break;
                }
                let end = at.checked_add(size)?;
                body.extend_from_slice(wire.get(at..end)?);
                at = end;
                if wire.get(at..at + 2) != Some(b"\r\n") {
                    return None;
                }
                at += 2;
            }
            loop {
                let (field, next) = line(wire, at)?;
                at = next;
                if field.is_empty() {
                    return Some(Framed { end: at, body });
                }
            }
        }
        _ => None,
    }
}

/// The same by our parsers; None: refused, or not complete.
fn ours(wire: &[u8]) -> Option<Framed> {
    let mut head = RequestHead::new();
    let mut at = parse_request(wire, &HeadLimits::default(), &mut head).ok()??;
    let mut body = Vec::new();
    match request_body(&head).ok()? {
        BodyLength::None => {}
        BodyLength::Fixed(length) => {
            let end = at.checked_add(usize::try_from(length).ok()?)?;
            body.extend_from_slice(wire.get(at..end)?);
            at = end;
        }
        BodyLength::Chunked => {
            let mut decoder = ChunkedDecoder::default();
            loop {
                match decoder.decode(&wire[at..]).ok()? {
                    Decoded::Data { skip, data } => {
                        body.extend_from_slice(&wire[at + skip..at + skip + data]);
                        at += skip + data;
                    }
                    Decoded::More { .. } => return None,
                    Decoded::Done { consumed } => {
                        at += consumed;
                        break;
                    }
                }
            }
        }
        BodyLength::UntilClose => unreachable!("requests end by themselves"),
    }
    Some(Framed { end: at, body })
}

fuzz_target!(|wire: &[u8]| {
    if let Some(ours) = ours(wire) {
        assert_eq!(Some(ours), plain(wire));
    }
});
