//! Entity tags of answers that are whole in memory (RFC 9110 sections 8.8.3 and 13.1.2).

use std::fmt::Write;

use http::StatusCode;
use ring::digest::{SHA256, digest};
use squall_http::server::Response;
use squall_http::{Body, Headers};
use squall_loop::say;

/// How much of the digest is written.
const BYTES: usize = 16;

/// A strong validator of these bytes.
pub(crate) fn of(body: &[u8]) -> String {
    let mut tag = String::with_capacity(2 * BYTES + 2);
    tag.push('"');
    for byte in digest(&SHA256, body).as_ref().iter().take(BYTES) {
        // Writing to a string does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// Gives an answer its tag, unless it has one; 304 if the client has the same already.
pub(super) fn apply(
    asked: &Headers,
    response: &mut Response,
    compute: impl FnOnce(&[u8]) -> Option<String>,
) {
    if !response.headers().contains("etag")
        && let Some(tag) = response.body().as_bytes().and_then(compute)
        && let Err(error) = response.headers_mut().set("ETag", tag)
    {
        say(|| tracing::warn!(target: "squall::web", %error, "an ETag is left out"));
    }
    let Some(tag) = response.headers().get("etag") else {
        return;
    };
    if matches(asked, tag) {
        response.set_status(StatusCode::NOT_MODIFIED);
        *response.body_mut() = Body::empty();
    }
}

/// Whether `If-None-Match` names the tag; compared weakly.
fn matches(asked: &Headers, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let tag = opaque(tag);
    (asked.get_all("if-none-match"))
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || opaque(known) == tag)
}
