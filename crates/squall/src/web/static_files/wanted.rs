//! Which file a request's path stands for, if it can stand for one at all.

use percent_encoding::percent_decode_str;

/// A path below the root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Segments joined by `/`, without one at either end; empty for the root itself.
    pub(super) path: String,
    /// It ended with `/`, or is the root: a directory is meant.
    pub(super) slash: bool,
}

impl Wanted {
    /// Decodes a path once, segment by segment.
    ///
    /// `None` for what no link of ours leads to: dot segments, empty ones, names that are
    /// not UTF-8 or hold NUL, `/` or `\`, and, unless `hidden`, names that begin with a
    /// dot. `.well-known` is not hidden (RFC 8615).
    pub(super) fn parse(raw: &str, hidden: bool) -> Option<Self> {
        let (raw, slash) = match raw.strip_suffix('/') {
            Some("") => return None,
            Some(raw) => (raw, true),
            None => (raw, raw.is_empty()),
        };
        let mut path = String::with_capacity(raw.len());
        for raw in raw.split('/').filter(|_| !raw.is_empty()) {
            let name = percent_decode_str(raw).decode_utf8().ok()?;
            if !may_be_name(&name) || (is_hidden(&name) && !hidden) {
                return None;
            }
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&name);
        }
        Some(Self { path, slash })
    }
}

fn may_be_name(name: &str) -> bool {
    let odd = |char| matches!(char, '\0' | '/' | '\\') || (cfg!(windows) && char == ':');
    !name.is_empty() && name != "." && name != ".." && !name.contains(odd)
}

/// Whether a name is one that is not served and not listed.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && name != ".well-known"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_stays_below() {
        for (raw, path, slash) in [
            ("", "", true),
            ("a", "a", false),
            ("a/b.txt", "a/b.txt", false),
            ("a/", "a", true),
            ("a%20b/%C3%A9", "a b/é", false),
            ("%252e%252e", "%2e%2e", false),
            ("a..b/...", "a..b/...", false),
            (".well-known/x", ".well-known/x", false),
        ] {
            let wanted = Wanted::parse(raw, true);
            let path = path.to_owned();
            assert_eq!(wanted, Some(Wanted { path, slash }), "{raw}");
        }
        for raw in [
            "..", "../a", "a/../b", "%2e%2e/a", "%2E./a", ".", "a/./b", "/a", "a//b", "//", "/",
            "a%2fb", "..%2fa", "a%5cb", "..\\a", "a%00b", "%ff",
        ] {
            assert_eq!(Wanted::parse(raw, true), None, "{raw}");
        }
        for raw in [".git/config", "a/.env", "%2egit", "..."] {
            assert_eq!(Wanted::parse(raw, false), None, "{raw}");
        }
    }
}
