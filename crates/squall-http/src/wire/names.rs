//! The names of fields: which one a field has, and those that a program writes.
//!
//! Which field it is, is asked by framing, by the server and by whoever forwards. So it is
//! found out once, when the field is read or added.

use super::field::is_token_byte;

/// A field whose name somebody in the house looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[allow(missing_docs)] // Each is called like its field.
pub enum WellKnown {
    Accept,
    AltSvc,
    Connection,
    ContentLength,
    ContentType,
    Date,
    Expect,
    Forwarded,
    Host,
    KeepAlive,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    Via,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    /// Any other `X-Forwarded-…`.
    XForwarded,
    XRealIp,
    /// None of them.
    #[default]
    Other,
}

impl WellKnown {
    /// Which one a name is; case makes no difference.
    #[inline]
    pub const fn of(name: &[u8]) -> Self {
        let [first, ..] = name else {
            return Self::Other;
        };
        // Length and first letter leave few names to compare with.
        match (name.len(), *first | 0x20) {
            (2, b't') if is(name, b"te") => Self::Te,
            (3, b'v') if is(name, b"via") => Self::Via,
            (4, b'h') if is(name, b"host") => Self::Host,
            (4, b'd') if is(name, b"date") => Self::Date,
            (6, b'a') if is(name, b"accept") => Self::Accept,
            (6, b'e') if is(name, b"expect") => Self::Expect,
            (7, b'u') if is(name, b"upgrade") => Self::Upgrade,
            (7, b't') if is(name, b"trailer") => Self::Trailer,
            (7, b'a') if is(name, b"alt-svc") => Self::AltSvc,
            (9, b'f') if is(name, b"forwarded") => Self::Forwarded,
            (9, b'x') if is(name, b"x-real-ip") => Self::XRealIp,
            (10, b'c') if is(name, b"connection") => Self::Connection,
            (10, b'k') if is(name, b"keep-alive") => Self::KeepAlive,
            (12, b'c') if is(name, b"content-type") => Self::ContentType,
            (14, b'c') if is(name, b"content-length") => Self::ContentLength,
            (15, b'x') if is(name, b"x-forwarded-for") => Self::XForwardedFor,
            (16, b'x') if is(name, b"x-forwarded-host") => Self::XForwardedHost,
            (16, b'p') if is(name, b"proxy-connection") => Self::ProxyConnection,
            (17, b'x') if is(name, b"x-forwarded-proto") => Self::XForwardedProto,
            (17, b't') if is(name, b"transfer-encoding") => Self::TransferEncoding,
            (18, b'p') if is(name, b"proxy-authenticate") => Self::ProxyAuthenticate,
            (19, b'p') if is(name, b"proxy-authorization") => Self::ProxyAuthorization,
            (_, b'x') => match name.first_chunk::<12>() {
                Some(begin) if is(begin, b"x-forwarded-") => Self::XForwarded,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// A name that many heads have: it is found without a search for its end.
struct Usual {
    /// Its letters in lower case, and a colon.
    line: u128,
    /// The bytes of these.
    mask: u128,
    /// The bit that makes its letters small; nothing else there is in two cases.
    case: u128,
    len: usize,
    known: WellKnown,
}

impl Usual {
    const fn new(lower: &str) -> Self {
        let name = lower.as_bytes();
        let (mut line, mut mask, mut case) = ([0; 16], [0; 16], [0; 16]);
        let mut at = 0;
        while at < name.len() {
            (line[at], mask[at]) = (name[at], 0xff);
            case[at] = if name[at] == b'-' { 0 } else { 0x20 };
            at += 1;
        }
        (line[at], mask[at]) = (b':', 0xff);
        Self {
            line: u128::from_le_bytes(line),
            mask: u128::from_le_bytes(mask),
            case: u128::from_le_bytes(case),
            len: name.len(),
            known: WellKnown::of(name),
        }
    }
}

/// Which field a line begins with and how long its name is, if that is one of those that
/// many heads have, and a colon is behind it.
#[inline]
pub(super) fn usual(line: &[u8]) -> Option<(WellKnown, usize)> {
    const A: [Usual; 4] = [
        Usual::new("accept"),
        Usual::new("accept-encoding"),
        Usual::new("accept-language"),
        Usual::new("accept-ranges"),
    ];
    const C: [Usual; 5] = [
        Usual::new("content-type"),
        Usual::new("content-length"),
        Usual::new("connection"),
        Usual::new("cache-control"),
        Usual::new("cookie"),
    ];
    const D: [Usual; 1] = [Usual::new("date")];
    const E: [Usual; 1] = [Usual::new("etag")];
    const H: [Usual; 1] = [Usual::new("host")];
    const L: [Usual; 2] = [Usual::new("last-modified"), Usual::new("location")];
    const S: [Usual; 2] = [Usual::new("server"), Usual::new("set-cookie")];
    const U: [Usual; 1] = [Usual::new("user-agent")];
    let begin = line.first_chunk()?;
    let names: &[Usual] = match begin[0] | 0x20 {
        b'a' => &A,
        b'c' => &C,
        b'd' => &D,
        b'e' => &E,
        b'h' => &H,
        b'l' => &L,
        b's' => &S,
        b'u' => &U,
        _ => return None,
    };
    let begin = u128::from_le_bytes(*begin);
    let name = (names.iter()).find(|it| (begin | it.case) & it.mask == it.line)?;
    Some((name.known, name.len))
}

/// The name of a field, checked when the program is compiled.
///
/// ```
/// use squall_http::wire::headers::Headers;
/// use squall_http::wire::names::FieldName;
///
/// const VIA: FieldName = FieldName::new("Via");
/// let mut headers = Headers::new();
/// headers.append_checked(VIA, b"1.1 squall");
/// assert_eq!(headers.get("via"), Some("1.1 squall"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldName {
    pub(super) text: &'static str,
    pub(super) known: WellKnown,
}

impl FieldName {
    /// The name, which is a token (RFC 9110 section 5.1).
    ///
    /// # Panics
    /// When it is none: as a constant, it does not compile then.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(is_token_byte(bytes[at]), "the name of a field is a token");
            at += 1;
        }
        assert!(at > 0, "a field has a name");
        Self {
            text: name,
            known: WellKnown::of(bytes),
        }
    }
}

/// A whole field, checked when the program is compiled.
///
/// ```
/// use squall_http::wire::headers::Headers;
/// use squall_http::wire::names::FieldLine;
///
/// const VIA: FieldLine = FieldLine::new("Via: 1.1 squall\r\n");
/// let mut headers = Headers::new();
/// headers.append_line(VIA);
/// assert_eq!(headers.get("via"), Some("1.1 squall"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldLine {
    pub(super) text: &'static str,
    pub(super) known: WellKnown,
    pub(super) name_len: usize,
}

impl FieldLine {
    /// The line as it is sent: name, colon, space, value and CRLF.
    ///
    /// # Panics
    /// When it is something else: as a constant, it does not compile then.
    pub const fn new(line: &'static str) -> Self {
        let bytes = line.as_bytes();
        let mut name_len = 0;
        while is_token_byte(bytes[name_len]) {
            name_len += 1;
        }
        let Some((name, mut value)) = bytes.split_at_checked(name_len) else {
            panic!("a field has a name");
        };
        assert!(name_len > 0, "a field has a name");
        assert!(
            matches!(value, [b':', b' ', b'!'..=b'~', ..]),
            "a colon, a space and a value"
        );
        while let [byte, rest @ ..] = value {
            if let [b'\r', b'\n'] = value {
                break;
            }
            assert!(matches!(byte, b' '..=b'~'), "a value, and CRLF at its end");
            value = rest;
        }
        assert!(value.len() == 2, "CRLF at the end");
        Self {
            text: line,
            known: WellKnown::of(name),
            name_len,
        }
    }
}

/// Compares a field name with one in lower case; a few vector instructions.
///
/// Setting the bit that makes a letter small cannot make another token byte equal to a
/// small letter or a hyphen. So `lower` has nothing else.
#[inline]
pub const fn is<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    if name.len() != N {
        return false;
    }
    let Some(name) = name.first_chunk::<N>() else {
        return false;
    };
    let (mut other, mut at) = (0, 0);
    while at < N {
        other |= (name[at] | 0x20) ^ lower[at];
        at += 1;
    }
    other == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_nothing_else_is() {
        for (name, known) in [
            ("TE", WellKnown::Te),
            ("vIa", WellKnown::Via),
            ("Date", WellKnown::Date),
            ("Host", WellKnown::Host),
            ("Alt-Svc", WellKnown::AltSvc),
            ("Content-Length", WellKnown::ContentLength),
            ("TRANSFER-ENCODING", WellKnown::TransferEncoding),
            ("X-Forwarded-For", WellKnown::XForwardedFor),
            ("X-Forwarded-Prefix", WellKnown::XForwarded),
            ("X-Forwarded-", WellKnown::XForwarded),
            ("X-Forwarded", WellKnown::Other),
            ("Content_Length", WellKnown::Other),
            ("Data", WellKnown::Other),
            ("X", WellKnown::Other),
        ] {
            assert_eq!(WellKnown::of(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn usual_names_are_known_and_nothing_that_is_written_otherwise() {
        for name in [
            "Accept",
            "Accept-Encoding",
            "Accept-Language",
            "Accept-Ranges",
            "Cache-Control",
            "Connection",
            "Content-Length",
            "Content-Type",
            "Cookie",
            "Date",
            "ETag",
            "Host",
            "Last-Modified",
            "Location",
            "Server",
            "Set-Cookie",
            "User-Agent",
        ] {
            let found = Some((WellKnown::of(name.as_bytes()), name.len()));
            let line = format!("{name}: a value of it");
            for line in [line.to_lowercase(), line.to_uppercase(), line] {
                assert_eq!(usual(line.as_bytes()), found, "{line}");
                for at in 0..=name.len() {
                    let mut other = line.clone().into_bytes();
                    for byte in 0..=255_u8 {
                        other[at] = byte;
                        let same = byte.eq_ignore_ascii_case(&line.as_bytes()[at]);
                        assert_eq!(usual(&other) == found, same, "{line} {at} {byte}");
                    }
                }
            }
        }
        assert_eq!(usual(b"Host: a\r\n\r\n"), None, "no room for a look");
        assert_eq!(usual(b""), None);
    }
}
