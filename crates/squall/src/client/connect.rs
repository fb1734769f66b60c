//! A new connection: name, address, handshake, each with its mark.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::ServerName;
use squall_http::client::Connection;
use squall_http::{Socket, Stream, tls};
use squall_loop::net::TcpStream;
#[cfg(unix)]
use squall_loop::net::UnixStream;
use squall_loop::time::now;
use squall_loop::{Sleep, sleep, with_timeout};
use url::Host;

use super::address::Address;
use super::async_http_client::Shared;
use super::error::{Cause, Phase, at, is_shortage};
use super::public_only::keep_public;
use super::request::{Waits, unless_zero};
use super::route::Route;
use super::trace::Trace;

/// How long one address may keep the next one waiting (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How long a proxy may try one of a host's addresses while there are others.
const TUNNEL_ATTEMPT: Duration = Duration::from_secs(2);

/// Who makes every connection, whatever the address.
pub(crate) trait Dial: Send + Sync + 'static {
    /// A new connection.
    ///
    /// # Errors
    /// Why there is none.
    fn dial(&self) -> io::Result<Socket>;
}

impl fmt::Debug for dyn Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

/// A handshake that failed, in words.
#[derive(Debug)]
pub(crate) struct TlsFailure {
    words: String,
    pub(crate) source: io::Error,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// Connects to the origin of `url`.
pub(super) async fn dial(
    shared: &Shared,
    waits: &Waits,
    url: &Address,
    route: &Route,
    trace: &mut Trace,
) -> Result<Box<Connection>, Cause> {
    if let Some(dialler) = &shared.defaults.dialler {
        trace.enter(Phase::Connect);
        let socket = dialler.dial().map_err(Cause::Io)?;
        trace.marks.connected();
        return Ok(connection(shared, socket.into()));
    }
    let host = url.url().host_str().unwrap_or_default();
    let config = match url.is_https() {
        true => Some(shared.tls_config(&route.tls).map_err(Cause::Config)?),
        false => None,
    };
    let socket = match &route.unix_socket {
        Some(_) if shared.defaults.public_only => {
            trace.enter(Phase::Dns);
            let what = "a Unix socket is not of the public internet (public_only)";
            return Err(Cause::Invalid(what.to_owned()));
        }
        Some(path) => {
            trace.enter(Phase::Connect);
            unix(path).await.map_err(Cause::Io)?
        }
        None => tcp(shared, waits, url, route, trace).await?,
    };
    trace.marks.connected();
    let Some(config) = config else {
        return Ok(connection(shared, socket.into()));
    };
    trace.enter(Phase::Tls);
    if !route.tls.validate_cert {
        shared.warn_unchecked(host);
    }
    let host = route.server_name.as_deref().unwrap_or(host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| Cause::Invalid(format!("{host} is no name that a certificate can have")))?;
    // On the heap, for it is as large as all the rest, and plain connections do without.
    let shaken = Box::pin(async {
        let stream = Stream::connect_tls(socket, config, name).await;
        stream.map_err(|source| {
            let words = tls::explain(&source).unwrap_or_else(|| source.to_string());
            Cause::Tls(TlsFailure { words, source })
        })
    });
    let stream = unless_zero(waits.tls, "tls_timeout", shaken).await?;
    trace.marks.secured();
    Ok(connection(shared, stream))
}

fn connection(shared: &Shared, stream: Stream) -> Box<Connection> {
    let born = now();
    Connection::new(stream, born, shared.pool.retires(born))
}

/// The addresses of the host of `url` that may be connected to.
pub(super) async fn addresses(
    shared: &Shared,
    waits: &Waits,
    url: &Address,
    trace: &mut Trace,
) -> Result<Vec<SocketAddr>, Cause> {
    let host = url.url().host_str().unwrap_or_default();
    let port = url.url().port_or_known_default().unwrap_or(80);
    let mut addresses = look_up(shared, waits, host, port, trace).await?;
    if shared.defaults.public_only {
        keep_public(&mut addresses).map_err(|inside| {
            Cause::Invalid(format!(
                "{inside} is not of the public internet (public_only)"
            ))
        })?;
    }
    Ok(addresses)
}

async fn look_up(
    shared: &Shared,
    waits: &Waits,
    host: &str,
    port: u16,
    trace: &mut Trace,
) -> Result<Vec<SocketAddr>, Cause> {
    trace.enter(Phase::Dns);
    let names = &shared.defaults.names;
    let found = async { names.look_up(host, port).await.map_err(Cause::Io) };
    unless_zero(waits.dns, "dns_timeout", found).await
}

/// Connects to one of the host's addresses, or to it through a proxy.
async fn tcp(
    shared: &Shared,
    waits: &Waits,
    url: &Address,
    route: &Route,
    trace: &mut Trace,
) -> Result<Socket, Cause> {
    let Some(via) = &route.via else {
        let addresses = addresses(shared, waits, url, trace).await?;
        return Ok(connect(shared, addresses, route, trace).await?.into());
    };
    if via.relays(url) {
        // Its connections are for all hosts: each request has had its host looked at.
        let addresses = look_up(shared, waits, &via.host, via.port, trace).await?;
        return Ok(connect(shared, addresses, route, trace).await?.into());
    }
    let mut hosts: Vec<Host<&str>> = url.url().host().into_iter().collect();
    if shared.defaults.public_only || !via.resolves() {
        let mut addresses = addresses(shared, waits, url, trace).await?;
        if !via.resolves() {
            alternate(&mut addresses);
            hosts = addresses.iter().map(|it| host_at(it.ip())).collect();
        }
    }
    let proxies = look_up(shared, waits, &via.host, via.port, trace).await?;
    let port = url.url().port_or_known_default().unwrap_or(80);
    let mut hosts = hosts.into_iter().peekable();
    while let Some(host) = hosts.next() {
        let tcp = connect(shared, proxies.clone(), route, trace).await?;
        trace.enter(Phase::Proxy);
        let tunnel = Box::pin(via.tunnel(&tcp, host, port));
        let opened = match hosts.peek() {
            Some(_) => with_timeout(TUNNEL_ATTEMPT, tunnel).await,
            None => Ok(tunnel.await),
        };
        match opened {
            Ok(Ok(())) => return Ok(tcp.into()),
            Ok(Err(failure)) if hosts.peek().is_none() || !failure.is_of_the_address() => {
                return Err(Cause::Proxy(failure));
            }
            // It may reach another one of the host's addresses.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(Cause::Invalid("the address has no host".to_owned()))
}

fn host_at<'a>(address: IpAddr) -> Host<&'a str> {
    match address {
        IpAddr::V4(v4) => Host::Ipv4(v4),
        IpAddr::V6(v6) => Host::Ipv6(v6),
    }
}

/// Connects to one of the addresses.
async fn connect(
    shared: &Shared,
    mut addresses: Vec<SocketAddr>,
    route: &Route,
    trace: &mut Trace,
) -> Result<TcpStream, Cause> {
    if let Some(source) = route.source {
        addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
        if addresses.is_empty() {
            let why = format!(
                "{source} reaches none of the addresses: they are of the other family (source_address)"
            );
            return Err(Cause::Invalid(why));
        }
    }
    trace.marks.resolved();
    trace.enter(Phase::Connect);
    alternate(&mut addresses);
    shared.unreachable.put_last(&mut addresses);
    let connected = connect_any(&addresses, route.source).await;
    let (tcp, reached) = connected.map_err(Cause::Io)?;
    let before = addresses.get(..reached).unwrap_or_default();
    shared.unreachable.note(before);
    let keepalive = shared.defaults.tcp_keepalive;
    if !keepalive.is_zero() {
        // A system that cannot is no reason not to fetch.
        let _ = tcp.set_keepalive(keepalive);
    }
    Ok(tcp)
}

/// Lets the two families take turns, that of the first address first: one that leads nowhere
/// then costs one wait, however many addresses it has (RFC 8305 section 4).
fn alternate(addresses: &mut Vec<SocketAddr>) {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else {
        return;
    };
    let (same, other): (Vec<_>, Vec<_>) = (addresses.drain(..)).partition(|a| a.is_ipv4() == first);
    let mut other = other.into_iter();
    for address in same {
        addresses.push(address);
        addresses.extend(other.next());
    }
    addresses.extend(other);
}

#[cfg(unix)]
async fn unix(path: &Path) -> io::Result<Socket> {
    Ok(UnixStream::connect(path).await?.into())
}

#[cfg(not(unix))]
async fn unix(_: &Path) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Connects to one address, from that of this machine if one is given.
async fn connect_to(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let connected = match source {
        #[cfg(unix)]
        Some(source) => TcpStream::connect_from(source, address).await,
        _ => TcpStream::connect(address).await,
    };
    connected.map_err(|error| at(address, error))
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Tries the addresses in order; a slow one does not keep the next one waiting for long.
/// Says which one was reached.
async fn connect_any(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
) -> io::Result<(TcpStream, usize)> {
    if let [only] = addresses {
        return Ok((connect_to(*only, source).await?, 0));
    }
    let mut rest = addresses.iter().copied().enumerate();
    let mut running: Vec<(usize, Attempt)> = Vec::new();
    let mut next: Option<Pin<Box<Sleep>>> = None;
    let mut last: Option<io::Error> = None;
    poll_fn(|cx| {
        loop {
            let mut failed = false;
            let mut index = 0;
            while let Some((place, attempt)) = running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(tcp)) => return Poll::Ready(Ok((tcp, *place))),
                    Poll::Ready(Err(error)) => {
                        drop(running.swap_remove(index));
                        // What this machine lacks says nothing of the others' failure.
                        if last.is_none() || !is_shortage(&error) {
                            last = Some(error);
                        }
                        failed = true;
                    }
                    Poll::Pending => index += 1,
                }
            }
            let due = failed
                || next
                    .as_mut()
                    .is_none_or(|sleep| pin!(sleep).poll(cx).is_ready());
            if !due {
                return Poll::Pending;
            }
            match rest.next() {
                Some((place, address)) => {
                    running.push((place, Box::pin(connect_to(address, source))));
                    next = Some(Box::pin(sleep(ATTEMPT_DELAY)));
                }
                None if running.is_empty() => {
                    let none =
                        || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                    return Poll::Ready(Err(last.take().unwrap_or_else(none)));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}
