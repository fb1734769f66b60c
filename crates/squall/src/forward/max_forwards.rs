//! `Max-Forwards`: how far an OPTIONS or a TRACE may still go (RFC 9110 section 7.6.2).

use http::{Method, StatusCode};
use squall_http::server::Response;
use squall_http::{Body, Headers};

use super::error::ForwardError;
use super::rewrite::Onward;
use crate::Request;

const NAME: &str = "max-forwards";

/// How many more hops the request may make; `None`: it does not say.
fn left(request: &Request) -> Option<u64> {
    match *request.method() {
        Method::OPTIONS | Method::TRACE => request.headers().get(NAME)?.parse().ok(),
        _ => None,
    }
}

/// The answer to a request that may go no further.
pub(super) fn ends_here(request: &Request) -> Option<Response> {
    if left(request) != Some(0) {
        return None;
    }
    let status = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT,
        // Showing a request to whoever sends it shows fields that scripts may not see.
        _ => StatusCode::NOT_IMPLEMENTED,
    };
    Some(Response::from_parts(status, Headers::new(), Body::empty()))
}

/// Counts this hop.
pub(super) fn count(request: &Request, onward: &mut Onward) -> Result<(), ForwardError> {
    let Some(left) = left(request) else {
        return Ok(());
    };
    let less = left.saturating_sub(1).to_string();
    let set = onward.headers.set("Max-Forwards", less);
    set.map_err(|error| ForwardError::invalid(error.to_string()))
}
