//! Which header fields go along, in both directions.
//!
//! First goes what belongs to one hop, the fields that `Connection` names included; then
//! what only a trusted proxy may say; at last our own fields are added, which nothing that
//! the client sent can take away (RFC 9110 section 7.6.1, CVE-2022-31813).

use squall_http::Headers;
use squall_http::server::Request;
use squall_http::wire::head::Version;

use crate::client::HttpRequest;

/// Fields of one hop. `Trailer` and `TE` too: trailers are relayed without promises.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];
/// What a proxy says about the client. `X-Forwarded-` fields count by their prefix.
const SAID_BY_PROXIES: [&str; 3] = ["forwarded", "x-real-ip", "via"];
const FORWARDED_PREFIX: &str = "x-forwarded-";
/// Our name in `Via`.
const PSEUDONYM: &str = "squall";

/// Adds to `outgoing` what of the request goes to the upstream.
pub(super) fn to_upstream(outgoing: HttpRequest, request: &Request, trust: bool) -> HttpRequest {
    let incoming = request.headers();
    let mut outgoing = outgoing;
    for (name, value) in incoming.iter() {
        let ours =
            is_forwarded_for(name) || is(name, "x-forwarded-host") || is(name, "x-forwarded-proto");
        let said = said_by_proxies(name);
        let spoofed = said && !(trust && !name.contains('_') && !ours && !is(name, "via"));
        if !is_hop_by_hop(name, incoming) && !is(name, "host") && !is(name, "expect") && !spoofed {
            outgoing = outgoing.header(name, value);
        }
    }
    let exchange = request.exchange();
    // RFC 7239 section 6.3 has a word for a peer without an address.
    let peer = (exchange.remote_addr().ip()).map_or("unknown".to_owned(), |ip| ip.to_string());
    let told = |name: &str| {
        let trusted = trust && !incoming.has_token("connection", name);
        trusted.then(|| join(incoming, name)).flatten()
    };
    let proto = if exchange.is_tls() { "https" } else { "http" };
    let host = request.host().unwrap_or_default();
    let chain = match told("x-forwarded-for") {
        Some(chain) => [chain.as_slice(), b", ", peer.as_bytes()].concat(),
        None => peer.into_bytes(),
    };
    outgoing
        .header("X-Forwarded-For", chain)
        .header(
            "X-Forwarded-Host",
            told("x-forwarded-host").unwrap_or_else(|| host.into()),
        )
        .header(
            "X-Forwarded-Proto",
            told("x-forwarded-proto").unwrap_or_else(|| proto.into()),
        )
        .header("Via", via(incoming, request.version()))
}

/// What of the upstream's answer goes to the client.
pub(super) fn to_client(mut headers: Headers, head_only: bool) -> Headers {
    let nominating = headers.contains("connection").then(|| headers.clone());
    headers.retain(|name, _| {
        // The length of what a GET would answer is all that says it here.
        if is(name, "content-length") {
            return head_only;
        }
        let nominated = (nominating.as_ref()).is_some_and(|all| all.has_token("connection", name));
        !nominated && !is_listed(name) && !is(name, "alt-svc")
    });
    let via = via(&headers, Version::Http11);
    headers.remove("via");
    // A value made of field values and our own name is a field value.
    let _ = headers.append("Via", via);
    headers
}

fn is_hop_by_hop(name: &str, headers: &Headers) -> bool {
    is_listed(name) || headers.has_token("connection", name)
}

fn is_listed(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|listed| is(name, listed))
}

/// Also in the spelling with underscores, which some upstreams take for the same.
fn said_by_proxies(name: &str) -> bool {
    let dashed = name.replace('_', "-");
    SAID_BY_PROXIES.iter().any(|listed| is(&dashed, listed))
        || (dashed.get(..FORWARDED_PREFIX.len())).is_some_and(|start| is(start, FORWARDED_PREFIX))
}

fn is_forwarded_for(name: &str) -> bool {
    is(name, "x-forwarded-for")
}

/// Who relayed the message before, and we.
fn via(headers: &Headers, version: Version) -> Vec<u8> {
    let number = match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    };
    let ours = format!("{number} {PSEUDONYM}").into_bytes();
    match join(headers, "via") {
        Some(before) => [before.as_slice(), b", ", &ours].concat(),
        None => ours,
    }
}

/// All values of a list field as one.
fn join(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    let values: Vec<_> = headers
        .get_all(name)
        .filter(|value| !value.is_empty())
        .collect();
    (!values.is_empty()).then(|| values.join(b", ".as_slice()))
}

fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}
