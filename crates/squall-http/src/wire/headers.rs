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
use std::ops::Range;

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
    name_end: u32,
    value: u32,
    value_end: u32,
    known: WellKnown,
    /// Its line lies in the block just as it is written: `name: value CRLF`.
    as_ours: bool,
}

impl Field {
    /// A span that does not fit in 32 bits, which no limit lets through, reads as another.
    #[inline]
    fn new(known: WellKnown, name: Range<usize>, value: Range<usize>, as_ours: bool) -> Self {
        Self {
            known,
            name: name.start as u32,
            name_end: name.end as u32,
            value: value.start as u32,
            value_end: value.end as u32,
            as_ours,
        }
    }

    /// One whose line begins `at`, in our own notation.
    #[inline]
    fn of_line(known: WellKnown, at: usize, name_len: usize, value_len: usize) -> Self {
        let name_end = at.wrapping_add(name_len);
        let value = name_end.wrapping_add(2);
        Self::new(
            known,
            at..name_end,
            value..value.wrapping_add(value_len),
            true,
        )
    }

    /// Where the block holds the whole line, if it does so in our own notation.
    #[inline]
    fn line(&self) -> Option<Range<usize>> {
        let end = (self.value_end as usize).saturating_add(2);
        (self.as_ours).then_some(self.name as usize..end)
    }
}

/// A field's line, for whoever wants to see more than which one it is.
#[derive(Clone, Copy)]
pub struct Line<'a>(&'a [u8], &'a Field);

impl<'a> Line<'a> {
    /// The name as it was sent.
    #[inline]
    pub fn name(self) -> &'a [u8] {
        slice(self.0, self.1.name, self.1.name_end)
    }

    /// The value.
    #[inline]
    pub fn value(self) -> &'a [u8] {
        slice(self.0, self.1.value, self.1.value_end)
    }
}

impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its value may be a secret.
        write!(f, "{}", self.name().escape_ascii())
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

    /// The same for whoever looks for a well-known field.
    pub fn get_known(&self, known: WellKnown) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.known == known)?;
        Some(self.value_of(field))
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
        self.fields
            .iter()
            .map(|field| (self.name_bytes(field), self.value_of(field)))
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

    /// The same for a name that was checked when the program was compiled, and a value that
    /// the caller vouches for: it came out of a [`Headers`], which has checked it, or is made
    /// of harmless bytes. Any other one goes through [`append`](Self::append).
    // The compiler knows the name, and copies it without a call.
    #[inline(always)]
    pub fn append_checked(&mut self, name: FieldName, value: &[u8]) {
        let at = self.block.len();
        super::encode::field(&mut self.block, name.text, value);
        (self.fields).push(Field::of_line(name.known, at, name.text.len(), value.len()));
    }

    /// Adds a field whose value is a list, such as `Via`: the elements, and `, ` between
    /// them (RFC 9110 section 5.6.1). Empty ones are left out.
    pub fn append_list<'a>(
        &mut self,
        name: FieldName,
        elements: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), InvalidHeader> {
        let start = self.block.len();
        self.block.extend_from_slice(name.text.as_bytes());
        self.block.extend_from_slice(b": ");
        let value = self.block.len();
        for element in elements.into_iter().map(trim_ows) {
            if !element.is_empty() {
                if self.block.len() > value {
                    self.block.extend_from_slice(b", ");
                }
                self.block.extend_from_slice(element);
            }
        }
        let written = self.block.get(value..).unwrap_or_default();
        let len = written.len();
        let fits = match u32::try_from(self.block.len()) {
            Ok(_) => check_value(name.text, written),
            Err(_) => Err(InvalidHeader::new(name.text, Fault::TooLong)),
        };
        if fits.is_err() {
            self.block.truncate(start);
            return fits;
        }
        self.block.extend_from_slice(b"\r\n");
        (self.fields).push(Field::of_line(name.known, start, name.text.len(), len));
        Ok(())
    }

    /// Adds those fields of another message for which `keep` says so.
    pub fn append_some(
        &mut self,
        from: &Headers,
        mut keep: impl FnMut(WellKnown, Line<'_>) -> bool,
    ) {
        self.block.reserve(from.block.len() + from.fields.len());
        // Lines that lie one behind the other are copied as one.
        let mut run = 0..0;
        for field in &from.fields {
            if !keep(field.known, Line(&from.block, field)) {
                continue;
            }
            let (name, value) = (from.name_bytes(field), from.value_of(field));
            let line = field.line();
            if line.as_ref().is_none_or(|line| line.start != run.end) {
                self.block
                    .extend_from_slice(from.block.get(run).unwrap_or_default());
                run = line.clone().map_or(0..0, |line| line.start..line.start);
            }
            let Some(line) = line else {
                let at = self.block.len();
                super::encode::line(&mut self.block, name, value);
                (self.fields).push(Field::of_line(field.known, at, name.len(), value.len()));
                continue;
            };
            let at = self.block.len() + (line.start - run.start);
            (self.fields).push(Field::of_line(field.known, at, name.len(), value.len()));
            run.end = line.end;
        }
        self.block
            .extend_from_slice(from.block.get(run).unwrap_or_default());
    }

    /// Adds a field that was checked as a whole when the program was compiled.
    pub fn append_line(&mut self, line: FieldLine) {
        let at = self.block.len();
        self.block.extend_from_slice(line.text.as_bytes());
        let value_len = line.text.len() - line.name_len - 4;
        (self.fields).push(Field::of_line(line.known, at, line.name_len, value_len));
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
            !slice(block, field.name, field.name_end).eq_ignore_ascii_case(name.as_bytes())
        });
        let gone = before - self.fields.len();
        self.rewritten |= gone > 0;
        gone
    }

    /// Keeps the fields for which `keep` says so. Names are bytes, as in
    /// [`iter_bytes`](Self::iter_bytes).
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.retain_known(|_, line| keep(line.name(), line.value()));
    }

    /// The same for whoever asks for well-known fields.
    pub fn retain_known(&mut self, mut keep: impl FnMut(WellKnown, Line<'_>) -> bool) {
        let Self { block, fields, .. } = self;
        let mut kept = 0;
        for at in 0..fields.len() {
            let Some(field) = fields.get(at) else {
                break;
            };
            if !keep(field.known, Line(block, field)) {
                continue;
            }
            if kept < at {
                fields.swap(kept, at);
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
            true => self.write_some(out, |_| true),
        }
    }

    /// Writes the fields for which `writes` says so, each as `name: value CRLF`.
    ///
    /// Lines that lie in the block just so, one behind the other, are copied as one.
    pub(crate) fn write_some(&self, out: &mut Vec<u8>, mut writes: impl FnMut(WellKnown) -> bool) {
        out.reserve(self.block.len() + self.fields.len());
        let mut run = 0..0;
        for field in &self.fields {
            if !writes(field.known) {
                continue;
            }
            let line = field.line();
            match &line {
                Some(line) if line.start == run.end => run.end = line.end,
                _ => {
                    out.extend_from_slice(self.block.get(run).unwrap_or_default());
                    run = line.clone().unwrap_or_default();
                }
            }
            if line.is_none() {
                super::encode::line(out, self.name_bytes(field), self.value_of(field));
            }
        }
        out.extend_from_slice(self.block.get(run).unwrap_or_default());
    }

    /// Starts over, for fields that are found one by one in a section that is read.
    pub(super) fn begin_parsed(&mut self) {
        self.clear();
        self.rewritten = true;
    }

    /// A field, by where its name and value lie in the section.
    #[inline]
    pub(super) fn push_parsed(
        &mut self,
        known: WellKnown,
        name: Range<usize>,
        value: Range<usize>,
    ) {
        self.fields.push(Field::new(known, name, value, false));
    }

    /// A field whose line begins at `at` of the section, and is `name: value CRLF`.
    #[inline]
    pub(super) fn push_line(
        &mut self,
        known: WellKnown,
        at: usize,
        name_len: usize,
        value_len: usize,
    ) {
        (self.fields).push(Field::of_line(known, at, name_len, value_len));
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
        let value = field.value as usize..field.value_end as usize;
        for byte in self.block.get_mut(value).unwrap_or_default() {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }

    #[inline(always)]
    fn push(&mut self, known: WellKnown, name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
        let start = self.block.len();
        let end = start + name.len() + value.len() + 4;
        if u32::try_from(end).is_err() {
            return Err(InvalidHeader::new(name, Fault::TooLong));
        }
        super::encode::line(&mut self.block, name.as_bytes(), value);
        (self.fields).push(Field::of_line(known, start, name.len(), value.len()));
        Ok(())
    }

    fn is_named(&self, field: &Field, name: &str) -> bool {
        self.name_bytes(field).eq_ignore_ascii_case(name.as_bytes())
    }

    fn name_of(&self, field: &Field) -> &str {
        std::str::from_utf8(self.name_bytes(field)).unwrap_or("")
    }

    #[inline]
    fn name_bytes(&self, field: &Field) -> &[u8] {
        slice(&self.block, field.name, field.name_end)
    }

    fn value_of(&self, field: &Field) -> &[u8] {
        slice(&self.block, field.value, field.value_end)
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

#[inline]
fn slice(block: &[u8], start: u32, end: u32) -> &[u8] {
    block.get(start as usize..end as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests;
