//! A new connection: name, address, handshake, each with its mark.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::ServerName;
use squall_http::Stream;
use squall_http::client::Connection;
use squall_http::tls;
use squall_loop::net::{TcpStream, resolve};
use squall_loop::{Sleep, sleep};
use url::Url;

use super::async_http_client::Shared;
use super::error::{Cause, Phase};
use super::fetch::Trace;
use squall_http::tls::ClientTls;

/// How long one address may keep the next one waiting (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

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
    url: &Url,
    trust: &ClientTls,
    trace: &mut Trace,
) -> Result<Connection, Cause> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let config = match url.scheme() {
        "https" => Some(shared.tls_config(trust).map_err(Cause::Config)?),
        _ => None,
    };
    trace.enter(Phase::Dns);
    let addresses = resolve(host, port).await.map_err(Cause::Io)?;
    trace.marks.resolved();
    trace.enter(Phase::Connect);
    let tcp = connect_any(&addresses).await.map_err(Cause::Io)?;
    trace.marks.connected();
    let Some(config) = config else {
        return Ok(Connection::new(tcp.into()));
    };
    trace.enter(Phase::Tls);
    if !trust.validate_cert {
        shared.warn_unchecked(host);
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| Cause::Invalid(format!("{host} is no name that a certificate can have")))?;
    let stream = Stream::connect_tls(tcp, config, name).await;
    let stream = stream.map_err(|source| {
        let words = tls::explain(&source).unwrap_or_else(|| source.to_string());
        Cause::Tls(TlsFailure { words, source })
    })?;
    trace.marks.secured();
    Ok(Connection::new(stream))
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Tries the addresses in order; a slow one does not keep the next one waiting for long.
async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(*only)
            .await
            .map_err(|error| at(*only, &error));
    }
    let mut rest = addresses.iter().copied();
    let mut running: Vec<Attempt> = Vec::new();
    let mut next: Option<Pin<Box<Sleep>>> = None;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    poll_fn(|cx| {
        loop {
            let mut failed = false;
            let mut index = 0;
            while let Some(attempt) = running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(tcp)) => return Poll::Ready(Ok(tcp)),
                    Poll::Ready(Err(error)) => {
                        drop(running.swap_remove(index));
                        last = error;
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
                Some(address) => {
                    running.push(Box::pin(async move {
                        let connected = TcpStream::connect(address).await;
                        connected.map_err(|error| at(address, &error))
                    }));
                    next = Some(Box::pin(sleep(ATTEMPT_DELAY)));
                }
                None if running.is_empty() => {
                    let none = io::Error::from(io::ErrorKind::NotFound);
                    return Poll::Ready(Err(std::mem::replace(&mut last, none)));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// Says which address it was.
fn at(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}
