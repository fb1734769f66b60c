//! `Redirect`: another address, by default inside of this site.

use std::borrow::Cow;

use http::StatusCode;
use squall_http::Body;
use squall_http::server::Response;

use super::IntoResponse;
use crate::{Error, Result};

/// An answer that sends the client elsewhere.
///
/// Targets may come from a request (`?next=…`), so [`Redirect::to`] leads nowhere but
/// inside this site: anything that a browser would read as another one, such as
/// `//evil.example` or `/\evil.example`, is a 500 and a line in the log.
#[derive(Debug, Clone)]
pub struct Redirect {
    status: StatusCode,
    target: Cow<'static, str>,
    anywhere: bool,
}

impl Redirect {
    /// 303: look there, with GET.
    pub fn to(target: impl Into<String>) -> Self {
        Self {
            status: StatusCode::SEE_OTHER,
            target: Cow::Owned(target.into()),
            anywhere: false,
        }
    }

    /// 307: ask there, with the same method and body.
    pub fn temporary(target: impl Into<String>) -> Self {
        Self::to(target).with_status(StatusCode::TEMPORARY_REDIRECT)
    }

    /// 308: ask there from now on.
    pub fn permanent(target: impl Into<String>) -> Self {
        Self::to(target).with_status(StatusCode::PERMANENT_REDIRECT)
    }

    /// 303 to any address, also to another site. Never give it what a client sent.
    pub fn external(target: impl Into<String>) -> Self {
        Self {
            anywhere: true,
            ..Self::to(target)
        }
    }

    /// Uses another status, such as 301 or 302.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Result<Response> {
        if !self.anywhere && !stays_here(&self.target) {
            return Err(Error::internal(format!(
                "a redirect to {:?} leads to another site; use Redirect::external if it should",
                self.target
            )));
        }
        let mut response = Response::new(self.status, Body::empty());
        response
            .headers_mut()
            .set("Location", self.target.as_bytes())?;
        Ok(response)
    }
}

/// Whether every browser reads the target as one of this site.
fn stays_here(target: &str) -> bool {
    let scheme = target.split(['/', '?', '#']).next().unwrap_or_default();
    !target.is_empty()
        && !target.starts_with("//")
        && !scheme.contains(':')
        && !target.contains('\\')
        && target.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::stays_here;

    #[test]
    fn only_targets_of_this_site() {
        for target in ["/", "/a?b=c:d", "a/b", "?q=1", "#top", "./a:b", "/a//b"] {
            assert!(stays_here(target), "{target}");
        }
        for target in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "http://evil.example",
            "javascript:alert(1)",
            " //evil.example",
            "/\t/evil.example",
            "/a\r\nb",
            "/é",
        ] {
            assert!(!stays_here(target), "{target}");
        }
    }
}
