//! `multipart/form-data` (RFC 7578): a streaming parser and the pieces of an encoder.
//!
//! [`MultipartParser`] reads an upload of any size without holding it: it looks at the
//! caller's buffer and says which bytes are a part's data. What is malformed, cut off or
//! ambiguous is refused, because an upload filter in front of us may have read it
//! differently. The encoder's pieces have lengths that are known before a byte is sent, so
//! an upload needs neither memory nor chunks.
//!
//! ```
//! use squall_http::wire::multipart::{Event, MultipartLimits, MultipartParser, boundary_from_content_type};
//!
//! let boundary = boundary_from_content_type("multipart/form-data; boundary=b")?;
//! let mut parser = MultipartParser::new(&boundary, MultipartLimits::default())?;
//! let mut rest: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
//! let mut fields = Vec::new();
//! loop {
//!     match parser.next_event(rest)? {
//!         Event::Part { consumed, head } => {
//!             rest = &rest[consumed..];
//!             fields.push((head.name, Vec::new()));
//!         }
//!         Event::Data { len } => {
//!             fields.last_mut().ok_or("data before a part")?.1.extend_from_slice(&rest[..len]);
//!             rest = &rest[len..];
//!         }
//!         Event::PartEnd { consumed } => rest = &rest[consumed..],
//!         Event::NeedMore { .. } => break, // here the caller reads; at the end it calls `finish`
//!         Event::End { .. } => break,
//!     }
//! }
//! parser.finish()?;
//! assert_eq!(fields, [("a".to_owned(), b"1".to_vec())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod disposition;
mod encode;
mod error;
mod parser;

pub use disposition::Disposition;
pub use encode::{PART_END, closing, part_head, part_len, random_boundary};
pub use error::MultipartError;
pub use parser::{Event, MultipartLimits, MultipartParser, PartHead};

use super::params::{self, RawValue};

/// Longest boundary (RFC 2046 section 5.1.1).
const BOUNDARY_BYTES: usize = 70;

/// Finds the boundary in the value of `Content-Type`.
///
/// The type has to be `multipart/form-data` with exactly one `boundary` of 1 to 70 of the
/// characters of RFC 2046 section 5.1.1. Quotes may be missing where that is not
/// ambiguous, since many clients forget them.
pub fn boundary_from_content_type(value: &str) -> Result<String, MultipartError> {
    let (media_type, params) = params::split(value);
    if !media_type.eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartError::NotMultipart);
    }
    let mut boundary = None;
    for param in params {
        let (name, value) = param.map_err(|_| MultipartError::Boundary)?;
        if !name.eq_ignore_ascii_case("boundary") {
            continue;
        }
        let value = match value {
            RawValue::Plain(value) if value.contains([' ', ',']) => {
                return Err(MultipartError::Boundary);
            }
            RawValue::Plain(value) | RawValue::Quoted(value) => value,
        };
        if boundary.replace(value).is_some() {
            return Err(MultipartError::Boundary);
        }
    }
    let boundary = boundary.ok_or(MultipartError::Boundary)?;
    check_boundary(boundary)?;
    Ok(boundary.to_owned())
}

fn check_boundary(boundary: &str) -> Result<(), MultipartError> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    if boundary.is_empty()
        || boundary.len() > BOUNDARY_BYTES
        || boundary.ends_with(' ')
        || !boundary.bytes().all(valid)
    {
        return Err(MultipartError::Boundary);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries() {
        for (value, boundary) in [
            ("multipart/form-data; boundary=b", "b"),
            ("Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b\"", "a b"),
            ("multipart/form-data; boundary=a=b:c", "a=b:c"),
            ("multipart/form-data; boundary=----;", "----"),
            (
                "multipart/form-data; boundary=\"g:0'()+_,-./=?\"",
                "g:0'()+_,-./=?",
            ),
        ] {
            assert_eq!(
                boundary_from_content_type(value).as_deref(),
                Ok(boundary),
                "{value}"
            );
        }
        let longest = "x".repeat(70);
        assert!(
            boundary_from_content_type(&format!("multipart/form-data; boundary={longest}")).is_ok()
        );
        assert!(
            boundary_from_content_type(&format!("multipart/form-data; boundary={longest}x"))
                .is_err()
        );
    }

    #[test]
    fn refused_boundaries() {
        for value in [
            "",
            "multipart/form-data",
            "multipart/form-data; boundary",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=a b",
            "multipart/form-data; boundary=b; boundary=b",
            "multipart/form-data; boundary=\"b",
            "multipart/form-data; boundary=a,b",
            "multipart/form-data; boundary=\"a\\b\"",
            "multipart/form-data; boundary=\u{e9}",
            "multipart/form-data; boundary=\"a\r\n\"",
            "text/plain; boundary=b",
            "multipart/mixed; boundary=b",
            "multipart/form-data boundary=b",
            "multipart/form-data; boundary=a;x",
        ] {
            assert!(boundary_from_content_type(value).is_err(), "{value:?}");
        }
    }
}
