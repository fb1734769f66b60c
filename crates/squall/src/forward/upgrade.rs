//! Switching to another protocol: when it is asked for, and what is answered.
//!
//! RFC 9110 section 7.8, and RFC 9931: nothing but HTTP goes to the upstream until it has
//! agreed with 101 to the very protocol that the client has asked for. Without that its
//! answer is an answer like any other.

use http::Method;
use squall_http::Headers;
use squall_http::client::Upgraded;
use squall_http::server::Response;
use squall_http::wire::head::Version;

use super::error::ForwardError;
use super::headers;
use super::options::Options;
use super::tunnel::Tunnel;
use super::upstream::InFlight;
use crate::Request;

/// The protocol that a request asks for, if it may.
pub(super) fn wanted<'a>(request: &Request, forward: &'a Options) -> Option<&'a str> {
    if forward.upgrades.is_empty() || !request.head().known().upgrade() {
        return None;
    }
    let fields = request.headers();
    let asks = request.method() == Method::GET
        && request.version() == Version::Http11
        && request.body().is_empty()
        && fields.has_token("connection", "upgrade");
    let protocol = only_token(fields, "upgrade").filter(|_| asks)?;
    let allowed = &forward.upgrades;
    let allowed = allowed.iter().find(|it| it.eq_ignore_ascii_case(protocol));
    allowed.map(String::as_str)
}

/// The client's 101, and the tunnel behind it.
pub(super) fn switch(
    request: &Request,
    forward: &Options,
    protocol: &str,
    mut fields: Headers,
    upgraded: Upgraded,
    in_flight: InFlight,
) -> Result<Response, ForwardError> {
    let agreed = only_token(&fields, "upgrade");
    if !agreed.is_some_and(|agreed| agreed.eq_ignore_ascii_case(protocol)) {
        return Err(ForwardError::switched());
    }
    headers::to_client(&mut fields, &forward.via, Version::Http11);
    let tunnel = Tunnel {
        exchange: request.exchange().clone(),
        upgraded,
        is_websocket: protocol.eq_ignore_ascii_case("websocket"),
        idle: forward.limits.idle,
        in_flight,
    };
    Response::switching_protocols(protocol, fields, |client| tunnel.run(client))
        .map_err(|error| ForwardError::invalid(error.to_string()))
}

/// The element of a list that has only one.
fn only_token<'a>(fields: &'a Headers, name: &'a str) -> Option<&'a str> {
    let mut tokens = fields.tokens(name);
    tokens.next().filter(|_| tokens.next().is_none())
}
