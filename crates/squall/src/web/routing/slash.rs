//! The slash at the end of a path: what is done when only that is wrong.

use std::borrow::Cow;

/// What is done with a path that no route fits, when it would fit with one slash more,
/// or less, at its end. Set as [`Settings::trailing_slash`](crate::Settings::trailing_slash).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// It is a 404, the default: `/a` and `/a/` are two names (RFC 3986 section 6.2.3), relative
    /// links on their pages lead to different places, and a cache, a log or a rule of a
    /// proxy in front that knows one of them does not know the other.
    #[default]
    Strict,
    /// A redirect (308) to the path that fits, with the query; method and body stay. For sites whose
    /// links are typed by people. Never done for paths that begin with `//`, which a
    /// browser would take for another host.
    #[doc(alias = "addslash")]
    #[doc(alias = "removeslash")]
    Redirect,
    /// The route that fits answers, as if the path had been right.
    Ignore,
}

/// The path with one slash more or less at its end; the root has no other form.
pub(crate) fn toggled(path: &str) -> Option<Cow<'_, str>> {
    match path.strip_suffix('/') {
        Some("") => None,
        Some(shorter) => Some(Cow::Borrowed(shorter)),
        None if path.starts_with('/') => Some(Cow::Owned(format!("{path}/"))),
        None => None,
    }
}
