//! `Mapping`: how the path of a request becomes the upstream's.

use std::borrow::Cow;

use squall_http::wire::uri;

/// Takes a prefix off every path, and puts another one before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapping {
    /// Without a slash at its end.
    strip: String,
    /// Likewise.
    base: String,
}

impl Mapping {
    pub(super) fn onto(base: &str) -> Self {
        Self {
            strip: String::new(),
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    pub(super) fn strip(&mut self, prefix: &str) {
        prefix.trim_end_matches('/').clone_into(&mut self.strip);
    }

    /// Whether any path becomes another one.
    pub(super) fn changes(&self) -> bool {
        !self.base.is_empty() || !self.strip.is_empty()
    }

    /// The upstream's target for a path and query, which keep their bytes.
    ///
    /// Dot segments would lead out of a mapped path at the upstream, so they are refused.
    pub(super) fn target<'a>(&self, whole: &'a str) -> Result<Cow<'a, str>, &'static str> {
        let is_mapped = self.changes();
        let has_path = !whole.is_empty() && !whole.starts_with('?');
        if !is_mapped && has_path {
            return Ok(Cow::Borrowed(whole));
        }
        let (path, query) = whole.split_at(whole.find('?').unwrap_or(whole.len()));
        let path = if has_path { path } else { "/" };
        if is_mapped && has_dot_segments(path) {
            return Err("it holds dot segments");
        }
        let stripped = behind(&self.strip, path).unwrap_or(path);
        let slash = match self.base.is_empty() && stripped.is_empty() {
            true => "/",
            false => "",
        };
        Ok(Cow::Owned([&self.base, stripped, slash, query].concat()))
    }
}

/// What a path has behind a prefix, however that is encoded: the router has decoded it, too.
fn behind<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    if let Some(rest) = path.strip_prefix(prefix)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return Some(rest);
    }
    let mut rest = path;
    for wanted in uri::segments(prefix) {
        let segment = rest.strip_prefix('/')?;
        let end = segment.find('/').unwrap_or(segment.len());
        let (segment, behind) = segment.split_at(end);
        if uri::decode_segment(segment).ok()? != uri::decode_segment(wanted).ok()? {
            return None;
        }
        rest = behind;
    }
    Some(rest)
}

fn has_dot_segments(path: &str) -> bool {
    path.contains(['.', '%']) && uri::segments(path).any(is_dots)
}

/// Whether a segment is `.` or `..`, also when encoded, also before a path parameter.
fn is_dots(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    match uri::decode_segment(name) {
        Ok(decoded) => decoded
            .split(['/', '\\'])
            .any(|part| part == "." || part == ".."),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_mapped_at_segment_borders_and_keep_their_bytes() {
        let plain = Mapping::onto("");
        let mut mapped = Mapping::onto("/base/");
        mapped.strip("/forward/");
        let mut stripped = Mapping::onto("");
        stripped.strip("/forward");
        for (mapping, whole, expected) in [
            (&plain, "/", "/"),
            (&plain, "/a%2Fb//c;d?q=%zz&&", "/a%2Fb//c;d?q=%zz&&"),
            (&plain, "/a/../b", "/a/../b"),
            (&plain, "*", "*"),
            (&plain, "", "/"),
            (&plain, "?a", "/?a"),
            (&mapped, "/forward/a?", "/base/a?"),
            (&mapped, "/forward", "/base"),
            (&mapped, "/forwarding", "/base/forwarding"),
            (&mapped, "", "/base/"),
            (&stripped, "/forward", "/"),
            (&stripped, "/forward/a.b", "/a.b"),
            (&stripped, "/forward?a", "/?a"),
            (&stripped, "/%66orwar%64/%61", "/%61"),
            (&stripped, "/%66orward", "/"),
            (&stripped, "/%66orwarding", "/%66orwarding"),
            (&mapped, "/%66orward/a", "/base/a"),
            (&stripped, "/a?b=/..", "/a?b=/.."),
        ] {
            let target = mapping.target(whole);
            assert_eq!(target.as_deref(), Ok(expected), "{whole}");
        }
    }

    #[test]
    fn dot_segments_cannot_leave_a_mapped_path() {
        let mut mapped = Mapping::onto("");
        mapped.strip("/forward");
        for path in [
            "/forward/../x",
            "/forward/%2e%2E/x",
            "/forward/..;a/x",
            "/forward/a%2f..%2fx",
            "/forward/.",
        ] {
            assert!(mapped.target(path).is_err(), "{path}");
        }
    }
}
