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

use super::options::Options;
use crate::Request;
use crate::settings::ForwardedBy;

/// What a trusted proxy says about the client in fields of this beginning.
const X_FORWARDED: &[u8] = b"x-forwarded-";

/// As text.
const LONGEST_ADDRESS: usize = 48;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is between the two ends.
    EndToEnd,
    /// It belongs to one hop, or is generated for each.
    Hop,
    /// Every proxy adds to it.
    Via,
    /// We say it ourselves.
    Ours,
    /// A proxy says it, in the words of this family.
    Said(ForwardedBy),
    /// Its name has an underscore.
    Underscore,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            2 if is(b"te") => Self::Hop,
            3 if is(b"via") => Self::Via,
            4 if is(b"host") => Self::Hop,
            6 if is(b"expect") => Self::Hop,
            7 if is(b"upgrade") || is(b"trailer") => Self::Hop,
            9 if is(b"forwarded") => Self::Said(ForwardedBy::Forwarded),
            9 if is(b"x-real-ip") => Self::Said(ForwardedBy::XForwarded),
            10 if is(b"connection") || is(b"keep-alive") => Self::Hop,
            14 if is(b"content-length") => Self::Hop,
            15 if is(b"x-forwarded-for") => Self::Ours,
            16 if is(b"x-forwarded-host") => Self::Ours,
            16 if is(b"proxy-connection") => Self::Hop,
            17 if is(b"x-forwarded-proto") => Self::Ours,
            17 if is(b"transfer-encoding") => Self::Hop,
            18 if is(b"proxy-authenticate") => Self::Hop,
            19 if is(b"proxy-authorization") => Self::Hop,
            len if len >= X_FORWARDED.len() && begins_with(name, X_FORWARDED) => {
                Self::Said(ForwardedBy::XForwarded)
            }
            _ if name.contains(&b'_') => Self::Underscore,
            _ => Self::EndToEnd,
        }
    }
}

fn begins_with(name: &[u8], start: &[u8]) -> bool {
    (name.get(..start.len())).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// What is told to the upstream of a request, found out before its fields are touched.
pub(super) struct Said {
    /// Whose fields are believed, if the peer is a trusted proxy.
    trusts: Option<ForwardedBy>,
    peer: Option<IpAddr>,
    /// Who the client is, where a trusted proxy has told it.
    client: Option<IpAddr>,
    https: bool,
    pub(super) host: String,
    version: Version,
}

impl Said {
    pub(super) fn of(request: &Request) -> Self {
        let settings = request.settings();
        let peer = request.exchange().remote_addr();
        let trusts = (settings.trusted_proxies.contains(peer)).then_some(settings.forwarded_by);
        Self {
            trusts,
            peer: peer.ip(),
            client: trusts.and_then(|_| request.remote_addr().ip()),
            https: request.is_https(),
            host: request.host().unwrap_or_default().to_owned(),
            version: request.version(),
        }
    }

    /// Takes off what may not go along, and adds what we say.
    pub(super) fn sanitise(&self, fields: &mut Headers, forward: &Options) {
        let nominating = (!is_plain(fields)).then(|| fields.clone());
        let chain = |by, name: &str| {
            let trusted = self.trusts == Some(by) && !is_nominated(&nominating, name.as_bytes());
            trusted.then(|| join(fields, name)).flatten()
        };
        let x_chain = chain(ForwardedBy::XForwarded, "x-forwarded-for");
        let chain = chain(ForwardedBy::Forwarded, "forwarded");
        let via = join(fields, "via");
        let takes_trailers = fields.has_token("te", "trailers");
        fields.retain(|name, _| {
            let kept = match Kind::of(name) {
                Kind::EndToEnd => true,
                Kind::Hop | Kind::Via | Kind::Ours => false,
                Kind::Said(ForwardedBy::Forwarded) if forward.forwarded => false,
                Kind::Said(by) => self.trusts == Some(by),
                Kind::Underscore => forward.underscores && !is_alias(name),
            };
            kept && !is_nominated(&nominating, name)
        });
        if takes_trailers && self.version == Version::Http11 {
            add(fields, "TE", "trailers");
        }
        self.say(fields, x_chain);
        if forward.forwarded {
            add(fields, "Forwarded", self.elements(chain));
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
        add(fields, "X-Forwarded-For", words);
        if !self.host.is_empty() {
            add(fields, "X-Forwarded-Host", &self.host);
        }
        add(fields, "X-Forwarded-Proto", self.proto());
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
            append(&mut words, format_args!(";host=\"{}\"", self.host));
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
    fields.retain(|name, value| {
        Kind::of(name) != Kind::Hop || (name.len() == 2 && value == b"trailers")
    });
}

/// Takes off what of the upstream's answer does not go to the client, and adds our `Via`.
pub(super) fn to_client(fields: &mut Headers, head_only: bool) {
    let nominating = (!is_plain(fields)).then(|| fields.clone());
    let via = join(fields, "via");
    fields.retain(|name, _| match Kind::of(name) {
        // The length of what a GET would answer is all that says it here.
        Kind::Hop => head_only && name.eq_ignore_ascii_case(b"content-length"),
        Kind::Via => false,
        _ => !name.eq_ignore_ascii_case(b"alt-svc") && !is_nominated(&nominating, name),
    });
    add_via(fields, via, Version::Http11);
}

/// Whether `Connection`, if there is one, is one of the words that name no other field.
fn is_plain(fields: &Headers) -> bool {
    fields.get_all("connection").all(|value| {
        value.eq_ignore_ascii_case(b"close") || value.eq_ignore_ascii_case(b"keep-alive")
    })
}

/// Whether `Connection` names the field as one of this hop's.
fn is_nominated(nominating: &Option<Headers>, name: &[u8]) -> bool {
    (nominating.as_ref()).is_some_and(|fields| {
        let mut tokens = fields.tokens("connection");
        tokens.any(|token| token.as_bytes().eq_ignore_ascii_case(name))
    })
}

/// Whether a name with underscores means one of the fields that are not the client's.
fn is_alias(name: &[u8]) -> bool {
    let dash = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    Kind::of(&name.iter().map(dash).collect::<Vec<_>>()) != Kind::EndToEnd
}

/// Adds who relayed the message before, and us.
fn add_via(fields: &mut Headers, before: Option<Vec<u8>>, version: Version) {
    let us = match version {
        Version::Http10 => "1.0 squall",
        Version::Http11 => "1.1 squall",
    };
    match before {
        None => add(fields, "Via", us),
        Some(mut words) => {
            list(&mut words, format_args!("{us}"));
            add(fields, "Via", words);
        }
    }
}

/// All values of a list field as one.
fn join(fields: &Headers, name: &str) -> Option<Vec<u8>> {
    let mut joined: Option<Vec<u8>> = None;
    for value in fields.get_all(name).filter(|value| !value.is_empty()) {
        match &mut joined {
            None => joined = Some(value.to_owned()),
            Some(words) => {
                words.extend_from_slice(b", ");
                words.extend_from_slice(value);
            }
        }
    }
    joined
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
fn add(fields: &mut Headers, name: &str, value: impl AsRef<[u8]>) {
    let _ = fields.append(name, value);
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
