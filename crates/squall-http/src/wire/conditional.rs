//! Conditional requests: what the client has already, or insists on.
//!
//! RFC 9110 section 13. A server knows the validators of what it would send;
//! [`evaluate`] weighs the request's preconditions in the order of section 13.2.2, and
//! [`allows_range`] says whether `If-Range` lets a `Range` count.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;

use super::date;
use super::headers::Headers;

/// What identifies the representation that would be sent.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Its entity tag, quotes and `W/` included.
    pub etag: Option<&'a str>,
    /// When it was last changed; seconds count.
    pub modified: Option<SystemTime>,
}

/// What a request's preconditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer the request.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client insisted on.
    Failed,
}

/// Weighs the preconditions of a request for something that exists.
pub fn evaluate(method: &Method, headers: &Headers, validators: &Validators<'_>) -> Verdict {
    if headers.contains("if-match") {
        if !matches(headers, "if-match", validators.etag, strong) {
            return Verdict::Failed;
        }
    } else if let Some(since) = date_of(headers, "if-unmodified-since")
        && seconds(validators.modified).is_some_and(|modified| modified > since)
    {
        return Verdict::Failed;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if headers.contains("if-none-match") {
        return match (
            matches(headers, "if-none-match", validators.etag, weak),
            reads,
        ) {
            (false, _) => Verdict::Proceed,
            (true, true) => Verdict::NotModified,
            (true, false) => Verdict::Failed,
        };
    }
    match (
        date_of(headers, "if-modified-since"),
        seconds(validators.modified),
    ) {
        (Some(since), Some(modified)) if reads && modified <= since => Verdict::NotModified,
        _ => Verdict::Proceed,
    }
}

/// Whether a `Range` counts (RFC 9110 section 13.1.5).
///
/// An `If-Range` has to fit exactly: by the strong comparison for a tag, and to the second
/// for a date.
pub fn allows_range(headers: &Headers, validators: &Validators<'_>) -> bool {
    let Some(value) = headers.get_bytes("if-range") else {
        return true;
    };
    let Ok(value) = std::str::from_utf8(value) else {
        return false;
    };
    if value.starts_with('"') || value.starts_with("W/") {
        return validators.etag.is_some_and(|etag| strong(value, etag));
    }
    let date = date::parse(value).and_then(|date| seconds(Some(date)));
    date.is_some() && date == seconds(validators.modified)
}

/// Whether the list in a field names the tag, or anything at all with `*`.
fn matches(
    headers: &Headers,
    name: &str,
    etag: Option<&str>,
    same: fn(&str, &str) -> bool,
) -> bool {
    headers.get_all(name).any(|line| {
        std::str::from_utf8(line).is_ok_and(|line| {
            line.trim() == "*" || etag.is_some_and(|etag| Tags(line).any(|tag| same(tag, etag)))
        })
    })
}

fn strong(one: &str, other: &str) -> bool {
    one == other && one.starts_with('"')
}

fn weak(one: &str, other: &str) -> bool {
    one.trim_start_matches("W/") == other.trim_start_matches("W/")
}

/// The entity tags in a list; what is none ends it.
struct Tags<'a>(&'a str);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches([' ', '\t', ',']);
        let open = rest.find('"')?;
        if !matches!(rest.get(..open), Some("" | "W/")) {
            return None;
        }
        let close = open + 1 + rest.get(open + 1..)?.find('"')?;
        let (tag, rest) = rest.split_at_checked(close + 1)?;
        self.0 = rest;
        Some(tag)
    }
}

fn date_of(headers: &Headers, name: &str) -> Option<u64> {
    seconds(date::parse(headers.get(name)?))
}

fn seconds(time: Option<SystemTime>) -> Option<u64> {
    let since = time?.duration_since(UNIX_EPOCH);
    Some(since.as_ref().map_or(0, Duration::as_secs))
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Failed, NotModified, Proceed};
    use super::*;

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name, value).unwrap();
        }
        headers
    }

    fn validators(etag: &str) -> Validators<'_> {
        Validators {
            etag: Some(etag),
            modified: Some(UNIX_EPOCH + Duration::new(784_111_777, 999)),
        }
    }

    #[test]
    fn each_precondition_in_its_order() {
        for (fields, get, put) in [
            (&[][..], Proceed, Proceed),
            (&[("If-Match", "\"a\"")], Proceed, Proceed),
            (&[("If-Match", "\"b\", \"a\"")], Proceed, Proceed),
            (&[("If-Match", "*")], Proceed, Proceed),
            (&[("If-Match", "W/\"a\"")], Failed, Failed),
            (&[("If-Match", "\"b\"")], Failed, Failed),
            (&[("If-Match", "a")], Failed, Failed),
            (&[("If-Unmodified-Since", THEN)], Proceed, Proceed),
            (&[("If-Unmodified-Since", EARLIER)], Failed, Failed),
            (&[("If-Unmodified-Since", "yesterday")], Proceed, Proceed),
            (
                &[("If-Match", "\"a\""), ("If-Unmodified-Since", EARLIER)],
                Proceed,
                Proceed,
            ),
            (&[("If-None-Match", "\"a\"")], NotModified, Failed),
            (&[("If-None-Match", "\"b\" , W/\"a\"")], NotModified, Failed),
            (
                &[("If-None-Match", "\"b\""), ("If-None-Match", "\"a\"")],
                NotModified,
                Failed,
            ),
            (&[("If-None-Match", "\"x,\\\"a\"")], Proceed, Proceed),
            (&[("If-None-Match", "*")], NotModified, Failed),
            (&[("If-None-Match", "\"b\"")], Proceed, Proceed),
            (
                &[("If-None-Match", "\"b\""), ("If-Modified-Since", THEN)],
                Proceed,
                Proceed,
            ),
            (&[("If-Modified-Since", THEN)], NotModified, Proceed),
            (&[("If-Modified-Since", LATER)], NotModified, Proceed),
            (&[("If-Modified-Since", EARLIER)], Proceed, Proceed),
            (&[("If-Modified-Since", "0")], Proceed, Proceed),
            (
                &[("If-Match", "\"a\""), ("If-None-Match", "\"a\"")],
                NotModified,
                Failed,
            ),
        ] {
            let headers = headers(fields);
            assert_eq!(
                evaluate(&Method::GET, &headers, &validators("\"a\"")),
                get,
                "{fields:?}"
            );
            assert_eq!(
                evaluate(&Method::PUT, &headers, &validators("\"a\"")),
                put,
                "{fields:?}"
            );
        }
        let weak = headers(&[("If-None-Match", "\"a\"")]);
        assert_eq!(
            evaluate(&Method::GET, &weak, &validators("W/\"a\"")),
            NotModified
        );
    }

    #[test]
    fn a_range_counts_only_for_the_same_bytes() {
        for (value, strong, weak) in [
            ("\"a\"", true, false),
            ("W/\"a\"", false, false),
            ("\"b\"", false, false),
            (THEN, true, true),
            (LATER, false, false),
            (EARLIER, false, false),
            ("a", false, false),
        ] {
            let headers = headers(&[("If-Range", value)]);
            assert_eq!(
                allows_range(&headers, &validators("\"a\"")),
                strong,
                "{value}"
            );
            assert_eq!(
                allows_range(&headers, &validators("W/\"a\"")),
                weak,
                "{value}"
            );
        }
        assert!(allows_range(&Headers::new(), &validators("\"a\"")));
    }

    #[test]
    fn a_list_without_quotes_at_its_end_is_no_loop() {
        assert_eq!(
            Tags("\"a\" \"b\", c, \"d\"").collect::<Vec<_>>(),
            ["\"a\"", "\"b\""]
        );
        assert_eq!(Tags("\"").count(), 0);
        assert_eq!(Tags(", ,,").count(), 0);
    }
}
