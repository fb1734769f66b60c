//! One header field: what its name and its value may hold, and the error that says so.
//!
//! Shared by whoever reads or writes fields, also those of trailers, parts and cookies
//! (RFC 9110 section 5). What is not written through [`check`] could end its own line and
//! start another one.

use std::fmt;

use super::steps::{text_len, word_len};

/// A header that cannot be sent: its name is no token, or its value holds a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidHeader {
    name: String,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    EmptyName,
    NameByte(u8),
    ValueByte(u8),
    TooLong,
}

impl InvalidHeader {
    pub(super) fn new(name: &str, fault: Fault) -> Self {
        Self {
            name: name.chars().take(64).collect(),
            fault,
        }
    }

    /// The name of the header that was refused, cut to 64 characters.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::EmptyName => f.write_str("a header needs a name"),
            Fault::NameByte(byte) => write!(
                f,
                "header name {:?} may not contain the byte {byte:#04x}",
                self.name
            ),
            Fault::ValueByte(byte) => {
                write!(
                    f,
                    "the value of header {:?} may not contain the byte {byte:#04x}",
                    self.name
                )
            }
            Fault::TooLong => write!(f, "header {:?} makes the head longer than 4 GiB", self.name),
        }
    }
}

impl std::error::Error for InvalidHeader {}

/// Checks a field about to be written: the name is a token, the value has no controls.
pub(super) fn check(name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
    if name.is_empty() {
        return Err(InvalidHeader::new(name, Fault::EmptyName));
    }
    match name.as_bytes().get(token_len(name.as_bytes())) {
        Some(byte) => Err(InvalidHeader::new(name, Fault::NameByte(*byte))),
        None => check_value(name, value),
    }
}

/// Checks that a value has no controls.
pub(super) fn check_value(name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
    if text_len(value) == value.len() {
        return Ok(());
    }
    match value.iter().find(|byte| !is_value_byte(**byte)) {
        Some(byte) => Err(InvalidHeader::new(name, Fault::ValueByte(*byte))),
        None => Ok(()),
    }
}

/// How many bytes there are in front of the first that is not of a token.
#[inline]
pub(super) fn token_len(text: &[u8]) -> usize {
    let len = word_len(text);
    match text.get(len..) {
        None | Some([] | [b':', ..]) => len,
        Some(rest) => len + rest_of_token(rest),
    }
}

/// The rest of one that has something else than letters and hyphens: few have.
#[cold]
fn rest_of_token(text: &[u8]) -> usize {
    let end = text.iter().position(|byte| !is_token_byte(*byte));
    end.unwrap_or(text.len())
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    ) || byte.is_ascii_alphanumeric()
}

/// What a field value may hold: tab, space, visible ASCII and obs-text.
pub(super) const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Cuts spaces and tabs, and nothing else, off both ends (OWS, RFC 9110 section 5.6.3).
pub(super) fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_where_it_should() {
        for (text, len) in [
            ("Content-Length: 1", 14),
            ("X_1.2-ab: ", 8),
            ("a b", 1),
            (": ", 0),
            ("", 0),
            ("a\u{e9}", 1),
            ("Abcdefghijklmnopqrstuvwxyz0!x", 29),
        ] {
            assert_eq!(token_len(text.as_bytes()), len, "{text}");
        }
    }

    #[test]
    fn the_error_names_header_and_byte() {
        let error = check("X-A", b"b\0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the value of header \"X-A\" may not contain the byte 0x00"
        );
        assert_eq!(error.name(), "X-A");
    }
}
