//! Cross-origin protection: pages of other sites cannot act in a user's name.
//!
//! A browser sends a site's cookies along whoever has caused the request. It also says
//! who has, in headers that no script can change: `Sec-Fetch-Site`, and `Origin` with
//! every unsafe method. What says it comes from elsewhere is refused before its handler
//! runs; what says nothing is no browser, and passes. No token is needed, and nothing has
//! to be kept.
//!
//! GET, HEAD and OPTIONS pass always: their handlers must not change anything.

use http::Method;
use squall_http::Headers;

use super::app::App;
use super::request::Request;
use super::routing::Route;
use crate::{Error, Settings};

/// Attached to a request whose origin a [`Cors`](super::middleware::Cors) has named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named;

/// The refusal, if the request has to be refused.
#[inline]
pub(super) fn refuses(app: &App, route: Option<&Route>, request: &Request) -> Option<Error> {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return None;
    }
    refuses_unsafe(app, route, request)
}

fn refuses_unsafe(app: &App, route: Option<&Route>, request: &Request) -> Option<Error> {
    let allowed = match route {
        Some(route) => route.policy.cross_origin,
        // Nothing happens there but 404 or 405.
        None => (app.routes.scope(request.place)).is_none_or(|scope| scope.not_found.is_none()),
    };
    if allowed || !app.settings.cross_origin_protection {
        return None;
    }
    let why = comes_from_elsewhere(request.headers(), request.host())?;
    let origin = request.headers().get("origin");
    if request.extensions().get::<Named>().is_some()
        || origin.is_some_and(|origin| (app.settings.trusted_origins.iter()).any(|it| it == origin))
    {
        return None;
    }
    Some(Error::forbidden(format!(
        "a page of another site sent this request ({why}); \
         setting: trusted_origins, or MethodRoutes::allow_cross_origin"
    )))
}

/// What says so, if the request comes from a page of another site.
fn comes_from_elsewhere(headers: &Headers, host: Option<&str>) -> Option<String> {
    let mut sites = headers.get_all("sec-fetch-site").peekable();
    if sites.peek().is_some() {
        let site = sites.find(|site| !matches!(*site, b"same-origin" | b"none"))?;
        return Some(format!("Sec-Fetch-Site: {}", shown(site)));
    }
    let mut origins = headers.get_all("origin");
    let origin = origins.find(|origin| !is_origin_of(origin, host))?;
    Some(format!(
        "Origin: {}, Host: {}",
        shown(origin),
        shown(host.unwrap_or_default().as_bytes())
    ))
}

/// Whether an `Origin` is that of the host. The scheme is not compared: a proxy in front
/// may have taken the TLS off.
fn is_origin_of(origin: &[u8], host: Option<&str>) -> bool {
    let (Ok(origin), Some(host)) = (std::str::from_utf8(origin), host) else {
        return false;
    };
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |authority: &'_ str| {
        let bare = authority.strip_suffix(default).unwrap_or(authority);
        bare.to_ascii_lowercase()
    };
    !authority.is_empty() && bare(authority) == bare(host)
}

/// A header's value as it may be shown: not long, and without anything odd.
fn shown(value: &[u8]) -> String {
    let value = value.get(..80).unwrap_or(value);
    value.escape_ascii().to_string()
}

/// Trusted origins that no browser would ever send.
pub(super) fn faults(settings: &Settings) -> impl Iterator<Item = String> {
    (settings.trusted_origins.iter())
        .filter(|origin| !is_origin(origin))
        .map(|origin| {
            format!("trusted_origins: {origin:?} is no origin such as \"https://app.example\"")
        })
}

/// Whether a text is an origin as browsers write it (RFC 6454 section 6.2).
pub(super) fn is_origin(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use super::{is_origin, is_origin_of};

    #[test]
    fn an_origin_is_that_of_its_host() {
        for (origin, host, same) in [
            ("http://a.test", "a.test", true),
            ("https://A.test", "a.TEST", true),
            ("https://a.test", "a.test:443", true),
            ("http://a.test:80", "a.test", true),
            ("http://a.test:8080", "a.test:8080", true),
            ("http://[::1]:5000", "[::1]:5000", true),
            ("https://a.test", "a.test:80", false),
            ("http://a.test:8080", "a.test", false),
            ("http://evil.test", "a.test", false),
            ("http://a.test.evil.test", "a.test", false),
            ("null", "a.test", false),
            ("", "", false),
            ("http://", "", false),
            ("file://a.test", "a.test", false),
        ] {
            assert_eq!(
                is_origin_of(origin.as_bytes(), Some(host)),
                same,
                "{origin} {host}"
            );
        }
        assert!(!is_origin_of(b"http://a.test", None));
        assert!(!is_origin_of(b"http://\xff", Some("\u{ff}")));
    }

    #[test]
    fn origins_as_browsers_write_them() {
        assert!(is_origin("https://a.example"));
        assert!(is_origin("http://127.0.0.1:5000"));
        for bad in [
            "a.example",
            "https://a.example/",
            "https://a.example:443",
            "*",
            "null",
            "https://A.example",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
