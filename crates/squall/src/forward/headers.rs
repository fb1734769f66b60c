//! Which header fields go along, in both directions.
//!
//! First goes what belongs to one hop, the fields that `Connection` names included; then
//! what only a trusted proxy may say; then a program may change what is left; at last our
//! own fields are added, which nothing that the client sent can take away (RFC 9110
//! section 7.6.1, CVE-2022-31813).

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use squall_http::Headers;
use squall_http::wire::head::Version;
use squall_http::wire::names::{FieldLine, FieldName, WellKnown, is};

use super::options::Options;
use crate::Request;
use crate::settings::ForwardedBy;

const TE_TRAILERS: FieldLine = FieldLine::new("TE: trailers\r\n");
const VIA: FieldName = FieldName::new("Via");
const VIA_1_0: FieldLine = FieldLine::new("Via: 1.0 squall\r\n");
const VIA_1_1: FieldLine = FieldLine::new("Via: 1.1 squall\r\n");
const FORWARDED: FieldName = FieldName::new("Forwarded");
const X_FORWARDED_FOR: FieldName = FieldName::new("X-Forwarded-For");
const X_FORWARDED_HOST: FieldName = FieldName::new("X-Forwarded-Host");
const X_FORWARDED_HTTP: FieldLine = FieldLine::new("X-Forwarded-Proto: http\r\n");
const X_FORWARDED_HTTPS: FieldLine = FieldLine::new("X-Forwarded-Proto: https\r\n");

/// As text.
const LONGEST_ADDRESS: usize = 48;

/// Whether a field belongs to one hop, or is generated for each.
fn is_of_one_hop(field: WellKnown) -> bool {
    matches!(
        field,
        WellKnown::Connection
            | WellKnown::ContentLength
            | WellKnown::Expect
            | WellKnown::Host
            | WellKnown::KeepAlive
            | WellKnown::ProxyAuthenticate
            | WellKnown::ProxyAuthorization
            | WellKnown::ProxyConnection
            | WellKnown::Te
            | WellKnown::Trailer
            | WellKnown::TransferEncoding
            | WellKnown::Upgrade
    )
}

/// Whether a field says who the client is, and by which proxies it came.
fn is_about_the_way(field: WellKnown) -> bool {
    matches!(
        field,
        WellKnown::Forwarded
            | WellKnown::Via
            | WellKnown::XForwarded
            | WellKnown::XForwardedFor
            | WellKnown::XForwardedHost
            | WellKnown::XForwardedProto
            | WellKnown::XRealIp
    )
}

/// The fields that `Connection` names beside its usual words: they are one hop's, too.
#[derive(Debug, Default)]
struct Nominated(Vec<u8>);

impl Nominated {
    /// Takes in the value of a `Connection`.
    fn note(&mut self, value: &[u8]) {
        if !is(value, b"keep-alive") && !is(value, b"close") {
            self.0.extend_from_slice(value);
            self.0.push(b',');
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        has_word(&self.0, name)
    }

    /// Takes them off.
    fn take_off(&self, fields: &mut Headers) {
        if !self.0.is_empty() {
            fields.retain(|name, _| !self.has(name));
        }
    }
}

/// What is told to the upstream of a request, found out before its fields are touched.
pub(super) struct Said {
    /// Whose fields are believed, if the peer is a trusted proxy.
    trusts: Option<ForwardedBy>,
    peer: Option<IpAddr>,
    /// Who the client is, where a trusted proxy has told it.
    client: Option<IpAddr>,
    https: bool,
    /// The host that was asked for; empty if there is none.
    host: Vec<u8>,
    version: Version,
}

impl Said {
    pub(super) fn of(request: &Request) -> Self {
        let settings = request.settings();
        let peer = request.exchange().remote_addr();
        let trusts = (settings.trusted_proxies.contains(peer)).then_some(settings.forwarded_by);
        let told = trusts.map(|_| request.told());
        let host = (told.as_ref().and_then(|told| told.host)).map(str::as_bytes);
        let https = told.as_ref().and_then(|told| told.https);
        Self {
            trusts,
            peer: peer.ip(),
            client: told.as_ref().and_then(|told| told.client.ip()),
            https: https.unwrap_or_else(|| request.exchange().is_tls()),
            host: (host.or_else(|| request.headers().get_bytes("host")))
                .unwrap_or_default()
                .to_owned(),
            version: request.version(),
        }
    }

    /// The host that was asked for, if there is one.
    pub(super) fn host(self) -> Option<String> {
        String::from_utf8(self.host)
            .ok()
            .filter(|host| !host.is_empty())
    }

    /// Takes off what may not go along, and adds what we say.
    pub(super) fn sanitise(&self, fields: &mut Headers, forward: &Options) {
        let mut nominated = Nominated::default();
        let (mut chain, mut x_chain, mut via) = (None, None, None);
        let mut takes_trailers = false;
        fields.retain_known(|field, name, value| {
            match field {
                WellKnown::Other if !name.contains(&b'_') => return true,
                WellKnown::Other => return forward.underscores && !is_alias(name),
                WellKnown::Connection => nominated.note(value),
                WellKnown::Te => takes_trailers |= has_word(value, b"trailers"),
                WellKnown::Via => join(&mut via, value),
                WellKnown::XForwardedFor => join(&mut x_chain, value),
                WellKnown::XForwardedHost | WellKnown::XForwardedProto => {}
                WellKnown::Forwarded if forward.forwarded => join(&mut chain, value),
                WellKnown::Forwarded => return self.trusts == Some(ForwardedBy::Forwarded),
                WellKnown::XForwarded | WellKnown::XRealIp => {
                    return self.trusts == Some(ForwardedBy::XForwarded);
                }
                field => return !is_of_one_hop(field),
            }
            false
        });
        nominated.take_off(fields);
        let believed = |by, name: &[u8]| self.trusts == Some(by) && !nominated.has(name);
        if takes_trailers && self.version == Version::Http11 {
            fields.append_line(TE_TRAILERS);
        }
        let x_chain = x_chain.filter(|_| believed(ForwardedBy::XForwarded, b"x-forwarded-for"));
        self.say(fields, x_chain);
        if forward.forwarded {
            let chain = chain.filter(|_| believed(ForwardedBy::Forwarded, b"forwarded"));
            add(fields, FORWARDED, self.elements(chain));
        }
        add_via(fields, via, self.version);
    }

    /// Adds `X-Forwarded-For`, `-Host` and `-Proto`.
    fn say(&self, fields: &mut Headers, chain: Option<Vec<u8>>) {
        let mut words = chain.unwrap_or_else(|| Vec::with_capacity(LONGEST_ADDRESS));
        if let Some(client) = self.client_told_by(ForwardedBy::Forwarded) {
            list(&mut words, format_args!("{client}"));
        }
        match self.peer {
            Some(IpAddr::V4(peer)) => dotted(&mut words, peer),
            Some(peer) => list(&mut words, format_args!("{peer}")),
            // RFC 7239 section 6.3 has a word for a peer without an address.
            None => list(&mut words, format_args!("unknown")),
        }
        add(fields, X_FORWARDED_FOR, words);
        if !self.host.is_empty() {
            add(fields, X_FORWARDED_HOST, &self.host);
        }
        fields.append_line(match self.https {
            true => X_FORWARDED_HTTPS,
            false => X_FORWARDED_HTTP,
        });
    }

    /// The value of `Forwarded`, with this hop's element (RFC 7239 section 4).
    fn elements(&self, chain: Option<Vec<u8>>) -> Vec<u8> {
        let mut words = chain.unwrap_or_default();
        if let Some(client) = self.client_told_by(ForwardedBy::XForwarded) {
            node(&mut words, Some(client));
        }
        node(&mut words, self.peer);
        // What can be in a host needs no escape between quotes.
        if !self.host.is_empty() {
            words.extend_from_slice(b";host=\"");
            words.extend_from_slice(&self.host);
            words.push(b'"');
        }
        append(&mut words, format_args!(";proto={}", self.proto()));
        words
    }

    /// The client, if a trusted proxy has named it in the other family's words.
    fn client_told_by(&self, by: ForwardedBy) -> Option<IpAddr> {
        let client = self.client.filter(|_| self.trusts == Some(by))?;
        (self.peer != Some(client)).then_some(client)
    }

    fn proto(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

/// Takes off again what a program may have put there although it is generated.
pub(super) fn take_off_generated(fields: &mut Headers) {
    fields.retain_known(|field, _, value| match field {
        WellKnown::Te => value == b"trailers",
        field => !is_of_one_hop(field),
    });
}

/// Takes off what of the upstream's answer does not go to the client, and adds our `Via`.
pub(super) fn to_client(fields: &mut Headers, head_only: bool) {
    let mut nominated = Nominated::default();
    let mut via = None;
    fields.retain_known(|field, _, value| {
        match field {
            WellKnown::Connection => nominated.note(value),
            WellKnown::Via => join(&mut via, value),
            WellKnown::AltSvc => {}
            // The length of what a GET would answer is all that says it here.
            WellKnown::ContentLength => return head_only,
            field => return !is_of_one_hop(field),
        }
        false
    });
    nominated.take_off(fields);
    add_via(fields, via, Version::Http11);
}

/// Whether a name with underscores means one of the fields that are not the client's.
fn is_alias(name: &[u8]) -> bool {
    let dash = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    let field = WellKnown::of(&name.iter().map(dash).collect::<Vec<_>>());
    is_of_one_hop(field) || is_about_the_way(field)
}

/// Adds who relayed the message before, and us.
fn add_via(fields: &mut Headers, before: Option<Vec<u8>>, version: Version) {
    let (us, alone) = match version {
        Version::Http10 => ("1.0 squall", VIA_1_0),
        Version::Http11 => ("1.1 squall", VIA_1_1),
    };
    match before {
        None => fields.append_line(alone),
        Some(mut words) => {
            list(&mut words, format_args!("{us}"));
            add(fields, VIA, words);
        }
    }
}

/// Adds a field's value to those of the same name before it.
fn join(joined: &mut Option<Vec<u8>>, value: &[u8]) {
    if !value.is_empty() {
        let words = joined.get_or_insert_default();
        separate(words);
        words.extend_from_slice(value);
    }
}

/// Whether a list of words has this one.
fn has_word(value: &[u8], word: &[u8]) -> bool {
    let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    words.any(|it| it.eq_ignore_ascii_case(word))
}

/// Adds an element to a list.
fn list(words: &mut Vec<u8>, element: fmt::Arguments<'_>) {
    separate(words);
    append(words, element);
}

fn separate(words: &mut Vec<u8>) {
    if !words.is_empty() {
        words.extend_from_slice(b", ");
    }
}

/// Adds an address to a list: that of each request, for which formatting is slow.
fn dotted(words: &mut Vec<u8>, address: Ipv4Addr) {
    separate(words);
    for (at, octet) in address.octets().into_iter().enumerate() {
        let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
        let leading = usize::from(octet < 100) + usize::from(octet < 10);
        words.extend((at > 0).then_some(b'.'));
        words.extend(digits.into_iter().skip(leading));
    }
}

/// Adds the element of a `Forwarded` that names an address.
fn node(words: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        Some(IpAddr::V4(address)) => list(words, format_args!("for={address}")),
        Some(IpAddr::V6(address)) => list(words, format_args!("for=\"[{address}]\"")),
        None => list(words, format_args!("for=unknown")),
    }
}

/// Writing to memory succeeds.
fn append(words: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let _ = words.write_fmt(text);
}

/// Adds a field. What is made of field values and of our own words is a field value.
fn add(fields: &mut Headers, name: FieldName, value: impl AsRef<[u8]>) {
    let _ = fields.append_named(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_usual() {
        for address in ["0.0.0.0", "1.20.100.9", "255.255.255.255", "10.99.199.200"] {
            let mut words = Vec::new();
            dotted(&mut words, address.parse().expect("an address"));
            assert_eq!(words, address.as_bytes());
            dotted(&mut words, address.parse().expect("an address"));
            assert_eq!(words, format!("{address}, {address}").as_bytes());
        }
    }
}
