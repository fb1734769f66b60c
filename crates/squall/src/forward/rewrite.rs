//! `Onward`: a request on its way to the upstream, as a program may change it.

use std::fmt;
use std::sync::Arc;

use http::Method;
use squall_http::Headers;
use squall_http::wire::target::{check_bytes, is_authority};

use super::error::ForwardError;
use super::headers::{self, Said};
use super::max_forwards;
use super::options::Options;
use super::target::has_dot_segments;
use crate::{Error, Request, Result};

/// Changes what goes to the upstream.
pub(super) type Rewrite = Arc<dyn Fn(&Request, &mut Onward) -> Result<()> + Send + Sync>;

/// The head that goes to the upstream; see [`Forward::rewrite`](super::Forward::rewrite).
///
/// What belongs to one hop is gone already and cannot be put back: framing, `Connection`
/// and `Upgrade` are generated when the request is sent.
pub struct Onward {
    pub(super) headers: Headers,
    pub(super) takes_trailers: bool,
    /// `None`: the request's own. It is there for a program.
    pub(super) target: Option<Box<str>>,
    pub(super) host: Option<Box<str>>,
    /// Whether a program may ask for dot segments.
    allows_dots: bool,
}

impl Onward {
    /// What is sent of a request: sanitised, changed by the program, and only then ours.
    pub(super) fn of(request: &Request, to: &Options) -> Result<Self, ForwardError> {
        let said = Said::of(request);
        let whole = match request.head().path_and_query() {
            // Asked of the server as a whole (RFC 9112 section 3.2.4).
            "" if *request.method() == Method::OPTIONS && !to.mapping.changes() => "*",
            whole => whole,
        };
        if request.head().may_have_dot_segments() {
            to.mapping.check(whole).map_err(ForwardError::path)?;
        }
        let is_own = to.rewrite.is_none() && !to.mapping.changes() && whole.starts_with('/');
        let (headers, takes_trailers) = said.sanitised(to)?;
        let mut onward = Self {
            target: (!is_own).then(|| to.mapping.target(whole)),
            headers,
            takes_trailers,
            host: (to.preserve_host.then(|| said.host()).flatten()).map(Into::into),
            allows_dots: to.mapping.allows_dots,
        };
        max_forwards::count(request, &mut onward)?;
        if let Some(rewrite) = &to.rewrite {
            rewrite(request, &mut onward).map_err(ForwardError::rewrite)?;
            headers::take_off_generated(&mut onward.headers);
        }
        Ok(onward)
    }

    /// The fields, without `Host`.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The fields, to be changed.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// Path and query, percent-encoded, as the upstream gets them.
    pub fn target(&self) -> &str {
        self.target.as_deref().unwrap_or_default()
    }

    /// Asks the upstream for another path and query, percent-encoded.
    ///
    /// # Errors
    /// When it does not begin with a slash, or holds a byte that has to be encoded. 400 when
    /// it has dot segments, which may have come with the request
    /// ([`allow_dot_segments`](super::Forward::allow_dot_segments)).
    pub fn set_target(&mut self, target: impl Into<String>) -> Result<()> {
        let target = target.into();
        if !target.starts_with('/') {
            return Err(Error::internal(format!("the target {target:?} is no path")));
        }
        check_bytes(&target)?;
        if !self.allows_dots && has_dot_segments(&target) {
            return Err(Error::bad_request("the target holds dot segments"));
        }
        self.target = Some(target.into());
        Ok(())
    }

    /// Sends this as `Host` instead of the upstream's own.
    ///
    /// # Errors
    /// When it is no host.
    pub fn set_host(&mut self, host: impl Into<String>) -> Result<()> {
        let host = host.into();
        if host.is_empty() || !is_authority(host.as_bytes()) {
            return Err(Error::internal(format!("{host:?} is no host")));
        }
        self.host = Some(host.into());
        Ok(())
    }
}

impl fmt::Debug for Onward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onward")
            .field("target", &self.target)
            .field("host", &self.host)
            .field("headers", &self.headers)
            .finish()
    }
}
