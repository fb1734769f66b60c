//! `Via`: by which proxies a message has come, and requests that would come back for ever.
//!
//! RFC 9110 section 7.6.3: whoever finds its own name there knows that the request goes in
//! a circle. Every Squall is called `squall` unless it is told otherwise, and some of them
//! one behind the other are no circle. So that name has to be there often.

use squall_http::Headers;
use squall_http::wire::head::Version;
use squall_http::wire::names::{FieldLine, FieldName};

const VIA: FieldName = FieldName::new("Via");
const VIA_1_0: FieldLine = FieldLine::new("Via: 1.0 squall\r\n");
const VIA_1_1: FieldLine = FieldLine::new("Via: 1.1 squall\r\n");
const NAME: &str = "squall";

/// By how many proxies of our name a request may have come where that is not its own.
const NAMESAKES: usize = 8;

/// Who we say we are.
#[derive(Debug, Clone, Default)]
pub(super) struct Via {
    own: Option<Own>,
}

#[derive(Debug, Clone)]
struct Own {
    name: String,
    /// What is said to clients and upstreams of HTTP/1.0 and HTTP/1.1.
    said: [String; 2],
}

impl Via {
    /// A name of one's own.
    ///
    /// # Errors
    /// In words, when it is neither a plain word nor a host with its port.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
        if name.is_empty() || !name.bytes().all(may_be) {
            return Err(format!("{name:?} is no name for Via"));
        }
        let own = Own {
            name: name.to_owned(),
            said: [format!("1.0 {name}"), format!("1.1 {name}")],
        };
        Ok(Self { own: Some(own) })
    }

    /// Whether a request with these fields has been here before.
    pub(super) fn has_circled(&self, fields: &Headers) -> bool {
        let (name, most) = match &self.own {
            Some(own) => (&*own.name, 0),
            None => (NAME, NAMESAKES),
        };
        let is_ours = |by: &&[u8]| by.eq_ignore_ascii_case(name.as_bytes());
        passed_by(fields).filter(is_ours).count() > most
    }

    /// Says by whom a message of this version has come: by `before`, and by us.
    pub(super) fn add<'a>(
        &self,
        fields: &mut Headers,
        before: Option<impl Iterator<Item = &'a [u8]>>,
        version: Version,
    ) {
        let (at, default, alone) = match version {
            Version::Http10 => (0, "1.0 squall", VIA_1_0),
            Version::Http11 => (1, "1.1 squall", VIA_1_1),
        };
        let us = match (&self.own, &before) {
            (None, None) => return fields.append_line(alone),
            (None, Some(_)) => default,
            (Some(own), _) => own.said.get(at).map_or(default, String::as_str),
        };
        // What is made of field values and of our own words is a field value.
        let before = before.into_iter().flatten().map(|line| -> &[u8] { line });
        let _ = fields.append_list(VIA, before.chain([us.as_bytes()]));
    }
}

/// The names of the proxies that a message has come by.
fn passed_by(fields: &Headers) -> impl Iterator<Item = &[u8]> {
    let elements = fields
        .get_all("via")
        .flat_map(|line| line.split(|byte| *byte == b','));
    elements.filter_map(|element| {
        let mut words =
            (element.split(|byte| matches!(byte, b' ' | b'\t'))).filter(|word| !word.is_empty());
        words.nth(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: &[&str]) -> Headers {
        let mut fields = Headers::new();
        for line in lines {
            fields.append("Via", line).unwrap();
        }
        fields
    }

    #[test]
    fn a_name_of_ones_own_is_found_wherever_it_stands() {
        let via = Via::named("edge-1:80").unwrap();
        for lines in [
            &["1.1 edge-1:80"][..],
            &["HTTP/1.1  EDGE-1:80 (Squall)"],
            &["1.0 a, 1.1\tedge-1:80"],
            &["1.0 a", "1.1 b,1.1 edge-1:80, 1.1 c"],
        ] {
            assert!(via.has_circled(&with(lines)), "{lines:?}");
        }
        for lines in [
            &[][..],
            &["1.1 edge-1"],
            &["edge-1:80"],
            &["1.1 a edge-1:80"],
        ] {
            assert!(!via.has_circled(&with(lines)), "{lines:?}");
        }
    }

    #[test]
    fn namesakes_one_behind_the_other_are_no_circle() {
        let via = Via::default();
        assert!(!via.has_circled(&with(&["1.1 squall"; 8])));
        assert!(via.has_circled(&with(&["1.1 squall"; 9])));
        assert!(!via.has_circled(&with(&["1.1 other"; 20])));
    }

    #[test]
    fn names_are_words_or_hosts() {
        for name in ["edge", "edge-1.test", "edge:8080", "[::1]:80"] {
            assert!(Via::named(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a,b", "a(b)", "\u{e9}", "a\r\n"] {
            assert!(Via::named(name).is_err(), "{name:?}");
        }
    }
}
