//! Who is at the other end of a connection, and whose word is taken about that.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Who is at the other end of a connection.
///
/// ```
/// use squall_http::wire::Peer;
///
/// let peer = Peer::from(std::net::SocketAddr::from(([192, 0, 2, 7], 4711)));
/// assert_eq!(peer.to_string(), "192.0.2.7:4711");
/// assert_eq!(Peer::Unix.ip(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An address and a port. The port is 0 where only the address is known.
    Ip(SocketAddr),
    /// A process on this machine, over a Unix socket. It has no address.
    Unix,
}

impl Peer {
    /// Its address; an IPv4 one as such also if it came as `::ffff:192.0.2.7`.
    #[doc(alias = "remote_ip")]
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr()
            .map(|address| address.ip().to_canonical())
    }

    /// Its address and port as the system gave them.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// An address whose port is not known.
impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::Ip((address, 0).into())
    }
}

/// `192.0.2.7:4711`, `192.0.2.7` where the port is not known, or `unix`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) if address.port() == 0 => address.ip().fmt(f),
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Peers whose word is taken: addresses, networks, and Unix sockets. None by default.
///
/// ```
/// use squall_http::wire::TrustedPeers;
///
/// let proxies = TrustedPeers::new(["10.0.0.0/8", "::1", "unix"])?;
/// assert!(proxies.contains_ip("10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contains_ip("11.1.2.3".parse().unwrap()));
/// # Ok::<(), squall_http::wire::InvalidNetwork>(())
/// ```
#[doc(alias = "trusted_downstream")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedPeers {
    networks: Vec<Network>,
    unix: bool,
}

impl TrustedPeers {
    /// Each entry is an address (`::1`), a network (`10.0.0.0/8`), or `unix` for
    /// whoever connects over a Unix socket.
    ///
    /// # Errors
    /// [`InvalidNetwork`] names the entry that is none of these.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        let mut trusted = Self::default();
        for entry in entries {
            match entry.trim() {
                "unix" => trusted.unix = true,
                network => trusted.networks.push(network.parse()?),
            }
        }
        Ok(trusted)
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        !self.unix && self.networks.is_empty()
    }

    /// Whether the peer is one of them.
    pub fn contains(&self, peer: Peer) -> bool {
        peer.ip().map_or(self.unix, |ip| self.contains_ip(ip))
    }

    /// Whether the address is one of theirs.
    pub fn contains_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|network| network.contains(ip))
    }
}

/// An address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(ours), IpAddr::V4(ip)) => {
                let other = u32::from(ours) ^ u32::from(ip);
                other.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(ours), IpAddr::V6(ip)) => {
                let other = u128::from(ours) ^ u128::from(ip);
                other.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(invalid)?,
            Some(_) => return Err(invalid()),
        };
        // An address that came over IPv6 as `::ffff:…` is compared as IPv4.
        if let (IpAddr::V4(mapped), 96..) = (address.to_canonical(), bits)
            && address.is_ipv6()
        {
            return Ok(Self {
                address: mapped.into(),
                bits: bits - 96,
            });
        }
        Ok(Self { address, bits })
    }
}

/// What should be an address or a network, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidNetwork(String);

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "{text:?} is neither an address (::1), nor a network (10.0.0.0/8), nor \"unix\""
        )
    }
}

impl std::error::Error for InvalidNetwork {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_they_say() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "fe80::1", "10.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
        ] {
            let trusted = TrustedPeers::new([network]).expect(network);
            assert!(trusted.contains_ip(inside.parse().unwrap()), "{network}");
            assert!(!trusted.contains_ip(outside.parse().unwrap()), "{network}");
            assert!(!trusted.contains(Peer::Unix) && !trusted.is_empty());
        }
        let unix = TrustedPeers::new(["unix"]).expect("a kind of peer");
        assert!(unix.contains(Peer::Unix) && !unix.contains_ip(IpAddr::from([127, 0, 0, 1])));
        assert!(!TrustedPeers::default().contains(Peer::Unix));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "10.0.0.1:80",
            "*",
        ] {
            let error = TrustedPeers::new(["::1", text]).expect_err(text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
