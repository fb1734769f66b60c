//! Which header fields go along, in both directions.
//!
//! First goes what belongs to one hop, the fields that `Connection` names included; then
//! what only a trusted proxy may say; then a program may change what is left; at last our
//! own fields are added, which nothing that the client sent can take away (RFC 9110
//! section 7.6.1, CVE-2022-31813).

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use squall_http::Headers;
use squall_http::memory::take_fields;
use squall_http::wire::forwarded::can_be_extended;
use squall_http::wire::head::Version;
use squall_http::wire::names::{FieldLine, FieldName, WellKnown, is};

use super::error::ForwardError;
use super::options::Options;
use super::via::Via;
use crate::Request;
use crate::settings::ForwardedBy;

const FORWARDED: FieldName = FieldName::new("Forwarded");
const X_FORWARDED_FOR: FieldName = FieldName::new("X-Forwarded-For");
const X_FORWARDED_HOST: FieldName = FieldName::new("X-Forwarded-Host");
const X_REAL_IP: FieldName = FieldName::new("X-Real-IP");
const X_FORWARDED_HTTP: FieldLine = FieldLine::new("X-Forwarded-Proto: http\r\n");
const X_FORWARDED_HTTPS: FieldLine = FieldLine::new("X-Forwarded-Proto: https\r\n");

/// As text: eight groups, or six and an address of the older kind.
const LONGEST_ADDRESS: usize = 45;

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
    fn add(&mut self, names: &[u8]) {
        self.0.extend_from_slice(names);
        self.0.push(b',');
    }

    /// Takes in the value of a `Connection`.
    fn note(&mut self, value: &[u8]) {
        if !is(value, b"keep-alive") && !is(value, b"close") {
            self.add(value);
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

/// A request as the upstream is told of it.
pub(super) struct Said<'a> {
    request: &'a Request,
    /// Whose fields are believed, if the peer is a trusted proxy.
    trusts: Option<ForwardedBy>,
    peer: Option<IpAddr>,
    /// Who the client is, where a trusted proxy has told it.
    client: Option<IpAddr>,
    https: bool,
    /// The host that was asked for, out of one of its fields; empty if there is none.
    host: &'a [u8],
}

impl<'a> Said<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        let settings = request.settings();
        let peer = request.exchange().remote_addr();
        let trusts = (settings.trusted_proxies.contains(peer)).then_some(settings.forwarded_by);
        let told = trusts.map(|_| request.told());
        let host = (told.as_ref().and_then(|told| told.host)).map(str::as_bytes);
        let https = told.as_ref().and_then(|told| told.https);
        Self {
            request,
            trusts,
            peer: peer.ip(),
            client: told.as_ref().and_then(|told| told.client.ip()),
            https: https.unwrap_or_else(|| request.exchange().is_tls()),
            host: (host.or_else(|| request.headers().get_known(WellKnown::Host)))
                .unwrap_or_default(),
        }
    }

    /// The host that was asked for, if there is one.
    pub(super) fn host(&self) -> Option<&str> {
        let host = std::str::from_utf8(self.host).ok();
        host.filter(|host| !host.is_empty())
    }

    /// The fields that go along, and what we say ourselves; and whether the client takes
    /// trailers.
    ///
    /// # Errors
    /// When the request goes in a circle.
    pub(super) fn sanitised(&self, forward: &Options) -> Result<(Headers, bool), ForwardError> {
        let mut fields = take_fields();
        let mut nominated = Nominated::default();
        let mut takes_trailers = false;
        let (mut has_via, mut has_real_ip) = (false, false);
        fields.append_some(self.request.headers(), |field, line| {
            match field {
                WellKnown::Other if !line.name().contains(&b'_') => return true,
                WellKnown::Other => return forward.underscores && !is_alias(line.name()),
                WellKnown::Connection => nominated.note(line.value()),
                WellKnown::Te => takes_trailers |= has_word(line.value(), b"trailers"),
                WellKnown::Via => has_via = true,
                WellKnown::XForwardedFor
                | WellKnown::XForwardedHost
                | WellKnown::XForwardedProto => {}
                WellKnown::Forwarded => {
                    return !forward.forwarded && self.trusts == Some(ForwardedBy::Forwarded);
                }
                WellKnown::XForwarded => return self.trusts == Some(ForwardedBy::XForwarded),
                WellKnown::XRealIp => has_real_ip = true,
                field => return !is_of_one_hop(field),
            }
            false
        });
        if has_via && forward.via.has_circled(self.request.headers()) {
            return Err(ForwardError::circled());
        }
        nominated.take_off(&mut fields);
        let believed = |by, name: &[u8]| {
            let is_believed = self.trusts == Some(by) && !nominated.has(name);
            is_believed.then(|| self.request.headers())
        };
        self.say(
            &mut fields,
            believed(ForwardedBy::XForwarded, b"x-forwarded-for"),
        );
        if has_real_ip && believed(ForwardedBy::XForwarded, b"x-real-ip").is_some() {
            self.say_real_ip(&mut fields);
        }
        if forward.forwarded {
            self.say_forwarded(&mut fields, believed(ForwardedBy::Forwarded, b"forwarded"));
        }
        let before = has_via.then(|| self.request.headers().get_all("via"));
        let version = self.request.version();
        (forward.via).add(&mut fields, before, version);
        Ok((fields, takes_trailers && version == Version::Http11))
    }

    /// Adds `X-Forwarded-For`, behind what is `believed` of the one before, `-Host` and
    /// `-Proto`.
    fn say(&self, fields: &mut Headers, believed: Option<&Headers>) {
        let client = self.client_told_by(ForwardedBy::Forwarded);
        let client = client.map(AddressText::of);
        // RFC 7239 section 6.3 has a word for a peer without an address.
        let peer = self.peer.map(AddressText::of);
        let peer = peer.as_ref().map_or(&b"unknown"[..], AddressText::as_bytes);
        let client = client.as_ref().map(AddressText::as_bytes);
        match believed {
            None if client.is_none() => fields.append_checked(X_FORWARDED_FOR, peer),
            believed => {
                let chain = (believed.into_iter()).flat_map(|it| it.get_all("x-forwarded-for"));
                add_list(fields, X_FORWARDED_FOR, chain.chain(client).chain([peer]));
            }
        }
        if !self.host.is_empty() {
            fields.append_checked(X_FORWARDED_HOST, self.host);
        }
        fields.append_line(match self.https {
            true => X_FORWARDED_HTTPS,
            false => X_FORWARDED_HTTP,
        });
    }

    /// Says `X-Real-IP` anew, for a trusted proxy that does: one that does not passes on what
    /// the client has sent.
    #[cold]
    fn say_real_ip(&self, fields: &mut Headers) {
        if let Some(client) = self.client {
            fields.append_checked(X_REAL_IP, AddressText::of(client).as_bytes());
        }
    }

    /// Adds `Forwarded`, with this hop's element (RFC 7239 section 4).
    fn say_forwarded(&self, fields: &mut Headers, believed: Option<&Headers>) {
        let client = self.client_told_by(ForwardedBy::XForwarded);
        let client = client.map(|client| node(Some(client)));
        let mut hop = node(self.peer).into_bytes();
        // What can be in a host needs no escape between quotes.
        if !self.host.is_empty() {
            hop.extend_from_slice(b";host=\"");
            hop.extend_from_slice(self.host);
            hop.push(b'"');
        }
        hop.extend_from_slice(match self.https {
            true => b";proto=https",
            false => b";proto=http",
        });
        let client = client.as_ref().map(String::as_bytes);
        let chain = believed.into_iter().flat_map(legible);
        add_list(fields, FORWARDED, chain.chain(client).chain([&hop[..]]));
    }

    /// The client, if a trusted proxy has named it in the other family's words.
    fn client_told_by(&self, by: ForwardedBy) -> Option<IpAddr> {
        let client = self.client.filter(|_| self.trusts == Some(by))?;
        (self.peer != Some(client)).then_some(client)
    }
}

/// Which trailer fields of a request stay behind: none says what the head says already, or
/// may not say.
#[derive(Debug)]
pub(super) struct TrailerRule {
    taken: Nominated,
    underscores: bool,
}

impl TrailerRule {
    /// For a request with these fields, in place of which those go to the upstream: what was
    /// taken off does not come back by a trailer.
    pub(super) fn of(request: &Headers, onward: &Headers, underscores: bool) -> Self {
        let mut taken = Nominated::default();
        request.get_all("connection").for_each(|it| taken.note(it));
        let fields = request.iter_bytes().chain(onward.iter_bytes());
        fields.for_each(|(name, _)| taken.add(name));
        Self { taken, underscores }
    }

    /// Takes them off.
    pub(super) fn take_off(&self, trailers: &mut Headers) {
        trailers.retain_known(|field, line| {
            let name = line.name();
            let is_odd = name.contains(&b'_') && (!self.underscores || is_alias(name));
            !is_odd && !is_of_one_hop(field) && !is_about_the_way(field) && !self.taken.has(name)
        });
    }
}

/// Takes off again what a program may have put there although it is generated.
pub(super) fn take_off_generated(fields: &mut Headers) {
    fields.retain_known(|field, _| !is_of_one_hop(field));
}

/// Takes off what of the upstream's answer, which is of this version, does not go to the
/// client, and adds our `Via`.
pub(super) fn to_client(fields: &mut Headers, via: &Via, version: Version) {
    let mut nominated = Nominated::default();
    let mut before: Option<Vec<Vec<u8>>> = None;
    fields.retain_known(|field, line| {
        match field {
            WellKnown::Connection => nominated.note(line.value()),
            WellKnown::Via => (before.get_or_insert_default()).push(line.value().to_owned()),
            WellKnown::AltSvc => {}
            field => return !is_of_one_hop(field),
        }
        false
    });
    nominated.take_off(fields);
    let before = (before.as_ref()).map(|before| before.iter().map(Vec::as_slice));
    via.add(fields, before, version);
}

/// Whether a name with underscores means one of the fields that are not the client's.
fn is_alias(name: &[u8]) -> bool {
    let dash = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    let field = WellKnown::of(&name.iter().map(dash).collect::<Vec<_>>());
    is_of_one_hop(field) || is_about_the_way(field)
}

/// Whether a list of words has this one.
fn has_word(value: &[u8], word: &[u8]) -> bool {
    let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    words.any(|it| it.eq_ignore_ascii_case(word))
}

/// The lines of a `Forwarded` that can be extended: those behind the last one that cannot be
/// read, as what is added to that would be its own.
fn legible(fields: &Headers) -> impl Iterator<Item = &[u8]> {
    let lines = || fields.get_all("forwarded");
    let broken = (lines().enumerate()).filter(|(_, line)| !can_be_extended(line));
    lines().skip(broken.last().map_or(0, |(at, _)| at + 1))
}

/// Adds a list. What is made of field values and of our own words is a field value.
fn add_list<'a>(
    fields: &mut Headers,
    name: FieldName,
    elements: impl IntoIterator<Item = &'a [u8]>,
) {
    let _ = fields.append_list(name, elements);
}

/// What an element of a `Forwarded` begins with: who it was.
fn node(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V4(address)) => format!("for={address}"),
        Some(IpAddr::V6(address)) => format!("for=\"[{address}]\""),
        None => "for=unknown".to_owned(),
    }
}

/// Each octet as text with a dot behind it, and how long that is.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b'.'; 4], 2); 256];
    let mut octet = 0;
    while octet < octets.len() {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let len = 1 + (octet > 9) as usize + (octet > 99) as usize;
        let mut at = 0;
        while at < len {
            octets[octet].0[at] = b'0' + digits[3 - len + at] as u8;
            at += 1;
        }
        octets[octet].1 = len as u8 + 1;
        octet += 1;
    }
    octets
};

/// An address as text, without memory of its own: each request is sent with one.
struct AddressText {
    bytes: [u8; LONGEST_ADDRESS],
    len: usize,
}

impl AddressText {
    fn of(address: IpAddr) -> Self {
        let mut text = Self {
            bytes: [0; LONGEST_ADDRESS],
            len: 0,
        };
        match address {
            IpAddr::V4(address) => text.dotted(address),
            // There is room for the longest.
            IpAddr::V6(address) => drop(write!(text, "{address}")),
        }
        text
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Formatting is slow for what nearly each request has.
    fn dotted(&mut self, address: Ipv4Addr) {
        for octet in address.octets() {
            let (text, len) = OCTETS[usize::from(octet)];
            if let Some(place) = self.bytes.get_mut(self.len..self.len + text.len()) {
                place.copy_from_slice(&text);
                self.len += usize::from(len);
            }
        }
        // The last dot.
        self.len -= 1;
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_usual() {
        for address in [
            "0.0.0.0",
            "1.20.100.9",
            "255.255.255.255",
            "10.99.199.200",
            "::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "::ffff:255.255.255.255",
        ] {
            let text = AddressText::of(address.parse().expect("an address"));
            assert_eq!(text.as_bytes(), address.as_bytes());
        }
    }
}
