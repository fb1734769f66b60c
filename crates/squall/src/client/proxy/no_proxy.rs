//! Hosts that are asked without a proxy.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// The entries of a `no_proxy` list.
#[derive(Clone, Default)]
pub(super) struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone)]
enum Hosts {
    All,
    /// A name and what is below it, as it stands in an address.
    Name(String),
    Network(IpAddr, u32),
    /// The machine itself.
    Loopback,
}

impl NoProxy {
    /// Reads a list; what is no entry is left out.
    pub(super) fn parse(list: &str) -> Self {
        let entries = list
            .split([',', ' ', '\t'])
            .filter(|entry| !entry.is_empty());
        Self {
            entries: entries.filter_map(Entry::parse).collect(),
        }
    }

    pub(super) fn with_loopback(mut self) -> Self {
        self.entries.push(Entry {
            hosts: Hosts::Loopback,
            port: None,
        });
        self
    }

    /// Whether the list names the host of an address.
    pub(super) fn names(&self, url: &Url) -> bool {
        let (Some(host), port) = (url.host(), url.port_or_known_default()) else {
            return false;
        };
        (self.entries.iter()).any(|entry| {
            entry.port.is_none_or(|own| Some(own) == port) && entry.hosts.contain(&host)
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self {
                hosts: Hosts::All,
                port: None,
            });
        }
        if let Some(network) = network(text) {
            return Some(Self {
                hosts: network,
                port: None,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let hosts = network(host).or_else(|| {
            let name = host.trim_start_matches("*.").trim_matches('.');
            // As an address has it: in small letters, and in ASCII.
            let known =
                Host::parse(name).map_or_else(|_| name.to_lowercase(), |host| host.to_string());
            (!name.is_empty()).then_some(Hosts::Name(known))
        });
        Some(Self {
            hosts: hosts?,
            port,
        })
    }
}

/// `ADDRESS` or `ADDRESS/BITS`, an IPv6 address with brackets or without.
fn network(text: &str) -> Option<Hosts> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    // A zone says through which interface, not which host.
    let bare = bare.split('%').next().unwrap_or_default();
    let address: IpAddr = bare.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    match address.to_canonical() {
        // `::ffff:…`: hosts are compared as IPv4, too.
        IpAddr::V4(mapped) if address.is_ipv6() && (96..=width).contains(&bits) => {
            Some(Hosts::Network(mapped.into(), bits - 96))
        }
        _ => (bits <= width).then_some(Hosts::Network(address, bits)),
    }
}

impl Hosts {
    fn contain(&self, host: &Host<&str>) -> bool {
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(v4) => Some(IpAddr::V4(*v4)),
            Host::Ipv6(v6) => Some(IpAddr::V6(*v6)),
        };
        match (self, host, address) {
            (Self::All, ..) => true,
            (Self::Loopback, Host::Domain(name), _) => is_below(name, "localhost"),
            (Self::Loopback, _, Some(address)) => address.to_canonical().is_loopback(),
            (Self::Name(known), Host::Domain(name), _) => is_below(name, known),
            (Self::Network(network, bits), _, Some(address)) => shares(*network, address, *bits),
            _ => false,
        }
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let Some(start) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let end = name.get(start..).unwrap_or_default();
    end.eq_ignore_ascii_case(domain)
        && (start == 0 || name.as_bytes().get(start - 1) == Some(&b'.'))
}

/// Whether the first bits of two addresses are the same.
fn shares(network: IpAddr, address: IpAddr, bits: u32) -> bool {
    let (one, other, width) = match (network, address.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u128::from(one.to_bits()), u128::from(other.to_bits()), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    (one ^ other).checked_shr(width - bits).unwrap_or(0) == 0
}

impl fmt::Debug for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.entries.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_they_are_written() {
        for (list, url, expected) in [
            ("", "http://a.test/", false),
            ("*", "http://a.test/", true),
            ("a.test", "http://a.test/", true),
            ("a.test", "http://A.test./", true),
            (".a.test", "http://x.a.test/", true),
            ("*.a.test", "http://x.a.test/", true),
            ("a.test", "http://evila.test/", false),
            ("a.test:8080", "http://a.test:8080/", true),
            ("a.test:8080", "http://a.test/", false),
            ("b.test, a.test", "https://a.test/", true),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("0.0.0.0/0", "http://11.1.2.3/", true),
            ("10.0.0.0/8", "http://[::ffff:10.0.0.1]/", true),
            ("::ffff:10.0.0.0/104", "http://10.1.2.3/", true),
            ("::ffff:10.0.0.0/104", "http://11.1.2.3/", false),
            ("::ffff:10.0.0.1", "http://[::ffff:10.0.0.1]/", true),
            ("::ffff:10.0.0.1/129", "http://10.0.0.1/", false),
            ("müller.test", "http://www.Müller.test/", true),
            ("MÜLLER.test:80", "http://xn--mller-kva.test/", true),
            ("127.0.0.1", "http://127.0.0.1:5000/", true),
            ("127.0.0.1:80", "http://127.0.0.1:5000/", false),
            ("::1", "http://[::1]/", true),
            ("[::1]:80", "http://[::1]/", true),
            ("fe80::1%eth0", "http://[fe80::1]/", true),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("10.0.0.0/99", "http://10.0.0.1/", false),
            ("0", "http://a.test/", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(NoProxy::parse(list).names(&url), expected, "{list} {url}");
        }
    }
}
