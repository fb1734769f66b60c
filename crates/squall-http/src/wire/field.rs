//! One header field: what its name and its value may hold, and the error that says so.
//!
//! Shared by whoever reads or writes fields, also those of trailers, parts and cookies
//! (RFC 9110 section 5). What is not written through [`check`] could end its own line and
//! start another one.

use std::fmt;

use super::steps::word_len;

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
    if is_text(value) {
        return Ok(());
    }
    match value.iter().find(|byte| !is_value_byte(**byte)) {
        Some(byte) => Err(InvalidHeader::new(name, Fault::ValueByte(*byte))),
        None => Ok(()),
    }
}

/// The high bit of each byte of eight that is below a space, or DEL.
///
/// Exact up to the first one; behind it others may be marked.
fn controls(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let word = u64::from_le_bytes(word);
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = word ^ (ONES * 0x7f);
    (below_space | (delete.wrapping_sub(ONES) & !delete)) & (ONES << 7)
}

/// Whether there is no control, not even a tab.
fn is_text(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let last = match (text.last_chunk::<8>(), rest) {
        (_, []) => 0,
        // Some bytes a second time: that is cheaper than one by one.
        (Some(last), _) => controls(*last),
        (None, few) => u64::from(few.iter().any(u8::is_ascii_control)),
    };
    words.iter().fold(last, |all, word| all | controls(*word)) == 0
}

/// How many bytes there are in front of the first control.
pub(super) fn text_len(text: &[u8]) -> usize {
    // What is long goes by in vectors; what remains is found in words.
    let (blocks, _) = text.as_chunks::<32>();
    let is_clean = |block: &[u8; 32]| {
        !block
            .iter()
            .fold(false, |any, b| any | b.is_ascii_control())
    };
    let from = 32 * blocks.iter().take_while(|block| is_clean(block)).count();
    let (words, rest) = text.get(from..).unwrap_or_default().as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let controls = controls(*word);
        if controls != 0 {
            return from + at * 8 + controls.trailing_zeros() as usize / 8;
        }
    }
    let more = rest.iter().position(u8::is_ascii_control);
    from + words.len() * 8 + more.unwrap_or(rest.len())
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
    fn controls_are_found_wherever_they_stand() {
        for byte in 0..=255_u8 {
            for len in 1..70 {
                for at in 0..len {
                    let mut text = vec![b'~'; len];
                    text[at] = byte;
                    let is_control = byte < b' ' || byte == 0x7f;
                    assert_eq!(is_text(&text), !is_control, "{byte:#x} at {at} of {len}");
                    let clean = if is_control { at } else { len };
                    assert_eq!(text_len(&text), clean, "{byte:#x} at {at} of {len}");
                }
            }
        }
    }

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
