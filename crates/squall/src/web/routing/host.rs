//! Host patterns: which hosts a router answers.

use std::fmt;

use super::spans::Spans;

/// A host with parameters for whole labels.
///
/// `{name}` stands for one label, `{*name}` at the beginning for one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPattern {
    text: Box<str>,
    labels: Vec<Label>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Label {
    Literal(Box<str>),
    Param(Box<str>),
    /// The first ones.
    Rest(Box<str>),
}

impl HostPattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains(['/', ':']) {
            return Err("it has to be a host's name, without a scheme, a port or a path".into());
        }
        let label = |(at, label): (usize, &str)| {
            let inside = label
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            match inside.map(|name| (name, name.strip_prefix('*'))) {
                None if label.is_empty() || label.contains(['{', '}', '*']) => {
                    Err(format!("{label:?} is neither a label nor a parameter"))
                }
                None => Ok(Label::Literal(label.to_ascii_lowercase().into())),
                Some((_, Some(""))) | Some(("", _)) => Err("a parameter has no name".into()),
                Some((_, Some(name))) if at == 0 => Ok(Label::Rest(name.into())),
                Some((_, Some(_))) => Err("{*name} has to be the first label".to_owned()),
                Some((name, None)) => Ok(Label::Param(name.into())),
            }
        };
        let labels = text.split('.').enumerate().map(label);
        Ok(Self {
            text: text.into(),
            labels: labels.collect::<Result<_, _>>()?,
        })
    }

    /// The parameters' names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().filter_map(|label| match label {
            Label::Literal(_) => None,
            Label::Param(name) | Label::Rest(name) => Some(&**name),
        })
    }

    /// The stricter one of two is tried first: more literal labels, fewer parameters.
    pub(super) fn strictness(&self) -> (usize, bool) {
        let literals = self
            .labels
            .iter()
            .filter(|label| matches!(label, Label::Literal(_)));
        let open = matches!(self.labels.first(), Some(Label::Rest(_)));
        (literals.count(), !open)
    }

    /// Whether it matches the authority that a request named; `spans` gets the
    /// parameters. The port, a dot at the end and upper case do not matter.
    pub(super) fn matches(&self, authority: &str, spans: &mut Spans) -> bool {
        let host = name_of(authority);
        let mut end = host.len();
        // From the right, where only whole labels stand.
        for (at, label) in self.labels.iter().enumerate().rev() {
            let Some(known) = host.get(..end) else {
                return false;
            };
            let start = match label {
                Label::Rest(_) => 0,
                _ => known.rfind('.').map_or(0, |dot| dot + 1),
            };
            let given = known.get(start..).unwrap_or_default();
            let fits = match label {
                Label::Literal(text) => text.eq_ignore_ascii_case(given),
                Label::Param(_) | Label::Rest(_) => !given.is_empty(),
            };
            if !fits || (at == 0) != (start == 0) {
                return false;
            }
            end = start.saturating_sub(1);
        }
        self.note(host, spans);
        true
    }

    /// Notes the parameters of a host that matches, in order.
    fn note(&self, host: &str, spans: &mut Spans) {
        let mut start = 0;
        let more = host.split('.').count().saturating_sub(self.labels.len());
        for label in &self.labels {
            let labels = if matches!(label, Label::Rest(_)) {
                more + 1
            } else {
                1
            };
            let rest = host.get(start..).unwrap_or_default();
            let end =
                (rest.match_indices('.').nth(labels - 1)).map_or(host.len(), |(at, _)| start + at);
            if !matches!(label, Label::Literal(_)) {
                spans.push(start, end);
            }
            start = end + 1;
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An authority without its port and the dot that may end a name.
fn name_of(authority: &str) -> &str {
    let name = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => authority.get(..colon).unwrap_or_default(),
        _ => authority,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, Spans};

    #[test]
    fn labels_ports_and_case() {
        for (pattern, host, params) in [
            ("api.example.com", "api.example.com", Some("")),
            ("API.example.com", "api.Example.COM:8080", Some("")),
            ("api.example.com", "api.example.com.", Some("")),
            ("api.example.com", "x.api.example.com", None),
            ("api.example.com", "example.com", None),
            ("{sub}.example.com", "a.example.com:1", Some("a")),
            ("{sub}.example.com", "a.b.example.com", None),
            ("{sub}.example.com", ".example.com", None),
            ("{sub}.example.com", "example.com", None),
            ("{*sub}.example.com", "a.b.example.com", Some("a.b")),
            ("{*sub}.example.com", "a.example.com", Some("a")),
            ("{*sub}.example.com", "example.com", None),
            ("{a}.{b}.com", "x.y.com", Some("x,y")),
            ("{*any}", "localhost:5000", Some("localhost")),
            ("localhost", "[::1]:5000", None),
            ("localhost", "", None),
        ] {
            let parsed = HostPattern::parse(pattern).expect(pattern);
            let mut spans = Spans::default();
            let found = parsed.matches(host, &mut spans).then(|| {
                let params: Vec<_> = spans.iter().map(|span| span.of(host)).collect();
                params.join(",")
            });
            assert_eq!(found.as_deref(), params, "{pattern} {host}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for pattern in [
            "", "a:80", "http://a", "a..b", "a.{*b}", "{}.a", "{*}.a", "a{b}.c",
        ] {
            assert!(HostPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
