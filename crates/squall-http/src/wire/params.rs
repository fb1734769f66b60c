//! Parameters behind a media type or a disposition: `; name=value; name="value"`.
//!
//! RFC 9110 section 5.6.6. The reader hands out raw values; what a value may hold and how
//! a quoted one is unescaped differs from field to field and stays with the caller. One
//! pass, no allocation.

use super::field::is_token_byte;

/// A value as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawValue<'a> {
    /// Without quotes, up to the next `;`; trimmed, not empty, not checked further.
    Plain(&'a str),
    /// Between quotes, escapes still in place.
    Quoted(&'a str),
}

/// Splits off what stands before the first parameter.
pub(super) fn split(text: &str) -> (&str, Params<'_>) {
    let end = memchr::memchr(b';', text.as_bytes()).unwrap_or(text.len());
    let (first, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (first.trim_matches([' ', '\t']), Params { rest })
}

/// The parameters of a text that begins with the first of them.
pub(super) fn all(text: &str) -> Params<'_> {
    Params { rest: text }
}

/// Iterates over parameters; an `Err` says the text is malformed, and ends it.
#[derive(Debug, Clone)]
pub(super) struct Params<'a> {
    rest: &'a str,
}

/// The text is not a list of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Iterator for Params<'a> {
    type Item = Result<(&'a str, RawValue<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // Empty parameters, as behind a trailing semicolon, are skipped.
        let start = self.rest.trim_start_matches([' ', '\t', ';']);
        if start.is_empty() {
            self.rest = "";
            return None;
        }
        let found = parameter(start);
        self.rest = found.map_or("", |(_, rest)| rest);
        Some(found.map(|(pair, _)| pair).ok_or(Malformed))
    }
}

type Pair<'a> = (&'a str, RawValue<'a>);

/// Reads one parameter; returns it and the text from the next semicolon on.
fn parameter(text: &str) -> Option<(Pair<'_>, &str)> {
    let (name, text) = text.split_once('=')?;
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return None;
    }
    let Some(inner) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at_checked(text.find(';').unwrap_or(text.len()))?;
        let value = value.trim_end_matches([' ', '\t']);
        return (!value.is_empty()).then_some(((name, RawValue::Plain(value)), rest));
    };
    let end = closing_quote(inner)?;
    let (value, rest) = inner.split_at_checked(end)?;
    let rest = rest.strip_prefix('"')?.trim_start_matches([' ', '\t']);
    (rest.is_empty() || rest.starts_with(';')).then_some(((name, RawValue::Quoted(value)), rest))
}

/// Where the quoted string ends: the first quote without a backslash before it.
fn closing_quote(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(&str, RawValue<'_>)>, Malformed> {
        split(text).1.collect()
    }

    #[test]
    fn plain_and_quoted() {
        assert_eq!(split(" a/b ;c=d").0, "a/b");
        assert_eq!(all("a"), Ok(vec![]));
        assert_eq!(
            all("a; b=c ;d=\"e;f=\\\"g\" ; ;"),
            Ok(vec![
                ("b", RawValue::Plain("c")),
                ("d", RawValue::Quoted("e;f=\\\"g"))
            ])
        );
    }

    #[test]
    fn malformed() {
        for text in [
            "a; b",
            "a; =c",
            "a; b=",
            "a; b = c",
            "a; b=\"c",
            "a; b=\"c\\\"",
            "a; b=\"c\"d",
            "a; b =c",
        ] {
            assert_eq!(all(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn a_megabyte_of_backslashes_is_one_pass() {
        let text = format!("a; b=\"{}\"", "\\".repeat(1 << 20));
        assert!(all(&text).is_ok());
    }
}
