//! `application/x-www-form-urlencoded`: pairs of a form or a query.
//!
//! As the WHATWG URL standard defines it: `&` separates pairs, `+` is a space, and a `%`
//! that starts no escape is itself. Only `&` separates; a semicolon that some readers
//! split at and others do not is a cache-poisoning tool. Pairs keep their order, names may
//! repeat. Reading is bounded by a number of pairs, writing by nothing.
//!
//! ```
//! use squall_http::wire::form;
//!
//! let pairs = form::parse(b"a=1&b=x+y&a=%C3%A9", form::PAIRS)?;
//! assert_eq!(pairs, [("a".into(), "1".into()), ("b".into(), "x y".into()), ("a".into(), "\u{e9}".into())]);
//! assert_eq!(form::encode([("a b", "c&d")]), "a+b=c%26d");
//! # Ok::<(), form::FormError>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use super::uri::hex;

/// Default limit for the number of pairs.
pub const PAIRS: usize = 1000;

/// A name and a value, decoded; borrowed where nothing had to be.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads every pair, at most `limit` of them.
pub fn parse(text: &[u8], limit: usize) -> Result<Vec<Pair<'_>>, FormError> {
    let mut found = Vec::new();
    for pair in pairs(text) {
        if found.len() >= limit {
            return Err(FormError::TooManyPairs { limit });
        }
        let (name, value) = pair?;
        found.push((name, value));
    }
    Ok(found)
}

/// Iterates over the pairs of a form or query. Empty pieces between `&` are skipped.
///
/// A piece without `=` is a name with an empty value. Decoded text that is not UTF-8 is an
/// error of that pair.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = Result<Pair<'_>, FormError>> {
    text.split(|byte| *byte == b'&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let equals = memchr::memchr(b'=', piece).unwrap_or(piece.len());
            let name = piece.get(..equals).unwrap_or_default();
            let value = piece.get(equals + 1..).unwrap_or_default();
            let broken = || FormError::Utf8 {
                name: String::from_utf8_lossy(&unescape(name)).into_owned(),
            };
            let decode = |text| decode(text).ok_or_else(broken);
            Ok((decode(name)?, decode(value)?))
        })
}

/// Decodes one name or value: `+` is a space, `%xx` a byte, anything else itself.
///
/// `None` if that is not UTF-8.
pub fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    match unescape(text) {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'+', b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let escape = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let (byte, len) = match (escape, first) {
            (Some((high, low)), _) => (high << 4 | low, 3),
            (None, b'+') => (b' ', 1),
            (None, other) => (*other, 1),
        };
        bytes.push(byte);
        rest = rest.get(len..).unwrap_or_default();
    }
    Cow::Owned(bytes)
}

/// Writes pairs as a form or query.
pub fn encode<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        encode_pair(&mut out, name.as_ref(), value.as_ref());
    }
    out
}

/// Adds one pair, with an `&` before it if something stands there already.
pub fn encode_pair(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    encode_text(out, name);
    out.push('=');
    encode_text(out, value);
}

fn encode_text(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                out.push(char::from(byte))
            }
            _ => {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

/// Why a form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormError {
    /// A decoded name or value is not UTF-8. 400.
    Utf8 {
        /// The name, with what is not UTF-8 replaced.
        name: String,
    },
    /// There are more pairs than may be. 413.
    TooManyPairs {
        /// The limit that was passed.
        limit: usize,
    },
}

impl FormError {
    /// The status a server answers with.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Utf8 { .. } => http::StatusCode::BAD_REQUEST,
            Self::TooManyPairs { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8 { name } => write!(f, "the form's field {name:?} is not UTF-8"),
            Self::TooManyPairs { limit } => {
                write!(f, "the form has more than {limit} pairs")
            }
        }
    }
}

impl std::error::Error for FormError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let pairs = parse(text.as_bytes(), PAIRS).unwrap();
        pairs
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    #[test]
    fn reads_what_browsers_write() {
        for (text, pairs) in [
            ("", &[][..]),
            ("&&", &[]),
            ("a", &[("a", "")]),
            ("=b", &[("", "b")]),
            ("a=b=c;d=e", &[("a", "b=c;d=e")]),
            ("a=1&a=2", &[("a", "1"), ("a", "2")]),
            ("a+b=c%20d%2b", &[("a b", "c d+")]),
            (
                "a=%&b=%4&c=%zz&d=%%41",
                &[("a", "%"), ("b", "%4"), ("c", "%zz"), ("d", "%A")],
            ),
            ("\u{e9}=%E2%82%AC", &[("\u{e9}", "\u{20ac}")]),
        ] {
            let found = read(text);
            assert_eq!(
                found
                    .iter()
                    .map(|(a, b)| (a.as_str(), b.as_str()))
                    .collect::<Vec<_>>(),
                pairs,
                "{text}"
            );
        }
        let broken = |name: &str| Err(FormError::Utf8 { name: name.into() });
        assert_eq!(parse(b"a=%ff", PAIRS), broken("a"));
        assert_eq!(parse(b"%c3%a9=\xff", PAIRS), broken("\u{e9}"));
        assert_eq!(parse(b"a%ff=1", PAIRS), broken("a\u{fffd}"));
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        let text = "a=1&".repeat(1001);
        let error = parse(text.as_bytes(), PAIRS).unwrap_err();
        assert_eq!(error.to_string(), "the form has more than 1000 pairs");
    }

    proptest! {
        #[test]
        fn pairs_survive(pairs in prop::collection::vec((".{0,8}", ".{0,8}"), 0..8)) {
            let text = encode(pairs.iter().map(|(name, value)| (name, value)));
            prop_assert_eq!(read(&text), pairs);
        }
    }
}
