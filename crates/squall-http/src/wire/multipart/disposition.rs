//! `Content-Disposition` of a form part: its name and, for files, the file's name.
//!
//! RFC 7578 section 4.2 as browsers write it (HTML, "multipart/form-data encoding
//! algorithm"): quotes and line ends inside a name come as `%22`, `%0D` and `%0A`; older
//! clients put a backslash before a quote. A backslash before anything else is itself, for
//! the sake of Windows paths. `filename*` is ignored, as the RFC forbids it in forms and
//! two layers that choose differently are an upload-filter bypass.

use super::super::field::is_token_byte;
use super::super::params::{self, RawValue};
use super::MultipartError;

/// What a part's `Content-Disposition` says.
///
/// The file name is the peer's word: never a path to write to as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// The field's name; may be empty.
    pub name: String,
    /// The file's name; `Some` marks a file, even when it is empty.
    pub filename: Option<String>,
}

impl Disposition {
    /// Parses the value of a form part's `Content-Disposition`.
    ///
    /// It has to be `form-data` with one `name`; a repeated parameter, an open quote or
    /// text that is not UTF-8 is refused.
    pub fn parse(value: &[u8]) -> Result<Self, MultipartError> {
        let text = std::str::from_utf8(value).map_err(|_| MultipartError::Disposition)?;
        let (kind, params) = params::split(text);
        if !kind.eq_ignore_ascii_case("form-data") {
            return Err(MultipartError::Disposition);
        }
        let (mut name, mut filename) = (None, None);
        for param in params {
            let (param, value) = param.map_err(|_| MultipartError::Disposition)?;
            let slot = match param {
                _ if param.eq_ignore_ascii_case("name") => &mut name,
                _ if param.eq_ignore_ascii_case("filename") => &mut filename,
                _ => continue,
            };
            let value = match value {
                RawValue::Quoted(raw) => unescape(raw),
                RawValue::Plain(raw) if raw.bytes().all(is_token_byte) => raw.to_owned(),
                RawValue::Plain(_) => return Err(MultipartError::Disposition),
            };
            if slot.replace(value).is_some() {
                return Err(MultipartError::Disposition);
            }
        }
        Ok(Self {
            name: name.ok_or(MultipartError::Disposition)?,
            filename,
        })
    }
}

fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['\\', '%']) {
        let (plain, escape) = rest.split_at(at);
        text.push_str(plain);
        let (char, len) = match escape.as_bytes() {
            [b'\\', quoted @ (b'"' | b'\\'), ..] => (char::from(*quoted), 2),
            [b'%', b'2', b'2', ..] => ('"', 3),
            [b'%', b'0', b'd' | b'D', ..] => ('\r', 3),
            [b'%', b'0', b'a' | b'A', ..] => ('\n', 3),
            [b'\\', ..] => ('\\', 1),
            _ => ('%', 1),
        };
        text.push(char);
        rest = escape.get(len..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// Writes a name for use between quotes, the way browsers do.
///
/// A backslash stays itself where every reader takes it so; at the end, where some would
/// see an escaped quote, it is written as `%5C`. Other controls are percent-encoded too,
/// since no header may hold them.
pub(super) fn escape(name: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = name.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let odd = match byte {
            b'"' | 0..=0x1f | 0x7f => true,
            b'\\' => matches!(bytes.get(at + 1), None | Some(b'\\')),
            _ => false,
        };
        if odd {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        } else {
            out.push(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<(String, Option<String>)> {
        Disposition::parse(value.as_bytes())
            .ok()
            .map(|found| (found.name, found.filename))
    }

    #[test]
    fn names_and_files() {
        for (value, name, filename) in [
            ("form-data; name=\"a\"", "a", None),
            ("Form-Data; NAME=a;", "a", None),
            ("form-data; name=\"\"; filename=\"\"", "", Some("")),
            (
                "form-data; filename=\"a;b=c.txt\"; name=f",
                "f",
                Some("a;b=c.txt"),
            ),
            ("form-data; name=\"a\\\"b\"", "a\"b", None),
            ("form-data; name=\"a%22b%0d%0A%41\"", "a\"b\r\n%41", None),
            (
                "form-data; name=f; filename=\"C:\\dir\\x.txt\"",
                "f",
                Some("C:\\dir\\x.txt"),
            ),
            (
                "form-data; name=f; filename=\"\u{20ac}.txt\"",
                "f",
                Some("\u{20ac}.txt"),
            ),
            (
                "form-data; name=f; filename=\"a\"; filename*=UTF-8''evil.php",
                "f",
                Some("a"),
            ),
            ("form-data; name=f; filename*=UTF-8''a", "f", None),
        ] {
            assert_eq!(
                parse(value),
                Some((name.to_owned(), filename.map(str::to_owned))),
                "{value}"
            );
        }
    }

    #[test]
    fn refused() {
        for value in [
            "",
            "form-data",
            "form-data; filename=a",
            "attachment; name=a",
            "form-data; name=\"a\"; name=\"b\"",
            "form-data; name",
            "form-data; name=\"a",
            "form-data; name=\"a\\\"; filename=\"x\"",
            "form-data; name=\"a\"b",
            "form-data; name=a b",
            "form-data; name=a; filename=\"a\"; FILENAME=\"b\"",
            "form-data, name=a",
            "form-data; name = a",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
        assert!(Disposition::parse(b"form-data; name=\"\xff\"").is_err());
    }
}
