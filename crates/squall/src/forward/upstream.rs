//! `Forward`: where requests go, and how their paths change on the way.

use std::time::Duration;

use squall_http::wire::uri;

use super::error::ForwardError;
use crate::client::AsyncHttpClient;

/// An upstream. Cloning gives another handle to the same connections.
#[derive(Debug, Clone)]
pub struct Forward {
    base: String,
    /// The address's path without its last slash; put before every path.
    path: String,
    prefix: String,
    pub(super) client: AsyncHttpClient,
    pub(super) trust_forwarded: bool,
    pub(super) preserve_host: bool,
    pub(super) idle_timeout: Duration,
}

impl Forward {
    /// Forwards to `http://host:port` or `https://…`. A path in the address is put before
    /// every forwarded one. An address that is none fails every request with 500.
    pub fn to(address: &str) -> Self {
        let after_scheme = address.find("://").map_or(0, |at| at + 3);
        let rest = address.get(after_scheme..).unwrap_or_default();
        let path = rest
            .find('/')
            .and_then(|at| rest.get(at..))
            .unwrap_or_default();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        Self {
            base: address.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
            prefix: String::new(),
            client: AsyncHttpClient::new(),
            trust_forwarded: false,
            preserve_host: false,
            idle_timeout: Duration::from_secs(60),
        }
    }

    /// Takes this off the front of every path that has it, at a segment's border.
    pub fn strip_prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.trim_end_matches('/').to_owned();
        self
    }

    /// Uses this client, for its connections and its settings for TLS and time.
    ///
    /// Default: one of its own.
    pub fn client(mut self, client: &AsyncHttpClient) -> Self {
        self.client = client.clone();
        self
    }

    /// Whether the `Forwarded` and `X-Forwarded-*` that come in are believed and extended.
    ///
    /// Default false: they are replaced, because anybody can write them. Switch it on only
    /// behind a proxy of your own.
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        self.trust_forwarded = trust;
        self
    }

    /// Whether the upstream sees the client's `Host`: default false, it sees its own.
    pub fn preserve_host(mut self, preserve: bool) -> Self {
        self.preserve_host = preserve;
        self
    }

    /// How long nothing may move to or from the upstream: default 60 s. Then 504.
    ///
    /// There is no limit on the whole but the deadline of the handler, until its answer
    /// begins: a large body may take as long as it moves.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The upstream's target for a path and query, which keep their bytes.
    ///
    /// Dot segments would lead out of a mapped path at the upstream, so they are refused.
    pub(super) fn target(&self, path: &str, query: Option<&str>) -> Result<String, ForwardError> {
        let stripped = match path.strip_prefix(&*self.prefix) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => path,
        };
        let mapped = !self.path.is_empty() || !self.prefix.is_empty();
        if mapped && uri::segments(path).any(is_dots) {
            return Err(ForwardError::path("it holds dot segments"));
        }
        let mut target =
            String::with_capacity(self.path.len() + stripped.len() + query.map_or(0, str::len) + 2);
        target.push_str(&self.path);
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

    fn target(forward: &Forward, path: &str, query: Option<&str>) -> Option<String> {
        forward.target(path, query).ok()
    }

    #[test]
    fn paths_are_mapped_at_segment_borders_and_keep_their_bytes() {
        let plain = Forward::to("http://a.test:1");
        let mapped = Forward::to("http://a.test/base/").strip_prefix("/forward/");
        for (forward, path, query, expected) in [
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
        ] {
            assert_eq!(
                target(forward, path, query).as_deref(),
                Some(expected),
                "{path}"
            );
        }
    }

    #[test]
    fn dot_segments_cannot_leave_a_mapped_path() {
        let mapped = Forward::to("http://a.test").strip_prefix("/forward");
        for path in [
            "/forward/../x",
            "/forward/%2e%2E/x",
            "/forward/..;a/x",
            "/forward/a%2f..%2fx",
            "/forward/.",
        ] {
            assert_eq!(target(&mapped, path, None), None, "{path}");
        }
    }
}
