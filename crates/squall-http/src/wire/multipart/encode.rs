//! Writes the framing of a `multipart/form-data` body.
//!
//! A body is, for each part, [`part_head`], the data and [`PART_END`], and at last
//! [`closing`]. All of these have known lengths, so `Content-Length` can be sent before a
//! file is opened: sum [`part_len`] over the parts and add the length of the closing.

use std::io;

use super::super::field::{self, InvalidHeader};
use super::disposition::escape;

/// What follows the data of each part.
pub const PART_END: &[u8] = b"\r\n";

/// Makes a boundary nobody can guess: 144 random bits.
///
/// Data that came from a stranger cannot contain it, so it need not be searched for. Fails
/// only if the operating system has no randomness.
pub fn random_boundary() -> io::Result<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = [0u8; 24];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let mut boundary = String::from("squall-");
    boundary.extend(
        random
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte & 63)])),
    );
    Ok(boundary)
}

/// Writes what stands before the data of one part.
///
/// Quotes and line ends in the names are escaped as the HTML standard says. `filename`
/// makes the part a file. A `content_type` that no header may hold is refused.
pub fn part_head(
    boundary: &str,
    name: &str,
    filename: Option<&str>,
    content_type: Option<&str>,
) -> Result<Vec<u8>, InvalidHeader> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(b"--");
    out.extend_from_slice(boundary.as_bytes());
    out.extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"");
    escape(name, &mut out);
    if let Some(filename) = filename {
        out.extend_from_slice(b"\"; filename=\"");
        escape(filename, &mut out);
    }
    out.extend_from_slice(b"\"\r\n");
    if let Some(content_type) = content_type {
        field::check("Content-Type", content_type.as_bytes())?;
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// How many bytes a part takes: its head, `data` bytes and [`PART_END`].
///
/// `None` if that is more than 64 bits can count.
pub fn part_len(head: &[u8], data: u64) -> Option<u64> {
    (head.len() as u64)
        .checked_add(data)?
        .checked_add(PART_END.len() as u64)
}

/// Writes the end of the body.
pub fn closing(boundary: &str) -> Vec<u8> {
    [b"--", boundary.as_bytes(), b"--\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Event, MultipartLimits, MultipartParser};
    use super::*;

    #[test]
    fn boundaries_are_valid_and_differ() {
        let (a, b) = (random_boundary().unwrap(), random_boundary().unwrap());
        assert_ne!(a, b);
        assert!(MultipartParser::new(&a, MultipartLimits::default()).is_ok());
    }

    #[test]
    fn names_cannot_inject() {
        let head = part_head("b", "a\"\r\nX: y\\", Some("\0\\\\"), Some("text/plain")).unwrap();
        let expected = "--b\r\nContent-Disposition: form-data; name=\"a%22%0D%0AX: y%5C\"; \
                        filename=\"%00%5C%5C\"\r\nContent-Type: text/plain\r\n\r\n";
        assert_eq!(String::from_utf8(head).unwrap(), expected);
        assert!(part_head("b", "a", None, Some("text/plain\r\nX: y")).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            parts in prop::collection::vec(
                ("[a-z \"\r\n\u{e9}\u{20ac};=%'(]{0,12}", prop::option::of("[a-z./\" ;]{0,12}"), prop::collection::vec(any::<u8>(), 0..60)),
                0..5,
            ),
            step in 1usize..80,
        ) {
            let boundary = random_boundary().unwrap();
            let (mut wire, mut len) = (Vec::new(), 0);
            for (name, filename, data) in &parts {
                // A name that already looks escaped cannot be told from an escaped one.
                prop_assume!(!name.contains("%0") && !name.contains("%2"));
                let head = part_head(&boundary, name, filename.as_deref(), Some("a/b")).unwrap();
                len += part_len(&head, data.len() as u64).unwrap();
                wire.extend_from_slice(&head);
                wire.extend_from_slice(data);
                wire.extend_from_slice(PART_END);
            }
            wire.extend_from_slice(&closing(&boundary));
            prop_assert_eq!(wire.len() as u64, len + closing(&boundary).len() as u64);

            let mut parser = MultipartParser::new(&boundary, MultipartLimits::default()).unwrap();
            let (mut start, mut end, mut found) = (0, 0, Vec::new());
            loop {
                match parser.next_event(&wire[start..end]).unwrap() {
                    Event::Part { consumed, head } => {
                        prop_assert_eq!(head.content_type.as_deref(), Some("a/b"));
                        found.push((head.name, head.filename, Vec::new()));
                        start += consumed;
                    }
                    Event::Data { len } => {
                        found.last_mut().unwrap().2.extend_from_slice(&wire[start..start + len]);
                        start += len;
                    }
                    Event::PartEnd { consumed } => start += consumed,
                    Event::End { .. } => break,
                    Event::NeedMore { consumed } => {
                        start += consumed;
                        prop_assert!(end < wire.len());
                        end = wire.len().min(end + step);
                    }
                }
            }
            prop_assert_eq!(found, parts);
        }

        #[test]
        fn no_bytes_make_the_parser_panic_or_loop(wire in "(--b|\r\n|-|b|Content-Disposition: form-data; name=a|:|x){0,40}", step in 1usize..20) {
            let mut parser = MultipartParser::new("b", MultipartLimits::default()).unwrap();
            let (wire, mut start, mut end) = (wire.as_bytes(), 0, 0);
            for _ in 0..10_000 {
                let used = match parser.next_event(&wire[start..end]) {
                    Ok(Event::NeedMore { .. }) if end == wire.len() => return Ok(()),
                    Ok(Event::NeedMore { consumed }) => { end = wire.len().min(end + step); consumed }
                    Ok(Event::Data { len }) => len,
                    Ok(Event::Part { consumed, .. } | Event::PartEnd { consumed } | Event::End { consumed }) => consumed,
                    Err(_) => return Ok(()),
                };
                start += used;
                prop_assert!(start <= end);
            }
            prop_assert!(false, "the parser does not come to an end");
        }
    }
}
