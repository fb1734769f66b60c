//! The request target and the authority: which forms and bytes are accepted.
//!
//! RFC 9112 section 3.2 knows four forms; what is none of them, or holds a byte that
//! another parser may read differently (a backslash, a fragment, raw UTF-8), is refused.
//! The same byte rules guard the targets we send. `Host` is an authority too
//! (RFC 9110 section 7.2) and is checked here.

use std::fmt;
use std::net::Ipv6Addr;

use http::Method;

/// The four forms of a request target (RFC 9112 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetForm {
    /// `/path?query`, what origin servers get.
    #[default]
    Origin,
    /// `http://host/path?query`, what proxies get and servers must accept.
    Absolute,
    /// `host:port`, only with CONNECT.
    Authority,
    /// `*`, only with OPTIONS.
    Asterisk,
}

/// What a target holds that most do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// A question mark: there may be a query.
    pub question: bool,
    /// A dot, or something percent-encoded: there may be a segment `.` or `..`.
    pub dots: bool,
}

/// A request target that is in none of the four forms, or holds a forbidden byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTarget(&'static str);

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid request target: {}", self.0)
    }
}

impl std::error::Error for InvalidTarget {}

const BAD: u8 = 1;
const PERCENT: u8 = 2;
const QUERY_ONLY: u8 = 4;
const QUESTION: u8 = 8;
const DOT: u8 = 16;

/// Bytes of a path or query. RFC 3986 allows fewer; browsers and `curl` send `{}|^[]` raw.
const CLASS: [u8; 256] = {
    let mut table = [BAD; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = 0;
        byte += 1;
    }
    table[b'"' as usize] = BAD;
    table[b'#' as usize] = BAD;
    table[b'<' as usize] = BAD;
    table[b'>' as usize] = BAD;
    table[b'\\' as usize] = BAD;
    table[b'`' as usize] = QUERY_ONLY;
    table[b'%' as usize] = PERCENT;
    table[b'?' as usize] = QUESTION;
    table[b'.' as usize] = DOT;
    table
};

/// Checks that every byte may stand in a request target.
pub fn check_bytes(target: &str) -> Result<(), InvalidTarget> {
    if target.is_empty() {
        return Err(InvalidTarget("it is empty"));
    }
    match classes(target.as_bytes()) & BAD {
        0 => Ok(()),
        _ => Err(InvalidTarget(
            "it holds a byte that has to be percent-encoded",
        )),
    }
}

/// Finds the form of a request target and checks its bytes.
///
/// The path's percent-encoding has to be well-formed and free of `%00`. The query's is
/// left to whoever decodes it, since sloppy queries are common and harmless.
pub fn check(method: &Method, target: &str) -> Result<(TargetForm, Marks), InvalidTarget> {
    let bytes = target.as_bytes();
    let classes = classes(bytes);
    if classes & BAD != 0 {
        return Err(InvalidTarget(
            "it holds a byte that has to be percent-encoded",
        ));
    }
    let (form, path) = match bytes.first() {
        _ if *method == Method::CONNECT => {
            return match target.rsplit_once(':') {
                Some((host, port))
                    if !host.is_empty() && !port.is_empty() && is_authority(bytes) =>
                {
                    Ok((TargetForm::Authority, Marks::default()))
                }
                _ => Err(InvalidTarget("CONNECT needs host:port")),
            };
        }
        Some(b'/') => (TargetForm::Origin, target),
        Some(b'*') if bytes.len() == 1 && *method == Method::OPTIONS => {
            return Ok((TargetForm::Asterisk, Marks::default()));
        }
        Some(b'*') => return Err(InvalidTarget("* is for OPTIONS only")),
        _ => {
            let (authority, rest) =
                split_absolute(target).ok_or(InvalidTarget("it is neither a path nor a URL"))?;
            if authority.is_empty()
                || authority.starts_with(':')
                || !is_authority(authority.as_bytes())
            {
                return Err(InvalidTarget("its host is malformed"));
            }
            (TargetForm::Absolute, rest)
        }
    };
    if classes & !QUESTION != 0 {
        let path = path.split('?').next().unwrap_or_default().as_bytes();
        if !percent_ok(path) || self::classes(path) & QUERY_ONLY != 0 {
            return Err(InvalidTarget("its path is not well percent-encoded"));
        }
    }
    let marks = Marks {
        question: classes & QUESTION != 0,
        dots: classes & (DOT | PERCENT) != 0,
    };
    Ok((form, marks))
}

/// Splits `http://authority/rest` into authority and rest; `None` for other schemes.
pub fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))
}

/// Whether `value` is `host [":" port]` (RFC 3986 section 3.2), without user information.
///
/// An empty host is allowed, as RFC 9112 section 3.2 wants it for targets without an
/// authority; an empty port is allowed too. A comma is not, although the grammar has it:
/// it is how two `Host` fields look after a careless proxy joined them.
pub fn is_authority(value: &[u8]) -> bool {
    let rest = match value {
        [b'[', literal @ ..] => {
            let Some(end) = memchr::memchr(b']', literal) else {
                return false;
            };
            let (literal, rest) = literal.split_at(end);
            if !is_ip_literal(literal) {
                return false;
            }
            rest.get(1..).unwrap_or_default()
        }
        _ => {
            let (mut end, mut seen) = (0, 0);
            for byte in value {
                let class = REG_NAME[*byte as usize];
                if class == 0 {
                    break;
                }
                seen |= class;
                end += 1;
            }
            let (name, rest) = value.split_at_checked(end).unwrap_or((value, b""));
            if seen & PERCENT != 0 && !percent_ok(name) {
                return false;
            }
            rest
        }
    };
    match rest {
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    }
}

fn is_port(port: &[u8]) -> bool {
    port.iter()
        .try_fold(0u32, |sum, byte| {
            let sum = sum * 10 + (*byte as char).to_digit(10)?;
            (sum <= 65535).then_some(sum)
        })
        .is_some()
}

fn is_ip_literal(literal: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(literal) else {
        return false;
    };
    if let Some(future) = text.strip_prefix(['v', 'V']) {
        return future.split_once('.').is_some_and(|(version, address)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte == b':' || REG_NAME[byte as usize] == 1)
        });
    }
    text.parse::<Ipv6Addr>().is_ok()
}

/// Not zero: `unreserved`, `sub-delims` without the comma, and the percent sign.
const REG_NAME: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() as u8;
        byte += 1;
    }
    let others = b"-._~!$&'()*+;=";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = 1;
        at += 1;
    }
    table[b'%' as usize] = PERCENT;
    table
};

/// Whether each `%` starts two hexadecimal digits, and none of them is a NUL.
fn percent_ok(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).all(|at| match text.get(at + 1..at + 3) {
        Some(b"00") | None => false,
        Some(digits) => digits.iter().all(u8::is_ascii_hexdigit),
    })
}

fn classes(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |all, byte| all | CLASS[*byte as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (method, target, form) in [
            (Method::GET, "/", TargetForm::Origin),
            (Method::GET, "//a//b?", TargetForm::Origin),
            (Method::GET, "/a?b=%zz&c={[1|2]}", TargetForm::Origin),
            (Method::GET, "/%7Ea", TargetForm::Origin),
            (Method::GET, "http://a.test", TargetForm::Absolute),
            (Method::GET, "HTTPS://[::1]:8443?q", TargetForm::Absolute),
            (Method::OPTIONS, "*", TargetForm::Asterisk),
            (Method::CONNECT, "a.test:443", TargetForm::Authority),
            (Method::CONNECT, "[::1]:443", TargetForm::Authority),
        ] {
            assert_eq!(
                check(&method, target).map(|(form, _)| form),
                Ok(form),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn refused_targets() {
        for (method, target) in [
            (Method::GET, ""),
            (Method::GET, "a"),
            (Method::GET, "?a"),
            (Method::GET, "*"),
            (Method::OPTIONS, "*a"),
            (Method::GET, "a.test:80"),
            (Method::GET, "ftp://a.test/"),
            (Method::GET, "http:///a"),
            (Method::GET, "http://:80/a"),
            (Method::GET, "http://u@a.test/"),
            (Method::GET, "http://a.test:80:80/"),
            (Method::GET, "/a#b"),
            (Method::GET, "/a\\b"),
            (Method::GET, "/\u{e9}"),
            (Method::GET, "/a\x7f"),
            (Method::GET, "/%"),
            (Method::GET, "/%4"),
            (Method::GET, "/%4g"),
            (Method::GET, "/a%00b"),
            (Method::CONNECT, "a.test"),
            (Method::CONNECT, "a.test:"),
            (Method::CONNECT, ":443"),
            (Method::CONNECT, "/a"),
            (Method::CONNECT, "http://a.test/"),
        ] {
            assert!(check(&method, target).is_err(), "{method} {target}");
        }
    }

    #[test]
    fn authorities() {
        for good in [
            "",
            "a",
            "a.test",
            "a_b.test",
            "a:",
            "a:80",
            "1.2.3.4:65535",
            "[::1]",
            "[::ffff:1.2.3.4]:80",
            "[v1.a:b]",
            "%41",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "a,b",
            "a b",
            "u@a",
            "a/",
            "a?",
            "a#",
            "a\\b",
            "a:b",
            "a:65536",
            "a:99999999999",
            "a:+1",
            "a:80:80",
            "[::1",
            "::1",
            "[::1]a",
            "[a]",
            "[]",
            "[fe80::1%25eth0]",
            "\u{e9}",
            "a\t",
            "a\"",
            "%4",
            "%00",
            "[v.a]",
            "[v1.]",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn what_is_accepted_fits_the_http_crate() {
        for byte in 0..=255u8 {
            for target in [
                format!("/{}", char::from(byte)),
                format!("/?{}", char::from(byte)),
            ] {
                if check(&Method::GET, &target).is_ok() {
                    assert!(target.parse::<http::Uri>().is_ok(), "{target:?}");
                }
            }
        }
    }
}
