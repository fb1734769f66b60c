//! Cookies: the pairs of a `Cookie` header, and `Set-Cookie` written safely.
//!
//! RFC 6265 sections 4.2 and 5.4, with the updates of its successor draft. Pairs come in
//! the order they were sent and are not decoded. A cookie without a name is left out: it is
//! how a `__Host-` cookie is forged (`=__Host-id=x`). [`SetCookie`] refuses whatever would
//! add an attribute of its own, and keeps the promises of the name prefixes.
//!
//! ```
//! use squall_http::wire::cookie::{self, SetCookie};
//!
//! let pairs: Vec<_> = cookie::pairs(b"a=1; b=\"2\"").collect();
//! assert_eq!(pairs, [("a", "1"), ("b", "2")]);
//! let text = SetCookie::new("id", "42").secure(true).to_header()?;
//! assert_eq!(text, "id=42; Path=/; Secure; HttpOnly; SameSite=Lax");
//! # Ok::<(), cookie::InvalidCookie>(())
//! ```

use std::fmt;
use std::time::{Duration, SystemTime};

use super::date;
use super::field::is_token_byte;
use super::headers::Headers;

/// Most pairs that are read from one header line; the rest is ignored.
pub const PAIRS: usize = 256;

/// Longest lifetime that is written, in seconds: 400 days, the most browsers keep.
const MAX_AGE: u64 = 400 * 24 * 3600;

/// The pairs of every `Cookie` line of a head, in order, at most [`PAIRS`].
///
/// HTTP/2 clients may split the header into several lines (RFC 9113 section 8.2.3).
pub fn all(headers: &Headers) -> impl Iterator<Item = (&str, &str)> {
    headers.get_all("cookie").flat_map(pieces).take(PAIRS)
}

/// The first cookie called `name`: the one with the longest path (RFC 6265 section 5.4).
pub fn get<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    all(headers)
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// The pairs of one `Cookie` value, in order, at most [`PAIRS`].
///
/// Names are case-sensitive. One pair of quotes around a value is removed, nothing else is
/// decoded. Pieces without a name or without `=` are left out, and so is one that is not
/// UTF-8 or holds a control.
pub fn pairs(value: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    pieces(value).take(PAIRS)
}

fn pieces(value: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    value.split(|byte| *byte == b';').filter_map(|piece| {
        let piece = std::str::from_utf8(piece).ok()?;
        let (name, value) = piece.split_once('=')?;
        let (name, value) = (name.trim_matches(BLANK), value.trim_matches(BLANK));
        let control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
        if name.is_empty() || name.bytes().any(control) || value.bytes().any(control) {
            return None;
        }
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        Some((name, bare.unwrap_or(value)))
    })
}

const BLANK: [char; 2] = [' ', '\t'];

/// When a browser sends a cookie along with requests that other sites cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// Never.
    Strict,
    /// Only when the user follows a link. The default.
    #[default]
    Lax,
    /// Always. Browsers want `Secure` with it, and so do we.
    None,
}

/// A cookie to be set. By default: the whole site, not for scripts, `SameSite=Lax`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCookie {
    /// The name: a token.
    pub name: String,
    /// The value: visible ASCII without quote, comma, semicolon and backslash.
    pub value: String,
    /// The path the cookie is for. Default `/`.
    pub path: Option<String>,
    /// The domain whose hosts get the cookie. Default: this host only.
    pub domain: Option<String>,
    /// How long the cookie lives; at most 400 days are written. Zero deletes it.
    pub max_age: Option<Duration>,
    /// When the cookie dies, for clients that do not know `max_age`.
    pub expires: Option<SystemTime>,
    /// Whether the cookie is sent over TLS only. Default off.
    pub secure: bool,
    /// Whether scripts cannot read the cookie. Default on.
    pub http_only: bool,
    /// When the cookie goes along with other sites' requests.
    pub same_site: Option<SameSite>,
}

impl SetCookie {
    /// Makes a cookie that lives until the browser closes.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: Some("/".to_owned()),
            domain: None,
            max_age: None,
            expires: None,
            secure: false,
            http_only: true,
            same_site: Some(SameSite::Lax),
        }
    }

    /// Makes a cookie that deletes the one called `name`.
    ///
    /// Path and domain have to be those it was set with.
    pub fn removal(name: impl Into<String>) -> Self {
        Self::new(name, "")
            .max_age(Duration::ZERO)
            .expires(SystemTime::UNIX_EPOCH)
    }

    /// Sets the path.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets the domain.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets the lifetime.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sets the date of expiry.
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Sets whether the cookie is for TLS only.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets whether the cookie is kept from scripts.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Sets when the cookie goes along with other sites' requests.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Writes the value of a `Set-Cookie` header, or says what cannot be written.
    pub fn to_header(&self) -> Result<String, InvalidCookie> {
        self.check()?;
        let mut out = format!("{}={}", self.name, self.value);
        let mut attribute = |name: &str, value: &str| {
            out.push_str("; ");
            out.push_str(name);
            if !value.is_empty() {
                out.push('=');
                out.push_str(value);
            }
        };
        if let Some(path) = &self.path {
            attribute("Path", path);
        }
        if let Some(domain) = &self.domain {
            attribute("Domain", domain);
        }
        if let Some(max_age) = self.max_age {
            attribute(
                "Max-Age",
                itoa::Buffer::new().format(max_age.as_secs().min(MAX_AGE)),
            );
        }
        if let Some(expires) = self.expires {
            attribute(
                "Expires",
                std::str::from_utf8(&date::format(expires)).unwrap_or_default(),
            );
        }
        if self.secure {
            attribute("Secure", "");
        }
        if self.http_only {
            attribute("HttpOnly", "");
        }
        match self.same_site {
            Some(SameSite::Strict) => attribute("SameSite", "Strict"),
            Some(SameSite::Lax) => attribute("SameSite", "Lax"),
            Some(SameSite::None) => attribute("SameSite", "None"),
            None => {}
        }
        Ok(out)
    }

    fn check(&self) -> Result<(), InvalidCookie> {
        if self.name.is_empty() || !self.name.bytes().all(is_token_byte) {
            return Err(InvalidCookie("the name of a cookie must be a token"));
        }
        let inner = self
            .value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        if !inner.unwrap_or(&self.value).bytes().all(is_value_byte) {
            return Err(InvalidCookie(
                "the value of a cookie must be visible ASCII without \" , ; or \\",
            ));
        }
        if self.name.len() + self.value.len() > 4096 {
            return Err(InvalidCookie(
                "name and value of a cookie must not be longer than 4096 bytes",
            ));
        }
        let path = self.path.as_deref();
        if path.is_some_and(|path| {
            !path.starts_with('/') || !path.bytes().all(|byte| is_visible(byte) && byte != b';')
        }) {
            return Err(InvalidCookie(
                "the path of a cookie must start with / and be visible ASCII without ;",
            ));
        }
        let host_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if self
            .domain
            .as_deref()
            .is_some_and(|domain| domain.is_empty() || !domain.bytes().all(host_byte))
        {
            return Err(InvalidCookie("the domain of a cookie must be a host name"));
        }
        if self.same_site == Some(SameSite::None) && !self.secure {
            return Err(InvalidCookie("SameSite=None needs Secure"));
        }
        let prefixed = |prefix: &str| {
            self.name
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if prefixed("__Secure-") && !self.secure {
            return Err(InvalidCookie("a __Secure- cookie needs Secure"));
        }
        if prefixed("__Host-") && !(self.secure && self.domain.is_none() && path == Some("/")) {
            return Err(InvalidCookie(
                "a __Host- cookie needs Secure, Path=/ and no Domain",
            ));
        }
        Ok(())
    }
}

/// `cookie-octet` of RFC 6265 section 4.1.1.
fn is_value_byte(byte: u8) -> bool {
    is_visible(byte) && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

fn is_visible(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e)
}

/// A cookie that cannot be set; the text says which rule it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCookie(&'static str);

impl fmt::Display for InvalidCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidCookie {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_as_browsers_send_them() {
        for (value, expected) in [
            ("", &[][..]),
            ("a=b", &[("a", "b")]),
            ("  a=b ;\tc=d  ;;", &[("a", "b"), ("c", "d")]),
            ("a==b", &[("a", "=b")]),
            ("a=", &[("a", "")]),
            ("a; b=c", &[("b", "c")]),
            ("=__Host-id=x; = b=c; d=e", &[("d", "e")]),
            (
                "a=\"b c\"; d=\"e; f=\"; g=\"\"",
                &[("a", "b c"), ("d", "\"e"), ("f", "\""), ("g", "")],
            ),
            ("a=1; A=2; a=3", &[("a", "1"), ("A", "2"), ("a", "3")]),
            ("a[b]=%3B+c,d", &[("a[b]", "%3B+c,d")]),
            ("a=\u{20ac}", &[("a", "\u{20ac}")]),
            ("a=b\0c; d=e", &[("d", "e")]),
        ] {
            assert_eq!(
                pairs(value.as_bytes()).collect::<Vec<_>>(),
                expected,
                "{value}"
            );
        }
        assert_eq!(pairs(b"a=\xff; b=c").collect::<Vec<_>>(), [("b", "c")]);
    }

    #[test]
    fn lines_are_joined_and_capped() {
        let mut headers = Headers::new();
        headers.append("Cookie", "a=1").unwrap();
        headers.append("cookie", "b=2; a=3").unwrap();
        assert_eq!(
            all(&headers).collect::<Vec<_>>(),
            [("a", "1"), ("b", "2"), ("a", "3")]
        );
        assert_eq!(get(&headers, "a"), Some("1"));
        headers.append("cookie", "c=;".repeat(20_000)).unwrap();
        assert_eq!(all(&headers).count(), PAIRS);
        assert_eq!(
            pairs(format!("a=\"{}\"", "\\".repeat(1 << 20)).as_bytes()).count(),
            1
        );
    }

    #[test]
    fn writes_every_attribute() {
        let cookie = SetCookie::new("__Secure-a", "b=c")
            .path("/x")
            .domain("a.test")
            .max_age(Duration::MAX)
            .expires(SystemTime::UNIX_EPOCH)
            .secure(true)
            .same_site(SameSite::None);
        let expected = "__Secure-a=b=c; Path=/x; Domain=a.test; Max-Age=34560000; \
                        Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=None";
        assert_eq!(cookie.to_header().unwrap(), expected);
        let removal = SetCookie::removal("a").to_header().unwrap();
        assert!(
            removal.starts_with("a=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970"),
            "{removal}"
        );
    }

    #[test]
    fn no_attribute_can_be_injected() {
        let good = || SetCookie::new("a", "b");
        for bad in [
            SetCookie::new("", "b"),
            SetCookie::new("a b", "c"),
            SetCookie::new("a=b", "c"),
            SetCookie::new("a;", "c"),
            SetCookie::new("a", "b; Domain=c"),
            SetCookie::new("a", "b\r\n"),
            SetCookie::new("a", "b c"),
            SetCookie::new("a", "\u{e9}"),
            SetCookie::new("a", "\"b"),
            SetCookie::new("a", "b".repeat(4096)),
            good().path("a"),
            good().path("/; Secure"),
            good().path("/\n"),
            good().domain("a.test; x"),
            good().domain("a/b"),
            good().domain(""),
            good().same_site(SameSite::None),
            SetCookie::new("__secure-a", "b"),
            SetCookie::new("__Host-a", "b"),
            SetCookie::new("__Host-a", "b").secure(true).path("/x"),
            SetCookie::new("__HOST-a", "b")
                .secure(true)
                .domain("a.test"),
        ] {
            assert!(bad.to_header().is_err(), "{bad:?}");
        }
        assert!(
            SetCookie::new("__Host-a", "b")
                .secure(true)
                .to_header()
                .is_ok()
        );
    }
}
