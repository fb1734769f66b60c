//! A route's path as its author wrote it, taken apart once.
//!
//! | in a pattern | matches |
//! |---|---|
//! | `text` | that segment, however it is percent-encoded |
//! | `{name}` | one segment, not empty |
//! | `{name:regex}` | one segment that the whole expression matches |
//! | `{name}.png`, `v{name}` | what stands between the literals |
//! | `{*name}`, `{*name:regex}` | the rest of the path, not empty; last only |
//! | `{{`, `}}` | a brace |
//!
//! No parameter matches `.` or `..`, encoded or not, nor a rest that holds one:
//! clients remove them before they send (RFC 3986 section 5.2.4), and what is
//! behind a handler might resolve them.

use regex_lite::Regex;
use squall_http::wire::uri;

/// A path of literals and parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pattern {
    pub(super) segments: Vec<Segment>,
}

/// What one segment of a path has to be.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    /// This text, decoded.
    Literal(Box<str>),
    Param(Param),
    /// The rest of the path.
    Rest(Param),
}

/// A parameter and what it may be.
#[derive(Debug, Clone)]
pub(super) struct Param {
    pub(super) name: Box<str>,
    pub(super) shape: Shape,
}

/// What a parameter's value stands between, and has to look like.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    pub(super) prefix: Box<str>,
    pub(super) suffix: Box<str>,
    constraint: Option<Regex>,
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        let text = |shape: &Self| {
            shape
                .constraint
                .as_ref()
                .map(|regex| regex.as_str().to_owned())
        };
        self.prefix == other.prefix && self.suffix == other.suffix && text(self) == text(other)
    }
}

impl Shape {
    /// Whether anything goes.
    pub(super) fn is_plain(&self) -> bool {
        self.constraint.is_none() && self.prefix.is_empty() && self.suffix.is_empty()
    }

    /// The stricter one of two is tried first.
    pub(super) fn strictness(&self) -> (usize, bool) {
        (
            self.prefix.len() + self.suffix.len(),
            self.constraint.is_some(),
        )
    }

    /// Where in `raw`, which is percent-encoded, the parameter stands, if it fits.
    pub(super) fn within(&self, raw: &str) -> Option<(usize, usize)> {
        let start = skip(raw, &self.prefix)?;
        let mut end = raw.len();
        if !self.suffix.is_empty() {
            let rest = raw.get(start..)?;
            let before = decoded_len(rest).checked_sub(self.suffix.len())?;
            end = start + offset(rest, before)?;
            skip(raw.get(end..)?, &self.suffix)?;
        }
        let value = raw.get(start..end).filter(|value| !value.is_empty())?;
        let fits = match &self.constraint {
            // Whether it has to be text is for whoever takes it to say.
            None => true,
            Some(regex) => regex.is_match(&uri_decoded(value)?),
        };
        fits.then_some((start, end))
    }

    /// Whether a decoded value is as the constraint wants it.
    pub(super) fn allows(&self, value: &str) -> bool {
        (self.constraint.as_ref()).is_none_or(|regex| regex.is_match(value))
    }

    /// The constraint as it was written.
    pub(super) fn constraint(&self) -> Option<&str> {
        let anchored = self.constraint.as_ref()?.as_str();
        anchored.strip_prefix("^(?:")?.strip_suffix(")$")
    }
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(super) fn parse(path: &str) -> Result<Self, String> {
        let mut rest = path.strip_prefix('/').ok_or("it has to begin with '/'")?;
        let mut segments = Vec::new();
        loop {
            let (segment, tail) = segment(rest)?;
            if matches!(segment, Segment::Rest(_)) && tail.is_some() {
                return Err("the rest of a path, {*name}, has to be its end".into());
            }
            segments.push(segment);
            match tail {
                Some(tail) => rest = tail,
                None => break,
            }
        }
        let pattern = Self { segments };
        let mut names: Vec<_> = pattern.names().collect();
        names.sort_unstable();
        if let Some(name) = names
            .windows(2)
            .find_map(|pair| (pair[0] == pair[1]).then_some(pair[0]))
        {
            return Err(format!("it has two parameters named {name:?}"));
        }
        Ok(pattern)
    }

    /// The parameters, in order.
    pub(super) fn params(&self) -> impl Iterator<Item = &Param> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param(param) | Segment::Rest(param) => Some(param),
        })
    }

    /// The parameters' names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.params().map(|param| &*param.name)
    }

    /// Whether a path begins with this one, segment by segment.
    pub(super) fn begins(&self, path: &str) -> bool {
        let mut given = uri::segments(path);
        (self.segments.iter()).all(|segment| {
            given.next().is_some_and(|raw| match segment {
                Segment::Literal(text) => skip(raw, text) == Some(raw.len()),
                Segment::Param(param) | Segment::Rest(param) => param.shape.within(raw).is_some(),
            })
        })
    }
}

/// The first segment of a pattern without its leading slash, and what follows the
/// next slash.
fn segment(text: &str) -> Result<(Segment, Option<&str>), String> {
    let (mut before, mut after) = (String::new(), String::new());
    let mut param: Option<(Param, bool)> = None;
    let mut rest = text;
    let tail = loop {
        let literal = if param.is_some() {
            &mut after
        } else {
            &mut before
        };
        let Some(at) = rest.find(['/', '{', '}', '?', '#']) else {
            literal.push_str(rest);
            break None;
        };
        let (plain, special) = rest.split_at(at);
        literal.push_str(plain);
        if let Some(tail) = special.strip_prefix('/') {
            break Some(tail);
        }
        if let Some(tail) = special.strip_prefix("{{") {
            literal.push('{');
            rest = tail;
        } else if let Some(tail) = special.strip_prefix("}}") {
            literal.push('}');
            rest = tail;
        } else if let Some(inside) = special.strip_prefix('{') {
            if param.is_some() {
                return Err("a segment may hold one parameter only".into());
            }
            let end =
                closing(inside).ok_or("a '{' is not closed; a literal one is written '{{'")?;
            param = Some(parameter(&inside[..end])?);
            rest = &inside[end + 1..];
        } else if special.starts_with('}') {
            return Err("a '}' closes nothing; a literal one is written '}}'".into());
        } else {
            return Err("a path holds neither '?' nor '#'; encode them as %3F and %23".into());
        }
    };
    let (before, after) = (literal(&before)?, literal(&after)?);
    let segment = match param {
        None if matches!(&*before, "." | "..") => {
            return Err("clients remove the segments '.' and '..' before they send".into());
        }
        None => Segment::Literal(before),
        Some((_, true)) if !before.is_empty() || !after.is_empty() => {
            return Err("the rest of a path, {*name}, has to be a segment of its own".into());
        }
        Some((param, true)) => Segment::Rest(param),
        Some((mut param, false)) => {
            (param.shape.prefix, param.shape.suffix) = (before, after);
            Segment::Param(param)
        }
    };
    Ok((segment, tail))
}

/// Where the brace that was opened before `inside` is closed. Those of an expression
/// such as `[0-9]{4}` come in pairs, unless they are escaped.
fn closing(inside: &str) -> Option<usize> {
    let (mut open, mut escaped) = (1, false);
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

/// `name`, `*name` or either with `:regex`; whether it is the rest of the path.
fn parameter(inside: &str) -> Result<(Param, bool), String> {
    let (name, expression) = match inside.split_once(':') {
        Some((name, expression)) => (name, Some(expression)),
        None => (inside, None),
    };
    let (name, is_rest) = match name.strip_prefix('*') {
        Some(name) => (name, true),
        None => (name, false),
    };
    if name.is_empty() || name.contains(|c: char| !c.is_alphanumeric() && c != '_' && c != '-') {
        return Err(format!("{name:?} is no name of a parameter"));
    }
    let constraint = expression.map(|expression| {
        // By itself first: a stray ')' must not close the group around it.
        Regex::new(expression)
            .and_then(|_| Regex::new(&format!("^(?:{expression})$")))
            .map_err(|error| format!("the constraint {expression:?} of {name:?}: {error}"))
    });
    let shape = Shape {
        constraint: constraint.transpose()?,
        ..Shape::default()
    };
    let name = name.into();
    Ok((Param { name, shape }, is_rest))
}

/// A literal piece, decoded.
fn literal(text: &str) -> Result<Box<str>, String> {
    match uri::decode_segment(text) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(format!(
            "{text:?}: {error}; a literal percent sign is written %25"
        )),
    }
}

/// What percent-encoded text says, if it is UTF-8.
fn uri_decoded(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    uri::decode_segment(raw).ok()
}

/// One byte of percent-encoded text, and how many it is written with.
fn byte(raw: &[u8]) -> Option<(u8, usize)> {
    match raw {
        [b'%', high, low, ..] => {
            let digit = |byte: &u8| (*byte as char).to_digit(16);
            let value = digit(high)? << 4 | digit(low)?;
            Some((u8::try_from(value).ok()?, 3))
        }
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

/// Where `raw` goes on behind the bytes of `literal`, if it begins with them.
pub(super) fn skip(raw: &str, literal: &str) -> Option<usize> {
    let mut at = 0;
    for expected in literal.bytes() {
        let (found, width) = byte(raw.as_bytes().get(at..)?)?;
        if found != expected {
            return None;
        }
        at += width;
    }
    Some(at)
}

/// Where `raw` goes on behind its first `count` decoded bytes.
fn offset(raw: &str, count: usize) -> Option<usize> {
    let mut at = 0;
    for _ in 0..count {
        at += byte(raw.as_bytes().get(at..)?)?.1;
    }
    Some(at)
}

fn decoded_len(raw: &str) -> usize {
    raw.len() - 2 * raw.bytes().filter(|byte| *byte == b'%').count()
}

/// Whether a raw segment is `.` or `..`, however it is encoded.
pub(super) fn is_dots(raw: &str) -> bool {
    matches!(raw.as_bytes(), [b'.' | b'%', ..])
        && [".", ".."]
            .iter()
            .any(|dots| skip(raw, dots) == Some(raw.len()))
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Segment, is_dots};

    fn fault(path: &str) -> String {
        Pattern::parse(path).expect_err(path)
    }

    #[test]
    fn literals_are_decoded_and_parameters_named() {
        let pattern =
            Pattern::parse("/a%20b/{x}/v{y:[0-9]{1,3}}.png/{{z}}/{*rest}").expect("valid");
        let literals: Vec<_> = (pattern.segments.iter())
            .filter_map(|segment| match segment {
                Segment::Literal(text) => Some(&**text),
                _ => None,
            })
            .collect();
        assert_eq!(literals, ["a b", "{z}"]);
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["x", "y", "rest"]);
        let constraints: Vec<_> = pattern
            .params()
            .map(|param| param.shape.constraint())
            .collect();
        assert_eq!(constraints, [None, Some("[0-9]{1,3}"), None]);
    }

    #[test]
    fn mistakes_are_named() {
        for (path, says) in [
            ("a", "begin with '/'"),
            ("/{a", "not closed"),
            ("/a}", "closes nothing"),
            ("/{}", "no name"),
            ("/{a}{b}", "one parameter only"),
            ("/{*a}/b", "has to be its end"),
            ("/x{*a}", "a segment of its own"),
            ("/{a}/{a}", "two parameters named \"a\""),
            ("/{a:[}", "constraint"),
            ("/a%2", "percent"),
            ("/a?b", "neither '?' nor '#'"),
            ("/a/../b", "'..'"),
        ] {
            assert!(fault(path).contains(says), "{path}: {}", fault(path));
        }
    }

    #[test]
    fn a_value_stands_between_its_literals() {
        let pattern = Pattern::parse("/v{a:[0-9]+}.é").expect("valid");
        let shape = &pattern.params().next().expect("one").shape;
        for (raw, value) in [
            ("v12.%C3%A9", Some("12")),
            ("%76%31%32%2e%c3%a9", Some("%31%32")),
            ("v.%C3%A9", None),
            ("vx.%C3%A9", None),
            ("v12.", None),
            ("12.%C3%A9", None),
            ("v%E9.%C3%A9", None),
        ] {
            let found = shape.within(raw).map(|(start, end)| &raw[start..end]);
            assert_eq!(found, value, "{raw}");
        }
    }

    #[test]
    fn a_prefix_ends_with_its_segments() {
        let prefix = Pattern::parse("/a/{x:[0-9]+}").expect("valid");
        for (path, begins) in [
            ("/a/1", true),
            ("/%61/1/b", true),
            ("/a/x", false),
            ("/a", false),
            ("/ab/1", false),
        ] {
            assert_eq!(prefix.begins(path), begins, "{path}");
        }
    }

    #[test]
    fn dots_in_every_disguise() {
        for raw in [".", "..", "%2e", "%2E.", ".%2e", "%2e%2E"] {
            assert!(is_dots(raw), "{raw}");
        }
        for raw in ["", "...", "%252e", ".a", "a.", "%2f"] {
            assert!(!is_dots(raw), "{raw}");
        }
    }
}
