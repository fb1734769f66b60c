//! `Listener`: a listening socket, and what its connections begin with.

use std::io;
use std::net::SocketAddr;

use squall_loop::net::TcpListener;
#[cfg(unix)]
use squall_loop::net::UnixListener;

use crate::socket::Socket;
use crate::tls::Tls;
use crate::wire::Peer;

/// A listening socket of a server, of TCP or of the Unix kind, with or without TLS.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    pub(super) tls: Option<Tls>,
    pub(super) tag: u32,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            tls: None,
            tag: 0,
        }
    }

    /// With TLS on every connection.
    pub fn tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// With a number by which a service tells it from others
    /// ([`Exchange::listener`](super::Exchange::listener)); default 0.
    pub fn tag(mut self, tag: u32) -> Self {
        self.tag = tag;
        self
    }

    /// Where it listens; a Unix socket has no address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    /// Waits for a connection.
    ///
    /// # Cancel safety
    /// No connection is lost.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                Ok((socket.into(), peer.into()))
            }
            #[cfg(unix)]
            Kind::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                Ok((socket.into(), Peer::Unix))
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::new(Kind::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::new(Kind::Unix(listener))
    }
}
