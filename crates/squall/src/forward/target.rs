//! `Mapping`: how the path of a request becomes the upstream's.

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

    /// The upstream's target for a path and query, which keep their bytes.
    ///
    /// Dot segments would lead out of a mapped path at the upstream, so they are refused.
    pub(super) fn target(&self, path: &str, query: Option<&str>) -> Result<String, &'static str> {
        let is_mapped = !self.base.is_empty() || !self.strip.is_empty();
        if is_mapped && has_dot_segments(path) {
            return Err("it holds dot segments");
        }
        let stripped = match path.strip_prefix(&*self.strip) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => path,
        };
        let query_len = query.map_or(0, |query| query.len() + 1);
        let mut target = String::with_capacity(self.base.len() + stripped.len() + query_len + 1);
        target.push_str(&self.base);
        target.push_str(stripped);
        if target.is_empty() {
            target.push('/');
        }
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        Ok(target)
    }
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
        for (mapping, path, query, expected) in [
            (&plain, "/", None, "/"),
            (
                &plain,
                "/a%2Fb//c;d",
                Some("q=%zz&&"),
                "/a%2Fb//c;d?q=%zz&&",
            ),
            (&plain, "/a/../b", None, "/a/../b"),
            (&mapped, "/forward/a", Some(""), "/base/a?"),
            (&mapped, "/forward", None, "/base"),
            (&mapped, "/forwarding", None, "/base/forwarding"),
            (&stripped, "/forward", None, "/"),
            (&stripped, "/forward/a.b", None, "/a.b"),
            (&stripped, "/forward", Some("a"), "/?a"),
        ] {
            let target = mapping.target(path, query);
            assert_eq!(target.as_deref(), Ok(expected), "{path}");
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
            assert!(mapped.target(path, None).is_err(), "{path}");
        }
    }
}
