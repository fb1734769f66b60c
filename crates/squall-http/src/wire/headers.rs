//! `Headers`: the header fields of one message, as a text block plus spans.
//!
//! One representation serves both directions and both sides. Order, case and duplicates
//! are kept as they came, because a forwarder has to pass them on and a signature may
//! depend on them. There is no map: a head has few fields, and a scan that compares the
//! length first is faster than hashing every name. The block and the span list keep their
//! capacity across [`Headers::clear`], so a connection parses its second head without
//! allocating.
//!
//! ```
//! use squall_http::wire::headers::Headers;
//!
//! let mut headers = Headers::new();
//! headers.append("Content-Type", "text/plain")?;
//! assert_eq!(headers.get("content-type"), Some("text/plain"));
//! assert!(headers.append("X-Evil", "a\r\nSet-Cookie: b=c").is_err());
//! # Ok::<(), squall_http::wire::headers::InvalidHeader>(())
//! ```

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};

pub use super::field::InvalidHeader;
use super::field::{Fault, check, check_value, trim_ows};
use super::names::{FieldLine, FieldName, WellKnown};

/// The header fields of one message, in order, duplicates and case kept.
#[derive(Clone, Default)]
pub struct Headers {
    /// Every field as `name: value CRLF`; removed fields leave their text behind.
    block: Vec<u8>,
    /// Where the live fields are, in message order.
    fields: Vec<Field>,
    /// The block is not exactly the fields in our own notation: it was parsed, or edited.
    rewritten: bool,
}

/// One field: offsets into the block. `u32` keeps the list at 20 bytes a field.
#[derive(Clone, Copy)]
struct Field {
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
    known: WellKnown,
}

impl Field {
    /// A span that does not fit in 32 bits, which no limit lets through, reads as another.
    #[inline]
    fn new(known: WellKnown, name: (usize, usize), value: (usize, usize)) -> Self {
        Self {
            known,
            name: name.0 as u32,
            name_len: name.1 as u32,
            value: value.0 as u32,
            value_len: value.1 as u32,
        }
    }
}

impl Headers {
    /// Makes an empty set of fields. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many field lines there are, duplicates counted.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// How many bytes of memory it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.block.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    /// Removes every field and keeps the memory for the next message.
    pub fn clear(&mut self) {
        self.block.clear();
        self.fields.clear();
        self.rewritten = false;
    }

    /// The first value of `name`, if it is UTF-8.
    ///
    /// Names compare without case. A value with obs-text that is not UTF-8 is `None`;
    /// [`Headers::get_bytes`] returns it.
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The first value of `name`, as it was sent, without surrounding whitespace.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Every value of `name`, one per field line, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .filter(move |field| self.is_named(field, name))
            .map(|field| self.value_of(field))
    }

    /// Whether there is a field called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.fields.iter().any(|field| self.is_named(field, name))
    }

    /// How many field lines are called `name`.
    pub fn count(&self, name: &str) -> usize {
        self.fields
            .iter()
            .filter(|field| self.is_named(field, name))
            .count()
    }

    /// Every field in order: the name as it was sent, and the value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields
            .iter()
            .map(|field| (self.name_of(field), self.value_of(field)))
    }

    /// The same with names as bytes, for whoever looks at every field of every message: that
    /// they are text costs more to find out than to compare them.
    pub fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| {
            let name = slice(&self.block, field.name, field.name_len);
            (name, self.value_of(field))
        })
    }

    /// Adds a field line after the others.
    ///
    /// The name has to be a token (RFC 9110 section 5.1). The value is trimmed of spaces
    /// and tabs and may hold anything but controls (RFC 9110 section 5.5), so that no value
    /// can end its line and start another one.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        let value = trim_ows(value.as_ref());
        check(name, value)?;
        self.push(WellKnown::of(name.as_bytes()), name, value)
    }

    /// The same for a name that was checked when the program was compiled.
    pub fn append_named(
        &mut self,
        name: FieldName,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidHeader> {
        let value = trim_ows(value.as_ref());
        check_value(name.text, value)?;
        self.push(name.known, name.text, value)
    }

    /// Adds a field that was checked as a whole when the program was compiled.
    pub fn append_line(&mut self, line: FieldLine) {
        let start = self.block.len();
        let value = line.name_len + 2;
        let value_len = line.text.len() - value - 2;
        self.block.extend_from_slice(line.text.as_bytes());
        let (name, value) = ((start, line.name_len), (start + value, value_len));
        self.fields.push(Field::new(line.known, name, value));
    }

    /// Replaces every field called `name` by one.
    ///
    /// The new line takes the place of the first old one, or the end if there was none.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        let Some(at) = self
            .fields
            .iter()
            .position(|field| self.is_named(field, name))
        else {
            return self.append(name, value);
        };
        self.append(name, value)?;
        let fresh = self.fields.pop();
        self.remove(name);
        if let Some(fresh) = fresh {
            self.fields.insert(at.min(self.fields.len()), fresh);
        }
        self.rewritten = true;
        Ok(())
    }

    /// Removes every field called `name` and says how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.fields.len();
        let block = &self.block;
        self.fields.retain(|field| {
            !slice(block, field.name, field.name_len).eq_ignore_ascii_case(name.as_bytes())
        });
        let gone = before - self.fields.len();
        self.rewritten |= gone > 0;
        gone
    }

    /// Keeps the fields for which `keep` says so. Names are bytes, as in
    /// [`iter_bytes`](Self::iter_bytes).
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.retain_known(|_, name, value| keep(name, value));
    }

    /// The same for whoever asks for well-known fields.
    pub fn retain_known(&mut self, mut keep: impl FnMut(WellKnown, &[u8], &[u8]) -> bool) {
        let Self { block, fields, .. } = self;
        let mut kept = 0;
        for at in 0..fields.len() {
            let Some(field) = fields.get(at).copied() else {
                break;
            };
            let name = slice(block, field.name, field.name_len);
            if !keep(
                field.known,
                name,
                slice(block, field.value, field.value_len),
            ) {
                continue;
            }
            if let Some(place) = fields.get_mut(kept) {
                *place = field;
            }
            kept += 1;
        }
        self.rewritten |= kept != fields.len();
        fields.truncate(kept);
    }

    /// The elements of the comma list `name`, over all its field lines.
    ///
    /// Elements are trimmed, empty ones are skipped (RFC 9110 section 5.6.1), and one that
    /// is not UTF-8 cannot be a token and is skipped too. Quotes are not interpreted: use
    /// this for fields whose elements are tokens.
    pub fn tokens(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get_all(name)
            .flat_map(|line| line.split(|byte| *byte == b','))
            .map(trim_ows)
            .filter(|token| !token.is_empty())
            .filter_map(|token| std::str::from_utf8(token).ok())
    }

    /// Whether the comma list `name` has the element `token`, compared without case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name)
            .any(|element| element.eq_ignore_ascii_case(token))
    }

    /// Whether there is such a field.
    #[inline]
    pub fn has(&self, known: WellKnown) -> bool {
        self.fields.iter().any(|field| field.known == known)
    }

    /// Writes every field as `name: value CRLF`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.rewritten {
            false => out.extend_from_slice(&self.block),
            true => self.write_some(out, |_, _| true),
        }
    }

    /// Writes the fields for which `writes` says so, each as `name: value CRLF`.
    ///
    /// Lines that lie in the block just so, one behind the other, are copied as one.
    pub(crate) fn write_some(
        &self,
        out: &mut Vec<u8>,
        mut writes: impl FnMut(WellKnown, &[u8]) -> bool,
    ) {
        out.reserve(self.block.len() + self.fields.len());
        let mut run = (0, 0);
        for field in &self.fields {
            let value = self.value_of(field);
            if !writes(field.known, value) {
                continue;
            }
            let line = self.line_of(field);
            match line {
                Some(line) if line.0 == run.1 => run.1 = line.1,
                _ => {
                    out.extend_from_slice(self.block.get(run.0..run.1).unwrap_or_default());
                    run = line.unwrap_or_default();
                }
            }
            if line.is_none() {
                let name = slice(&self.block, field.name, field.name_len);
                super::encode::line(out, name, value);
            }
        }
        out.extend_from_slice(self.block.get(run.0..run.1).unwrap_or_default());
    }

    /// Where the block holds the field's whole line, if it does so in our own notation.
    #[inline]
    fn line_of(&self, field: &Field) -> Option<(usize, usize)> {
        let name_end = (field.name as usize).saturating_add(field.name_len as usize);
        let value_end = (field.value as usize).saturating_add(field.value_len as usize);
        let line_end = value_end.saturating_add(2);
        (field.value as usize == name_end.saturating_add(2)
            && self.block.get(name_end..field.value as usize) == Some(b": ")
            && self.block.get(value_end..line_end) == Some(b"\r\n"))
        .then_some((field.name as usize, line_end))
    }

    /// Starts over, for fields that are found one by one in a section that is read.
    pub(super) fn begin_parsed(&mut self) {
        self.clear();
        self.rewritten = true;
    }

    /// A field, by the offset and length of its name and value in the section.
    #[inline]
    pub(super) fn push_parsed(
        &mut self,
        known: WellKnown,
        name: (usize, usize),
        value: (usize, usize),
    ) {
        self.fields.push(Field::new(known, name, value));
    }

    /// The section.
    pub(super) fn end_parsed(&mut self, section: &[u8]) {
        self.block.extend_from_slice(section);
    }

    /// The value of the `index`th field; empty if there are not so many.
    pub(super) fn value_at(&self, index: usize) -> &[u8] {
        self.fields
            .get(index)
            .map_or(&[], |field| self.value_of(field))
    }

    /// The value of the `index`th field, if it is that one.
    pub(super) fn value_if(&self, index: usize, known: WellKnown) -> Option<&[u8]> {
        let field = self.fields.get(index)?;
        (field.known == known).then(|| self.value_of(field))
    }

    /// Turns the line ends inside the `index`th value into spaces (RFC 9112 section 5.2).
    pub(super) fn unfold(&mut self, index: usize) {
        let Some(field) = self.fields.get(index) else {
            return;
        };
        let start = field.value as usize;
        let end = start.saturating_add(field.value_len as usize);
        for byte in self.block.get_mut(start..end).unwrap_or_default() {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }

    fn push(&mut self, known: WellKnown, name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
        let start = self.block.len();
        let end = start + name.len() + value.len() + 4;
        if u32::try_from(end).is_err() {
            return Err(InvalidHeader::new(name, Fault::TooLong));
        }
        super::encode::line(&mut self.block, name.as_bytes(), value);
        self.fields.push(Field::new(
            known,
            (start, name.len()),
            (start + name.len() + 2, value.len()),
        ));
        Ok(())
    }

    fn is_named(&self, field: &Field, name: &str) -> bool {
        field.name_len as usize == name.len()
            && slice(&self.block, field.name, field.name_len).eq_ignore_ascii_case(name.as_bytes())
    }

    fn name_of(&self, field: &Field) -> &str {
        std::str::from_utf8(slice(&self.block, field.name, field.name_len)).unwrap_or("")
    }

    fn value_of(&self, field: &Field) -> &[u8] {
        slice(&self.block, field.value, field.value_len)
    }
}

/// Shows the fields; values that are credentials show as `***`.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECRET: [&str; 4] = [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
        ];
        let mut list = f.debug_list();
        for (name, value) in self.iter() {
            if SECRET
                .iter()
                .any(|secret| secret.eq_ignore_ascii_case(name))
            {
                list.entry(&format_args!("{name}: ***"));
            } else {
                list.entry(&format_args!("{name}: {}", value.escape_ascii()));
            }
        }
        list.finish()
    }
}

/// Equal when the same fields come in the same order; names compare without case.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(a, b)| a.0.eq_ignore_ascii_case(b.0) && a.1 == b.1)
    }
}

impl Eq for Headers {}

/// For the tower border. Values keep their bytes; names become lower case.
impl From<&Headers> for HeaderMap {
    fn from(headers: &Headers) -> Self {
        let mut map = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers.iter() {
            let pair = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            );
            if let (Ok(name), Ok(value)) = pair {
                // The map's own ceiling lies far above any `headers` limit.
                let _ = map.try_append(name, value);
            }
        }
        map
    }
}

impl TryFrom<&HeaderMap> for Headers {
    type Error = InvalidHeader;

    fn try_from(map: &HeaderMap) -> Result<Self, InvalidHeader> {
        let mut headers = Headers::new();
        for (name, value) in map {
            headers.append(name.as_str(), value.as_bytes())?;
        }
        Ok(headers)
    }
}

fn slice(block: &[u8], start: u32, len: u32) -> &[u8] {
    let start = start as usize;
    block
        .get(start..start.saturating_add(len as usize))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut headers = Headers::new();
        for (name, value) in [
            ("Host", "a.test"),
            ("Accept", "a, b"),
            ("X-Id", "1"),
            ("accept", " , c\t,"),
            ("x-id", "2"),
        ] {
            headers.append(name, value).unwrap();
        }
        headers
    }

    #[test]
    fn lookup_ignores_case_and_keeps_order() {
        let headers = sample();
        assert_eq!(headers.get("x-ID"), Some("1"));
        assert_eq!(headers.get_all("X-id").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(headers.count("accept"), 2);
        assert_eq!(
            headers.iter().map(|f| f.0).collect::<Vec<_>>(),
            ["Host", "Accept", "X-Id", "accept", "x-id"]
        );
        assert!(!headers.contains("hos"));
    }

    #[test]
    fn tokens_span_lines_and_skip_empty_elements() {
        assert_eq!(
            sample().tokens("ACCEPT").collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert!(sample().has_token("accept", "C"));
        let mut headers = Headers::new();
        headers.append("Connection", b"\xff\xfe, close").unwrap();
        assert_eq!(headers.tokens("connection").collect::<Vec<_>>(), ["close"]);
        assert_eq!(headers.get("connection"), None);
    }

    #[test]
    fn set_takes_the_place_of_the_first() {
        let mut headers = sample();
        headers.set("ACCEPT", "d").unwrap();
        let names: Vec<_> = headers.iter().map(|f| f.0.to_owned()).collect();
        assert_eq!(names, ["Host", "ACCEPT", "X-Id", "x-id"]);
        assert!(headers.set("accept", "a\nb").is_err());
        assert_eq!(
            headers.get("accept"),
            Some("d"),
            "a refused value leaves the old one"
        );
        assert_eq!(headers.remove("x-id"), 2);
        let mut text = Vec::new();
        headers.write(&mut text);
        assert_eq!(text, b"Host: a.test\r\nACCEPT: d\r\n");
    }

    #[test]
    fn nothing_can_be_injected() {
        for value in [
            "a\r\nb", "a\nb", "a\rb", "a\0b", "a\x01b", "a\x7fb", "a\x0bb",
        ] {
            assert!(Headers::new().append("X", value).is_err(), "{value:?}");
        }
        for name in ["", " ", "a b", "a:", "a\r", "é", "a(", "\t"] {
            assert!(Headers::new().append(name, "v").is_err(), "{name:?}");
        }
        let mut headers = Headers::new();
        headers.append("X", b" \t \xe2\x9c\x93 y \t").unwrap();
        assert_eq!(headers.get("x"), Some("\u{2713} y"));
    }

    #[test]
    fn some_fields_are_written_as_one_by_one() {
        let mut headers = Headers::new();
        let section = b"A: 1\r\nB:2\r\nC:  3 \r\nD: \r\nE: 5\r\n\r\n";
        headers.begin_parsed();
        for (name, value, len) in [(0, 3, 1), (6, 8, 1), (11, 15, 1), (19, 22, 0), (24, 27, 1)] {
            headers.push_parsed(WellKnown::Other, (name, 1), (value, len));
        }
        headers.end_parsed(section);
        headers.append("F", "6").unwrap();
        for kept in 0..64_u32 {
            let keeps = |name: &[u8]| kept & (1 << (name[0] - b'A')) != 0;
            let mut names = headers.iter_bytes();
            let mut out = b"x".to_vec();
            headers.write_some(&mut out, |_, _| keeps(names.next().unwrap().0));
            let mut expected = b"x".to_vec();
            for (name, value) in headers.iter_bytes().filter(|(name, _)| keeps(name)) {
                crate::wire::encode::line(&mut expected, name, value);
            }
            assert_eq!(
                out.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn debug_hides_credentials() {
        let mut headers = Headers::new();
        headers.append("Authorization", "Bearer s3cret").unwrap();
        headers.append("Set-Cookie", "s3cret=1").unwrap();
        headers.append("X", b"\xff").unwrap();
        let text = format!("{headers:?}");
        assert!(!text.contains("s3cret"), "{text}");
        assert!(
            text.contains("Authorization: ***") && text.contains("X: \\xff"),
            "{text}"
        );
    }

    #[test]
    fn goes_to_a_map_and_back() {
        let headers = sample();
        let map = HeaderMap::from(&headers);
        assert_eq!(map.get_all("accept").iter().count(), 2);
        let back = Headers::try_from(&map).unwrap();
        assert_eq!(back.len(), headers.len());
        assert_eq!(back.get("host"), Some("a.test"));
    }
}
