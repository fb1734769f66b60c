//! Who the client is, in the words of the proxies before us.
//!
//! Each proxy appends the address that *it* was connected from, so a list is read from
//! its end: an entry counts as long as whoever has written it is trusted, and the first
//! address that is not a trusted proxy's is the client. What stands before it was sent by
//! the client, and says what the client likes. What cannot be read ends the reading.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::headers::Headers;
use super::params::{self, RawValue};
use super::peer::{Peer, TrustedPeers};
use super::target;

/// In which fields trusted proxies say whose request they pass on.
///
/// The other fields are not looked at: a proxy that does not know them passes them on as
/// the client has sent them. So does a forward with the other `X-Forwarded-*` of a trusted
/// proxy, such as `-Port` and `-Prefix`: it is for that proxy to set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`. Of the latter two
    /// the last value counts: what the nearest proxy has said.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What trusted proxies have said of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a> {
    /// The client, as far as it is known; the peer itself when that is no trusted proxy.
    pub client: Peer,
    /// Whether the client uses `https`.
    pub https: Option<bool>,
    /// The host, with its port if it has one, that the client has asked for.
    pub host: Option<&'a str>,
}

/// What the fields say of a request that has come from `peer`.
pub fn told<'a>(
    headers: &'a Headers,
    peer: Peer,
    trusted: &TrustedPeers,
    by: ForwardedBy,
) -> Told<'a> {
    let mut told = Told {
        client: peer,
        https: None,
        host: None,
    };
    if !trusted.contains(peer) {
        return told;
    }
    match by {
        ForwardedBy::XForwarded => {
            let chain = field_lines(headers, "x-forwarded-for");
            for entry in chain.iter().rev().flat_map(|line| line.rsplit(',')) {
                let Some(address) = node(entry) else { break };
                told.client = address.into();
                if !trusted.contains_ip(address.ip()) {
                    break;
                }
            }
            told.https = last(headers, "x-forwarded-proto").and_then(is_https);
            told.host = last(headers, "x-forwarded-host").filter(|host| is_host(host));
        }
        ForwardedBy::Forwarded => {
            let chain = field_lines(headers, "forwarded");
            let elements = chain.iter().rev().flat_map(|line| elements(line).rev());
            for element in elements {
                let Some(element) = element.and_then(Element::parse) else {
                    break;
                };
                told.https = element.proto.and_then(is_https);
                told.host = element.host.filter(|host| is_host(host));
                let Some(address) = element.node.and_then(node) else {
                    break;
                };
                told.client = address.into();
                if !trusted.contains_ip(address.ip()) {
                    break;
                }
            }
        }
    }
    told
}

/// The values of a field; one that is not text is kept as one that cannot be read.
fn field_lines<'a>(headers: &'a Headers, name: &str) -> Vec<&'a str> {
    (headers.get_all(name))
        .map(|value| std::str::from_utf8(value).unwrap_or_default())
        .collect()
}

/// The last value of a list, which the nearest proxy has written.
fn last<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let lines = field_lines(headers, name);
    let value = lines.last()?.rsplit(',').next()?;
    Some(value.trim_matches([' ', '\t']))
}

fn is_https(proto: &str) -> Option<bool> {
    match proto {
        proto if proto.eq_ignore_ascii_case("https") => Some(true),
        proto if proto.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && target::is_authority(host.as_bytes())
}

/// An address with or without a port: `192.0.2.7`, `192.0.2.7:80`, `::1`, `[::1]`,
/// `[::1]:80`. Without one, and with one that is hidden (RFC 7239 section 6), it is 0.
fn node(text: &str) -> Option<SocketAddr> {
    let text = text.trim_matches([' ', '\t']);
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip, 0).into());
    }
    let (ip, port): (IpAddr, &str) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            (ip.parse::<Ipv6Addr>().ok()?.into(), port)
        }
        None => {
            let (ip, _) = text.split_once(':')?;
            (ip.parse().ok()?, text.get(ip.len()..)?)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => 0,
        None => return None,
        Some(hidden) if hidden.starts_with('_') => 0,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
    };
    Some((ip, port).into())
}

/// Whether elements can be added behind a line of `Forwarded`: behind a quote that is not
/// closed they would be a part of it.
pub fn can_be_extended(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| elements(line).all(|element| element.is_some()))
}

/// The elements of a `Forwarded` line. One with a quote that is not closed, and what is
/// before it, cannot be told apart from others: `None` for all of it.
fn elements(line: &str) -> std::vec::IntoIter<Option<&str>> {
    let mut elements = Vec::new();
    let (mut from, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                elements.push(line.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return vec![None].into_iter();
    }
    elements.push(line.get(from..));
    elements.into_iter()
}

/// One proxy's word.
#[derive(Default)]
struct Element<'a> {
    node: Option<&'a str>,
    proto: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> Element<'a> {
    /// `None` when it is malformed or says something twice.
    fn parse(text: &'a str) -> Option<Self> {
        let mut element = Self::default();
        for parameter in params::all(text) {
            let (name, value) = parameter.ok()?;
            let value = match value {
                RawValue::Plain(value) | RawValue::Quoted(value) => value,
            };
            // None of what is looked at here needs an escape.
            let value = (!value.contains('\\')).then_some(value)?;
            let slot = match name {
                name if name.eq_ignore_ascii_case("for") => &mut element.node,
                name if name.eq_ignore_ascii_case("proto") => &mut element.proto,
                name if name.eq_ignore_ascii_case("host") => &mut element.host,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        Some(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1:999";

    fn trusted() -> TrustedPeers {
        TrustedPeers::new(["10.0.0.0/8", "fd00::/8", "unix"]).unwrap()
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name, value).unwrap();
        }
        headers
    }

    /// What is told of a request of this peer: client, https, host.
    fn seen(by: ForwardedBy, peer: &str, fields: &[(&str, &str)]) -> String {
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Ip(address.parse().unwrap()),
        };
        let headers = headers(fields);
        let told = told(&headers, peer, &trusted(), by);
        let https = told
            .https
            .map_or("-", |https| if https { "https" } else { "http" });
        format!("{} {https} {}", told.client, told.host.unwrap_or("-"))
    }

    fn by_x(chain: &str) -> String {
        let told = seen(
            ForwardedBy::XForwarded,
            PROXY,
            &[("X-Forwarded-For", chain)],
        );
        told.replace(" - -", "")
    }

    fn by_rfc(value: &str) -> String {
        seen(ForwardedBy::Forwarded, PROXY, &[("Forwarded", value)])
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_client() {
        for (chain, client) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:4711", "192.0.2.7:4711"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "[2001:db8::7]:4711"),
            ("192.0.2.7, 10.0.0.2", "192.0.2.7"),
            ("192.0.2.7,10.0.0.2,\t10.0.0.3", "192.0.2.7"),
            ("192.0.2.7, ::ffff:10.0.0.2", "192.0.2.7"),
            // Sent by the client: it may say what it likes.
            ("1.1.1.1, 192.0.2.7", "192.0.2.7"),
            ("1.1.1.1, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
            ("10.0.0.9, 192.0.2.7", "192.0.2.7"),
            ("<script>, 192.0.2.7", "192.0.2.7"),
            // Clients inside of the trusted network.
            ("10.0.0.9", "10.0.0.9"),
            ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ] {
            assert_eq!(by_x(chain), client, "{chain}");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_reading() {
        for chain in [
            "",
            "unknown",
            "_hidden",
            "192.0.2.7.8",
            "192.0.2.7 ,",
            "1.1.1.1, unknown",
            "1.1.1.1, 192.0.2.7:x",
            "1.1.1.1, [::1",
            "1.1.1.1, ::1]:80",
            "1.1.1.1, a.test",
            "1.1.1.1, 192.0.2.7:99999",
            "1.1.1.1, 0x7f.1",
            "192.0.2.7;10.0.0.2",
        ] {
            assert_eq!(by_x(chain), PROXY, "{chain}");
        }
        assert_eq!(by_x("1.1.1.1, unknown, 10.0.0.2"), "10.0.0.2");
    }

    #[test]
    fn nobody_else_is_believed() {
        let fields = [
            ("X-Forwarded-For", "1.1.1.1"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.test"),
            ("Forwarded", "for=1.1.1.1;proto=https;host=evil.test"),
        ];
        for by in [ForwardedBy::XForwarded, ForwardedBy::Forwarded] {
            assert_eq!(seen(by, "192.0.2.7:1", &fields), "192.0.2.7:1 - -");
        }
        // A proxy that writes the one passes on the other as the client sent it.
        let told = seen(ForwardedBy::XForwarded, PROXY, &fields[3..]);
        assert_eq!(told, format!("{PROXY} - -"));
        let told = seen(ForwardedBy::Forwarded, PROXY, &fields[..3]);
        assert_eq!(told, format!("{PROXY} - -"));
    }

    #[test]
    fn scheme_and_host_are_the_nearest_proxys() {
        for (peer, client) in [(PROXY, "192.0.2.7"), ("unix", "192.0.2.7")] {
            let told = seen(
                ForwardedBy::XForwarded,
                peer,
                &[
                    ("X-Forwarded-For", "1.1.1.1"),
                    ("X-Forwarded-For", "192.0.2.7, 10.0.0.2"),
                    ("X-Forwarded-Proto", "http"),
                    ("X-Forwarded-Proto", "http, HTTPS"),
                    ("X-Forwarded-Host", "evil.test, a.test:8443"),
                ],
            );
            assert_eq!(told, format!("{client} https a.test:8443"));
        }
        let told = seen(
            ForwardedBy::XForwarded,
            PROXY,
            &[
                ("X-Forwarded-Proto", "javascript"),
                ("X-Forwarded-Host", "a.test/.."),
            ],
        );
        assert_eq!(told, format!("{PROXY} - -"));
    }

    #[test]
    fn forwarded() {
        for (value, told) in [
            ("for=192.0.2.7", "192.0.2.7 - -"),
            (
                "For=192.0.2.7;Proto=https;Host=a.test",
                "192.0.2.7 https a.test",
            ),
            ("for=\"[2001:db8::7]:4711\"", "[2001:db8::7]:4711 - -"),
            ("for=\"192.0.2.7:_port\";by=_us", "192.0.2.7 - -"),
            (
                "for=192.0.2.7;proto=https;host=\"a.test:1\", for=10.0.0.2;proto=http;host=b.test",
                "192.0.2.7 https a.test:1",
            ),
            ("for=1.1.1.1;proto=https, for=192.0.2.7", "192.0.2.7 - -"),
            (
                "for=1.1.1.1, for=unknown;proto=https",
                "10.0.0.1:999 https -",
            ),
            ("for=1.1.1.1, for=_hidden", "10.0.0.1:999 - -"),
            // What a client sends in front must not swallow what the proxy appends.
            ("for=\"1.1.1.1, for=192.0.2.7", "10.0.0.1:999 - -"),
            ("for=\"1.1.1.1\\\", for=192.0.2.7", "10.0.0.1:999 - -"),
            ("host=\"a,b\", for=192.0.2.7", "192.0.2.7 - -"),
            ("for=1.1.1.1;for=2.2.2.2", "10.0.0.1:999 - -"),
            ("for = 192.0.2.7", "10.0.0.1:999 - -"),
            ("for=192.0.2.7;host=\"a/b\"", "192.0.2.7 - -"),
            ("", "10.0.0.1:999 - -"),
        ] {
            assert_eq!(by_rfc(value), told, "{value}");
        }
    }
}
