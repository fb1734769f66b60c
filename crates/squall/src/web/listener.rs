//! `Listener`: a socket that is bound and not served yet, and what its connections get.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::Path;

use squall_http::server;
use squall_http::tls::Tls;
use squall_loop::net;

use crate::{Error, Result};

/// A listening socket for [`Application::listen_on`](crate::Application::listen_on).
///
/// Whoever needs no more than an address takes
/// [`Application::listen`](crate::Application::listen) and its sisters.
///
/// ```no_run
/// use squall::{Application, Listener, Result};
///
/// fn main() -> Result<()> {
///     let mut application = Application::new().route("/", async || "hello");
///     // The sockets that systemd has bound for us, or else one of our own.
///     let given = Listener::activated()?;
///     if given.is_empty() {
///         application = application.listen("127.0.0.1:5000")?;
///     }
///     for listener in given {
///         application = application.listen_on(listener)?;
///     }
///     application.run()
/// }
/// ```
#[must_use = "a listener is of use to an application"]
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    tls: Option<Tls>,
    redirect: Option<u16>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
    #[cfg(unix)]
    OwnUnix(net::BoundUnix),
}

impl Listener {
    /// Binds an address; port 0 takes a free one. Of several addresses it is the first
    /// that can be bound.
    ///
    /// # Errors
    /// When none can be bound.
    #[doc(alias = "bind_sockets")]
    pub fn tcp(address: impl ToSocketAddrs + fmt::Debug) -> Result<Self> {
        let bound = net::bind(&address);
        bound.map(Self::from).map_err(|error| {
            let hint = hint(&error);
            Error::internal(error).show(format!("cannot listen on {address:?}{hint}"))
        })
    }

    /// Binds a Unix socket whose file gets this mode, such as `0o660`.
    ///
    /// A socket file that nobody listens on any more is replaced; the new one is removed
    /// when the application has stopped. On Linux a path that begins with a NUL byte is an
    /// abstract name: no file and no mode, so every process of the machine may connect.
    ///
    /// # Errors
    /// When somebody listens there, when the path is another kind of file, or when it is
    /// too long (about 100 bytes).
    #[cfg(unix)]
    #[doc(alias = "bind_unix_socket")]
    pub fn unix(path: impl AsRef<Path>, mode: u32) -> Result<Self> {
        match net::bind_unix(path, mode) {
            Ok(bound) => Ok(Self::new(Socket::OwnUnix(bound))),
            Err(error) => {
                let hint = match error.kind() {
                    io::ErrorKind::PermissionDenied => "",
                    _ => hint(&error),
                };
                let shown = format!("cannot listen on a Unix socket{hint}");
                Err(Error::internal(error).show(shown))
            }
        }
    }

    /// The sockets that whoever started the program has bound for it, in their order: the
    /// environment's `LISTEN_FDS` and `LISTEN_PID`, as systemd sets them (socket
    /// activation). None when there are none. A second call finds none either.
    ///
    /// # Errors
    /// When one of them is no listening socket of TCP or of the Unix kind.
    #[cfg(unix)]
    pub fn activated() -> Result<Vec<Self>> {
        let mut given = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for n in 0..given.len() {
            let tcp = given.take_tcp_listener(n);
            let listener = match tcp {
                Ok(Some(listener)) => Some(Self::from(listener)),
                Ok(None) => None,
                Err(_) => match given.take_unix_listener(n) {
                    Ok(listener) => listener.map(Self::from),
                    Err(error) => {
                        let shown = format!("socket {n} of LISTEN_FDS cannot be served");
                        return Err(Error::internal(error).show(shown));
                    }
                },
            };
            listeners.extend(listener);
        }
        Ok(listeners)
    }

    /// Its connections are encrypted.
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Its requests are sent to `https` on the same host, on this port, by a redirect
    /// that keeps method and body (308).
    pub fn redirect_to_https(mut self, port: u16) -> Self {
        self.redirect = Some(port);
        self
    }

    /// Where it listens; a Unix socket has no address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Socket::Unix(_) | Socket::OwnUnix(_) => None,
        }
    }

    /// The port of `https` that its requests are sent to.
    pub(super) fn redirect(&self) -> Option<u16> {
        self.redirect
    }

    /// What it is called in the log.
    pub(super) fn label(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match self.local_addr() {
            Some(address) => format!("{scheme}://{address}"),
            None => format!("{scheme} on a Unix socket"),
        }
    }

    /// Puts it on the current loop.
    pub(super) fn serve(self) -> io::Result<server::Listener> {
        let listener = match self.socket {
            Socket::Tcp(listener) => net::TcpListener::from_std(listener)?.into(),
            #[cfg(unix)]
            Socket::Unix(listener) => net::UnixListener::from_std(listener)?.into(),
            #[cfg(unix)]
            Socket::OwnUnix(bound) => net::UnixListener::from_bound(bound)?.into(),
        };
        Ok(server::Listener::tls(listener, self.tls))
    }

    fn new(socket: Socket) -> Self {
        Self {
            socket,
            tls: None,
            redirect: None,
        }
    }
}

/// What the system's word for a failed start means most often.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another program listens there)",
        io::ErrorKind::AddrNotAvailable => " (no network interface here has that address)",
        io::ErrorKind::PermissionDenied => {
            " (a port below 1024 needs root or the capability CAP_NET_BIND_SERVICE)"
        }
        _ => "",
    }
}

/// A socket that was bound elsewhere.
impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::new(Socket::Tcp(listener))
    }
}

/// A socket that was bound elsewhere. Its file stays when the application stops.
#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::new(Socket::Unix(listener))
    }
}
