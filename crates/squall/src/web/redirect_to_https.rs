//! The answer of a listener whose requests are sent to `https`.

use http::{Method, StatusCode};
use squall_http::Body;
use squall_http::server::{Request, Response};

use super::app::App;
use super::http_error::{self, Prefers};
use crate::log::AccessLine;
use crate::{Error, Result};

/// The port of `https` that the request is sent to, when its listener redirects.
#[inline]
pub(super) fn port(app: &App, request: &Request) -> Option<u16> {
    let listener = usize::try_from(request.exchange().listener()).ok()?;
    app.redirects.get(listener).copied().flatten()
}

/// Sends the request to the same host and target.
pub(super) fn answer(app: &App, request: &Request, port: u16) -> Response {
    let line = AccessLine::begin(&app.settings, request);
    let answer = elsewhere(request, port).unwrap_or_else(|error| {
        let prefers = Prefers::of(request.headers());
        http_error::answer(app, "the redirect to https", &error, prefers)
    });
    if let Some(line) = line {
        line.log(answer.status());
    }
    answer
}

fn elsewhere(request: &Request, port: u16) -> Result<Response> {
    let Some(host) = request
        .host()
        .map(without_port)
        .filter(|host| !host.is_empty())
    else {
        return Err(Error::bad_request(
            "this port sends to https, and the request names no host",
        ));
    };
    let mut location = format!("https://{host}");
    if port != 443 {
        location += &format!(":{port}");
    }
    if request.method() != Method::OPTIONS || request.path() != "*" {
        location += request.path();
    }
    if let Some(query) = request.query() {
        location += "?";
        location += query;
    }
    // 308 keeps the method (RFC 9110 section 15.4.9).
    let mut answer = Response::new(StatusCode::PERMANENT_REDIRECT, Body::empty());
    answer.headers_mut().set("Location", location)?;
    Ok(answer)
}

/// A host without its port (RFC 3986 section 3.2); an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
