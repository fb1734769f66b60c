//! The PROXY protocol, versions 1 and 2: a proxy's word on whose connection it passes on.
//!
//! It comes before everything else on a connection, once, as a line of text (version 1)
//! or as a binary block (version 2). HAProxy's `doc/proxy-protocol.txt` describes both.
//! Whoever accepts it from everybody lets everybody choose an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use memchr::memchr;

/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// The longest block of version 2 that is read, whatever length it claims. Addresses take
/// 36 bytes; the rest is for extensions, which are skipped.
const LONGEST_BLOCK: usize = 4096;
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const PREFIX: &[u8; 6] = b"PROXY ";

/// What a header says of the connection that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxied {
    /// It is passed on for this client.
    For(SocketAddr),
    /// It is the proxy's own, such as a health check (`LOCAL`), or the proxy does not
    /// know (`UNKNOWN`, or a family without IP addresses).
    Own,
}

/// Parses a header at the front of `bytes`; with it comes its length.
///
/// `None`: more bytes are needed.
///
/// # Errors
/// [`ProxyError`] as soon as it cannot become a header.
pub fn parse(bytes: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyError> {
    if begins(bytes, SIGNATURE) {
        block(bytes)
    } else if begins(bytes, PREFIX) {
        line(bytes)
    } else {
        Err(ProxyError::Missing)
    }
}

/// Whether `bytes` begin as `start` does, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let seen = bytes.len().min(start.len());
    bytes.get(..seen) == start.get(..seen)
}

/// Version 1: `PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n`.
fn line(bytes: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyError> {
    let within = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = memchr(b'\n', within) else {
        if within.len() < LONGEST_LINE {
            return Ok(None);
        }
        return Err(ProxyError::TooLong);
    };
    let line = within.get(PREFIX.len()..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").ok_or(ProxyError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let proxied = fields(line).ok_or(ProxyError::Malformed)?;
    Ok(Some((proxied, end + 1)))
}

fn fields(line: &str) -> Option<Proxied> {
    let mut fields = line.split(' ');
    let family = fields.next()?;
    if family == "UNKNOWN" {
        // What follows is to be ignored, says the protocol.
        return Some(Proxied::Own);
    }
    let (source, _target): (IpAddr, IpAddr) = match family {
        "TCP4" => (
            fields.next()?.parse::<Ipv4Addr>().ok()?.into(),
            fields.next()?.parse::<Ipv4Addr>().ok()?.into(),
        ),
        "TCP6" => (
            fields.next()?.parse::<Ipv6Addr>().ok()?.into(),
            fields.next()?.parse::<Ipv6Addr>().ok()?.into(),
        ),
        _ => return None,
    };
    let (source_port, _target_port) = (port(fields.next()?)?, port(fields.next()?)?);
    (fields.next().is_none()).then(|| Proxied::For((source, source_port).into()))
}

/// A port in plain digits, without leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leads = text.len() > 1 && text.starts_with('0');
    (plain && !leads).then(|| text.parse().ok()).flatten()
}

/// Version 2: signature, version and command, family, length, addresses, extensions.
fn block(bytes: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyError> {
    let Some((head, rest)) = bytes.split_at_checked(16) else {
        return Ok(None);
    };
    let &[.., command, family, high, low] = head else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BLOCK {
        return Err(ProxyError::TooLong);
    }
    let proxied = match command {
        0x20 => Some(Proxied::Own),
        0x21 => None,
        _ => return Err(ProxyError::Malformed),
    };
    let Some(addresses) = rest.get(..length) else {
        return Ok(None);
    };
    let proxied = match proxied {
        Some(own) => own,
        None => source(family, addresses).ok_or(ProxyError::Malformed)?,
    };
    Ok(Some((proxied, 16 + length)))
}

/// The client's address: source address, target address, source port, target port.
fn source(family: u8, addresses: &[u8]) -> Option<Proxied> {
    match family {
        // TCP over IPv4
        0x11 => {
            let address: [u8; 4] = addresses.get(..4)?.try_into().ok()?;
            let port = addresses.get(8..12)?.get(..2)?.try_into().ok()?;
            Some(Proxied::For(
                (Ipv4Addr::from(address), u16::from_be_bytes(port)).into(),
            ))
        }
        // TCP over IPv6
        0x21 => {
            let address: [u8; 16] = addresses.get(..16)?.try_into().ok()?;
            let port = addresses.get(32..36)?.get(..2)?.try_into().ok()?;
            Some(Proxied::For(
                (Ipv6Addr::from(address), u16::from_be_bytes(port)).into(),
            ))
        }
        // Unspecified; datagrams and Unix sockets, of either kind, have nothing for us.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Some(Proxied::Own),
        _ => None,
    }
}

/// Why a connection does not begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyError {
    /// It begins with something else.
    Missing,
    /// It begins like one and does not go on so.
    Malformed,
    /// It is longer than any should be.
    TooLong,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the connection does not begin with a PROXY header",
            Self::Malformed => "the PROXY header is malformed",
            Self::TooLong => "the PROXY header is too long",
        })
    }
}

impl std::error::Error for ProxyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Proxied {
        Proxied::For(address.parse().unwrap())
    }

    /// A block of version 2.
    fn block(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        bytes.extend(addresses);
        bytes
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 187];

    fn ipv6() -> Vec<u8> {
        let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let mut bytes = source.octets().to_vec();
        bytes.extend([0; 16]);
        bytes.extend([0x12, 0x67, 1, 187]);
        bytes
    }

    /// Whole headers, at every split point and with HTTP behind them.
    #[test]
    fn headers_of_both_versions() {
        let v6 = ipv6();
        let with_extension = [&IPV4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        for (header, proxied) in [
            (
                b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec(),
                client("192.0.2.7:4711"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n".to_vec(),
                client("[2001:db8::7]:4711"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Proxied::Own),
            (b"PROXY UNKNOWN what ever 1 2\r\n".to_vec(), Proxied::Own),
            (block(0x21, 0x11, &IPV4), client("192.0.2.7:4711")),
            (block(0x21, 0x11, &with_extension), client("192.0.2.7:4711")),
            (block(0x21, 0x21, &v6), client("[2001:db8::7]:4711")),
            (block(0x20, 0x00, &[]), Proxied::Own),
            (block(0x20, 0x11, &IPV4), Proxied::Own),
            (block(0x21, 0x00, &[]), Proxied::Own),
            (block(0x21, 0x31, &[0; 216]), Proxied::Own),
        ] {
            for split in 0..header.len() {
                assert_eq!(parse(&header[..split]), Ok(None), "{header:?} {split}");
            }
            let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse(&followed), Ok(Some((proxied, header.len()))));
        }
    }

    #[test]
    fn what_is_no_header_is_refused_at_once() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXX",
            b"proxy TCP4",
            b"\r\n\r\n\0\r\nQUIX",
            b"\r\nGET",
            b"\x16\x03\x01",
        ] {
            assert_eq!(parse(bytes), Err(ProxyError::Missing), "{bytes:?}");
        }
    }

    #[test]
    fn malformed_headers() {
        for line in [
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 1\r\n",
            "PROXY TCP4 192.0.2.7  198.51.100.1 4711 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 04711 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +4711 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.07 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 4711 443\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 4711 443\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 4711 443\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(ProxyError::Malformed), "{line}");
        }
        for block in [
            block(0x11, 0x11, &IPV4),
            block(0x22, 0x11, &IPV4),
            block(0x21, 0x13, &IPV4),
            block(0x21, 0x41, &IPV4),
            block(0x21, 0x11, &IPV4[..11]),
            block(0x21, 0x21, &IPV4),
        ] {
            assert_eq!(parse(&block), Err(ProxyError::Malformed), "{block:?}");
        }
    }

    #[test]
    fn no_header_grows_without_end() {
        let line = [&b"PROXY UNKNOWN "[..], &[b'x'; 93]].concat();
        assert_eq!(line.len(), LONGEST_LINE);
        assert_eq!(parse(&line[..LONGEST_LINE - 1]), Ok(None));
        assert_eq!(parse(&line), Err(ProxyError::TooLong));
        let mut long = block(0x21, 0x11, &IPV4);
        long[14..16].copy_from_slice(&4097u16.to_be_bytes());
        assert_eq!(parse(&long), Err(ProxyError::TooLong));
    }
}
