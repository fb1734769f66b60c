//! A connection's socket, of TCP or of the Unix kind.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(unix)]
use squall_loop::net::UnixStream;
use squall_loop::net::{ReadStream, TcpStream, WriteStream};

/// A connected socket, before it is a [`Stream`](crate::Stream).
///
/// It is made from a `TcpStream` or a `UnixStream`.
#[derive(Debug)]
pub struct Socket(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Calls the same method of whichever socket it is.
macro_rules! either {
    ($socket:expr, $inner:ident => $call:expr) => {
        match &$socket.0 {
            Kind::Tcp($inner) => $call,
            #[cfg(unix)]
            Kind::Unix($inner) => $call,
        }
    };
}

impl Socket {
    #[inline]
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        either!(self, socket => socket.poll_readable(cx))
    }

    #[inline]
    pub(crate) fn is_readable(&self) -> bool {
        either!(self, socket => socket.is_readable())
    }

    #[inline]
    pub(crate) fn poll_read(&self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_read(cx, buf))
    }

    #[inline]
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(self, socket => socket.try_read(buf))
    }

    #[inline]
    pub(crate) fn poll_write(&self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write(cx, buf))
    }

    #[inline]
    pub(crate) fn poll_write_vectored(
        &self,
        cx: &Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write_vectored(cx, bufs))
    }

    /// Ready once the peer has reset the connection. Unix sockets have no resets: their end
    /// may be behind bytes that nobody has read.
    pub(crate) fn poll_reset(&self, cx: &Context<'_>) -> Poll<()> {
        match &self.0 {
            Kind::Tcp(socket) => socket.poll_closed(cx),
            #[cfg(unix)]
            Kind::Unix(_) => Poll::Pending,
        }
    }

    #[inline]
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        either!(self, socket => socket.try_write(buf))
    }

    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(socket) => Some(socket),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    /// Ends both directions now; with a reset where closing would be one.
    pub(crate) fn abort(&self) {
        let ended = match &self.0 {
            Kind::Tcp(socket) if matches!(socket.linger(), Ok(Some(Duration::ZERO))) => {
                socket.reset()
            }
            _ => self.shutdown(Shutdown::Both),
        };
        // It may be closed already, which is what is wanted.
        drop(ended);
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        either!(self, socket => socket.shutdown(how))
    }

    /// Whether the peer sees a reset in place of an end once this is closed. Unix sockets have
    /// none.
    pub(crate) fn reset_when_closed(&self, reset: bool) {
        match &self.0 {
            // Where it cannot be had, the peer sees an end.
            Kind::Tcp(socket) => drop(socket.set_linger(reset.then_some(Duration::ZERO))),
            #[cfg(unix)]
            Kind::Unix(_) => {}
        }
    }

    /// Starts a task on the lane that the socket lives on.
    pub(crate) fn spawn_here<F>(
        &self,
        future: F,
        watch: Option<Arc<dyn squall_loop::Watch>>,
    ) -> squall_loop::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        either!(self, socket => socket.spawn_here(future, watch))
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(socket) => socket.peer_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(socket) => socket.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self(Kind::Tcp(socket))
    }
}

#[cfg(unix)]
impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Self {
        Self(Kind::Unix(socket))
    }
}
