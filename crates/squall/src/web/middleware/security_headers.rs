//! `SecurityHeaders`: what answers tell a browser not to do.

use std::sync::Arc;
use std::time::Duration;

use squall_http::Headers;
use squall_http::server::ResponseFuture;

use super::{Middleware, Next, visit};
use crate::web::cookies::is_secure;
use crate::web::handler::Needs;
use crate::web::request::Request;

/// Adds headers by which browsers guard the site's pages. A header that a handler has set
/// itself is left as it is.
///
/// | header | default |
/// |---|---|
/// | `X-Content-Type-Options` | `nosniff` |
/// | `Referrer-Policy` | `strict-origin-when-cross-origin` |
/// | `X-Frame-Options` | `SAMEORIGIN` |
/// | `Content-Security-Policy` | `frame-ancestors 'self'` |
/// | `Cross-Origin-Opener-Policy` | `same-origin` |
/// | `Strict-Transport-Security` | none; over TLS alone when asked for: [`hsts`](Self::hsts) |
///
/// ```
/// use std::time::Duration;
/// use squall::Application;
/// use squall::middleware::SecurityHeaders;
///
/// let application = Application::new().middleware(
///     SecurityHeaders::default()
///         .set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
///         .set("Permissions-Policy", "camera=(), microphone=()")
///         .without("X-Frame-Options")
///         .hsts(Duration::from_secs(365 * 24 * 3600)),
/// );
/// ```
#[derive(Debug, Clone)]
pub struct SecurityHeaders {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    headers: Headers,
    hsts: Option<String>,
    /// Why a header could not be set.
    fault: Option<String>,
}

impl Default for SecurityHeaders {
    fn default() -> Self {
        let inner = Inner {
            headers: Headers::new(),
            hsts: None,
            fault: None,
        };
        let none = Self {
            inner: Arc::new(inner),
        };
        none.set("X-Content-Type-Options", "nosniff")
            .set("Referrer-Policy", "strict-origin-when-cross-origin")
            .set("X-Frame-Options", "SAMEORIGIN")
            .set("Content-Security-Policy", "frame-ancestors 'self'")
            .set("Cross-Origin-Opener-Policy", "same-origin")
    }
}

impl SecurityHeaders {
    /// Adds a header, or changes a default. One that cannot be is reported when the
    /// application begins to listen.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        if let Err(error) = inner.headers.set(name, value) {
            inner.fault = Some(error.to_string());
        }
        self
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        Arc::make_mut(&mut self.inner).headers.remove(name);
        self
    }

    /// Tells browsers to use TLS alone for this long, on this host. Said over TLS only,
    /// as RFC 6797 section 7.2 wants it. It cannot be taken back: begin with hours.
    #[must_use]
    pub fn hsts(mut self, max_age: Duration) -> Self {
        let value = format!("max-age={}", max_age.as_secs());
        Arc::make_mut(&mut self.inner).hsts = Some(value);
        self
    }

    /// As [`hsts`](Self::hsts), and on every host below this one.
    #[must_use]
    pub fn hsts_with_subdomains(mut self, max_age: Duration) -> Self {
        let value = format!("max-age={}; includeSubDomains", max_age.as_secs());
        Arc::make_mut(&mut self.inner).hsts = Some(value);
        self
    }
}

impl Middleware for SecurityHeaders {
    fn call(&self, request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let inner = self.inner.clone();
        let tls = is_secure(&request);
        Box::pin(visit.attend(async move {
            let mut response = next.run(request).await;
            let headers = response.headers_mut();
            let hsts = inner.hsts.as_ref().filter(|_| tls);
            let hsts = hsts.map(|value| ("Strict-Transport-Security", value.as_bytes()));
            for (name, value) in inner.headers.iter().chain(hsts) {
                if !headers.contains(name) {
                    headers.append(name, value)?;
                }
            }
            Ok(response)
        }))
    }

    fn needs(&self, needs: &mut Needs) {
        if let Some(fault) = &self.inner.fault {
            needs.fault(&format!("SecurityHeaders: {fault}"));
        }
    }
}
