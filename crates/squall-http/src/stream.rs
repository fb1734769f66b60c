//! A connection's bytes, plain or encrypted, behind one face.
//!
//! Used through `&self`: one side reads while the other writes, and whoever owns
//! a deadline may write or close from outside of the connection's task.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
#[cfg(unix)]
use squall_loop::net::UnixStream;
use squall_loop::net::{Piped, TcpStream};

use crate::socket::Socket;
use crate::tls::{TlsInfo, TlsStream};

/// One connection to a peer.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Plain(Socket),
    Tls(Box<TlsStream>),
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Socket::from(socket).into()
    }
}

#[cfg(unix)]
impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Socket::from(socket).into()
    }
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        Self(Kind::Plain(socket))
    }
}

impl Stream {
    /// Waits for a client's TLS handshake.
    ///
    /// # Errors
    /// The connection's, or the `rustls::Error` that ended the handshake inside an
    /// `InvalidData`; [`tls::explain`](crate::tls::explain) puts that into words.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub async fn accept_tls(
        socket: impl Into<Socket>,
        config: Arc<ServerConfig>,
    ) -> io::Result<Self> {
        Self::accept_tls_begun(socket.into(), config, Vec::new()).await
    }

    /// The same, of a connection of which something was read already.
    pub(crate) async fn accept_tls_begun(
        socket: Socket,
        config: Arc<ServerConfig>,
        begun: Vec<u8>,
    ) -> io::Result<Self> {
        let tls = TlsStream::accept(socket, config, begun).await?;
        Ok(Self(Kind::Tls(Box::new(tls))))
    }

    /// Shakes hands with a server as `name`, which its certificate is checked against.
    ///
    /// # Errors
    /// As [`accept_tls`](Self::accept_tls).
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub async fn connect_tls(
        socket: impl Into<Socket>,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let tls = TlsStream::connect(socket.into(), config, name).await?;
        Ok(Self(Kind::Tls(Box::new(tls))))
    }

    /// Ready when a read is worth trying; else the task is woken then.
    ///
    /// Whoever asks this first needs no memory for what may come.
    #[inline]
    pub fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        match &self.0 {
            Kind::Plain(socket) => socket.poll_readable(cx),
            Kind::Tls(tls) => tls.poll_readable(cx),
        }
    }

    /// Whether a read is worth trying, as far as the loop has heard.
    #[inline]
    pub(crate) fn is_readable(&self) -> bool {
        match &self.0 {
            Kind::Plain(socket) => socket.is_readable(),
            Kind::Tls(tls) => tls.is_readable(),
        }
    }

    /// Reads what is there; 0 bytes is the end.
    ///
    /// An encrypted stream whose end was not announced by the peer is cut off: that is
    /// `UnexpectedEof`, not an end.
    pub fn poll_read(&self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Plain(socket) => socket.poll_read(cx, buf),
            Kind::Tls(tls) => tls.poll_read(cx, buf),
        }
    }

    /// Reads at once what is there, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; else as [`poll_read`](Self::poll_read).
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Plain(socket) => socket.try_read(buf),
            Kind::Tls(tls) => tls.try_read(buf),
        }
    }

    /// Writes what fits.
    ///
    /// An encrypted stream may keep up to 64 KiB of it until there is room on the wire;
    /// [`poll_flush`](Self::poll_flush) or the next read or write moves them on.
    pub fn poll_write(&self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Plain(socket) => socket.poll_write(cx, buf),
            Kind::Tls(tls) => tls.poll_write(cx, buf),
        }
    }

    /// Writes what fits of several slices, as [`poll_write`](Self::poll_write) does.
    pub fn poll_write_vectored(
        &self,
        cx: &Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Plain(socket) => socket.poll_write_vectored(cx, bufs),
            Kind::Tls(tls) => tls.poll_write_vectored(cx, bufs),
        }
    }

    /// Brings what was written onto the wire; a plain stream always has.
    pub fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Plain(_) => Poll::Ready(Ok(())),
            Kind::Tls(tls) => tls.poll_flush(cx),
        }
    }

    /// Ready once the peer has reset the connection, whether or not anybody reads; else the
    /// task waits in the place of one that waits for room.
    pub(crate) fn poll_reset(&self, cx: &Context<'_>) -> Poll<()> {
        match &self.0 {
            Kind::Plain(socket) => socket.poll_reset(cx),
            Kind::Tls(tls) => tls.poll_reset(cx),
        }
    }

    /// Writes at once what fits, without waiting; for whoever has no task.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Plain(socket) => socket.try_write(buf),
            Kind::Tls(tls) => tls.try_write(buf),
        }
    }

    /// Whether what is in a pipe can be written to it, and what it receives can be read
    /// into one.
    pub(crate) fn takes_pipes(&self) -> bool {
        cfg!(target_os = "linux") && self.tcp().is_some()
    }

    /// Reads into a pipe, see [`TcpStream::poll_read_piped`].
    pub(crate) fn poll_read_piped(
        &self,
        cx: &Context<'_>,
        limit: usize,
    ) -> Poll<io::Result<Option<Piped>>> {
        match self.tcp() {
            Some(tcp) => tcp.poll_read_piped(cx, limit),
            None => Poll::Ready(Ok(None)),
        }
    }

    /// Writes what fits of what is in a pipe.
    pub(crate) fn poll_write_piped(
        &self,
        cx: &Context<'_>,
        piped: &mut Piped,
    ) -> Poll<io::Result<usize>> {
        match self.tcp() {
            Some(tcp) => tcp.poll_write_piped(cx, piped),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// The connection, if it is one of TCP and not encrypted.
    fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Plain(socket) => socket.tcp(),
            Kind::Tls(_) => None,
        }
    }

    /// Ends the sending direction, so that the peer sees a clean end.
    ///
    /// # Errors
    /// The system's.
    pub fn close_write(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Plain(socket) => socket.shutdown(Shutdown::Write),
            Kind::Tls(tls) => tls.close_write(),
        }
    }

    /// Ends the sending direction, and does not say that this is the end: a peer that can tell,
    /// which is one of an encrypted stream, knows that it has not got all.
    ///
    /// # Errors
    /// The system's.
    pub fn cut_write(&self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }

    /// Whether nothing is under way, so that dropping it is an end in good order: an encrypted
    /// stream announces that then, as far as it can at once.
    pub(crate) fn rest(&self, at_rest: bool) {
        if let Kind::Tls(tls) = &self.0 {
            tls.rest(at_rest);
        }
    }

    /// Ends both directions now. Reads on other threads see the end. A peer that knows the
    /// end of what it gets by the end of the connection sees a reset.
    pub fn abort(&self) {
        self.socket().abort();
    }

    /// Whether the peer sees a reset in place of an end once this is closed: what was sent is
    /// not the whole.
    pub(crate) fn reset_when_closed(&self, reset: bool) {
        self.socket().reset_when_closed(reset);
    }

    /// Starts a task on the lane that this connection lives on.
    pub(crate) fn spawn_here<F>(
        &self,
        future: F,
        watch: Option<Arc<dyn squall_loop::Watch>>,
    ) -> squall_loop::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.socket().spawn_here(future, watch)
    }

    /// The other end's address and port; a Unix socket has none.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket().peer_addr()
    }

    /// This end's address and port; a Unix socket has none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.socket().local_addr()
    }

    /// What the TLS handshake has settled; `None` on a plain connection.
    pub fn tls(&self) -> Option<TlsInfo> {
        match &self.0 {
            Kind::Plain(_) => None,
            Kind::Tls(tls) => Some(tls.info()),
        }
    }

    /// Whether the bytes are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Kind::Tls(_))
    }

    fn socket(&self) -> &Socket {
        match &self.0 {
            Kind::Plain(socket) => socket,
            Kind::Tls(tls) => tls.socket(),
        }
    }
}
