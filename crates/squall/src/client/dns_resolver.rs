//! `DnsResolver`: addresses from DNS itself, without the system's resolver.
//!
//! The system's blocks a thread of the executor for each name and says nothing about how
//! long an answer may be believed. This one asks over the loop's sockets, and believes
//! answers for as long as their records say.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::resolver::{Resolver, Resolving};

/// Asks DNS servers, over UDP and TCP; for [`ClientBuilder::resolver`]. Feature `hickory`.
///
/// Cloning gives another handle to the same memory.
///
/// ```no_run
/// use squall::client::{AsyncHttpClient, DnsResolver};
///
/// let client = AsyncHttpClient::builder().resolver(DnsResolver::from_system()?).build();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`ClientBuilder::resolver`]: super::ClientBuilder::resolver
#[derive(Clone)]
pub struct DnsResolver {
    resolver: Arc<TokioResolver>,
}

impl DnsResolver {
    /// Asks the servers of the system's configuration, such as `/etc/resolv.conf`; names in
    /// `/etc/hosts` are found there.
    ///
    /// # Errors
    /// When there is no configuration, or it cannot be read.
    pub fn from_system() -> io::Result<Self> {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        resolver.map(Self::of).map_err(io::Error::other)
    }

    /// Asks these servers; the first ones that answer are asked again.
    ///
    /// # Errors
    /// When there is none.
    pub fn with_servers(servers: impl IntoIterator<Item = SocketAddr>) -> io::Result<Self> {
        let server = |address: SocketAddr| {
            let at = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
            NameServerConfig::new(address.ip(), true, connections)
        };
        let servers: Vec<_> = servers.into_iter().map(server).collect();
        if servers.is_empty() {
            let why = "a resolver needs a server to ask";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let provider = TokioRuntimeProvider::default();
        let resolver = TokioResolver::builder_with_config(config, provider).build();
        resolver.map(Self::of).map_err(io::Error::other)
    }

    fn of(resolver: TokioResolver) -> Self {
        Self {
            resolver: Arc::new(resolver),
        }
    }
}

impl std::fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsResolver").finish_non_exhaustive()
    }
}

impl Resolver for DnsResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let found = self.resolver.lookup_ip(host).await;
            let found = found.map_err(|error| {
                let kind = match error.is_no_records_found() {
                    true => io::ErrorKind::NotFound,
                    false => io::ErrorKind::Other,
                };
                io::Error::new(kind, format!("{host}: {error}"))
            })?;
            Ok(found.iter().collect::<Vec<IpAddr>>())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread;

    use squall_loop::IoLoop;

    use super::*;

    const V4: [u8; 4] = [192, 0, 2, 7];
    const V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

    /// Answers `count` questions: `known.test` has two addresses, and no other name is.
    fn server(count: usize) -> (SocketAddr, thread::JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        let answers = thread::spawn(move || {
            for _ in 0..count {
                let mut packet = [0; 512];
                let (_, from) = socket.recv_from(&mut packet).expect("a question");
                // The name, its end, type and class; what comes after it is left out.
                let name = packet[12..]
                    .iter()
                    .position(|byte| *byte == 0)
                    .expect("an end");
                let kind = packet[12 + name + 2];
                let mut answer = packet[..12 + name + 5].to_vec();
                let known = answer[12..].starts_with(b"\x05known\x04test\0");
                let code = if known { 0x80 } else { 0x83 };
                answer[2..12].copy_from_slice(&[0x81, code, 0, 1, 0, known.into(), 0, 0, 0, 0]);
                if known {
                    let data = if kind == 1 { &V4[..] } else { &V6[..] };
                    let length = u8::try_from(data.len()).expect("a length");
                    answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, length]);
                    answer.extend(data);
                }
                socket.send_to(&answer, from).expect("sent");
            }
        });
        (address, answers)
    }

    #[test]
    fn a_server_is_asked_once_while_its_answer_holds() {
        // Both families, once each.
        let (address, answers) = server(2);
        let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
        let found = io_loop.run(async move {
            let resolver = DnsResolver::with_servers([address]).expect("a resolver");
            let first = resolver.resolve("known.test").await.expect("an address");
            let again = resolver.resolve("known.test").await.expect("an address");
            assert_eq!(first, again);
            first
        });
        let mut found = found.expect("no panic");
        found.sort();
        assert_eq!(found, [IpAddr::from(V4), IpAddr::from(V6)]);
        answers.join().expect("no panic");
        io_loop.stop();
    }

    #[test]
    fn a_name_that_is_none_is_not_found() {
        let (address, _answers) = server(usize::MAX);
        let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
        let error = io_loop.run(async move {
            let resolver = DnsResolver::with_servers([address]).expect("a resolver");
            resolver
                .resolve("unknown.test")
                .await
                .expect_err("no address")
        });
        assert_eq!(error.expect("no panic").kind(), io::ErrorKind::NotFound);
        assert!(DnsResolver::with_servers([]).is_err());
        io_loop.stop();
    }
}
