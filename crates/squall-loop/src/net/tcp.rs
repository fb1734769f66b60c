//! TCP on a lane: a listener that places connections, and streams.
//!
//! Streams are used through `&self`: one side may read while the other writes,
//! and whoever drives the connection's deadline may write from another thread.

use std::io;
#[cfg(unix)]
use std::net::IpAddr;
use std::net::{SocketAddr, ToSocketAddrs};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

use super::piped::Piped;
use super::registered::{BACKLOG, Connecting, Listening, Registered};
use super::stream::{connection, read_stream, write_stream};

/// Binds a listening socket without a loop; [`TcpListener::from_std`] takes it over
/// when there is one. Of several addresses it is the first that can be bound.
///
/// Up to 4,096 connections wait to be accepted, or fewer where the system has a lower
/// limit (`net.core.somaxconn` on Linux). The standard library's 128 are too few for a
/// crowd that comes at once: whoever finds no room tries again a second later.
///
/// # Errors
/// The system's, for the last address; `InvalidInput` without any.
#[doc(alias = "bind_sockets")]
pub fn bind(address: impl ToSocketAddrs) -> io::Result<std::net::TcpListener> {
    let mut outcome = Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "no address to bind",
    ));
    for address in address.to_socket_addrs()? {
        outcome = listen_on(address);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn listen_on(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that starts again is not kept waiting by its old connections. On
    // Windows the option means something else.
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listening socket on one lane; its connections go to the least loaded lane.
#[derive(Debug)]
pub struct TcpListener(Registered<mio::net::TcpListener>);

impl TcpListener {
    /// Binds and listens, as the function [`bind`]. Must be called inside the loop.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::from_std(listen_on(address)?)
    }

    /// Takes over a listening socket that was made elsewhere.
    ///
    /// # Errors
    /// When it cannot be made non-blocking or watched.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Registered::listening(mio::net::TcpListener::from_std(listener)).map(Self)
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.io().local_addr()
    }

    /// Waits for a connection and places it on the least loaded lane.
    ///
    /// # Errors
    /// The system's; `ECONNABORTED` and the like concern one connection, a lack of
    /// file descriptors concerns the process. The listener stays usable.
    ///
    /// # Cancel safety
    /// No connection is lost.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        stream.io().set_nodelay(true)?;
        Ok((TcpStream(stream), peer))
    }
}

impl Listening for mio::net::TcpListener {
    type Stream = mio::net::TcpStream;
    type Address = SocketAddr;

    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        self.accept()
    }
}

impl Connecting for mio::net::TcpStream {
    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }

    fn check_peer(&self) -> io::Result<()> {
        self.peer_addr().map(drop)
    }
}

/// A TCP connection on one lane.
#[derive(Debug)]
pub struct TcpStream(Registered<mio::net::TcpStream>);

impl TcpStream {
    /// Connects to one address.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Cancel safety
    /// Dropping it gives the attempt up.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = Registered::connected(mio::net::TcpStream::connect(address)?).await?;
        stream.io().set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Connects to one address from an address of this machine.
    ///
    /// # Errors
    /// The system's, such as `AddrNotAvailable` when this machine does not have it.
    ///
    /// # Cancel safety
    /// Dropping it gives the attempt up.
    #[cfg(unix)]
    pub async fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let stream = mio::net::TcpStream::from_std(socket.into());
        let stream = Registered::connected(stream).await?;
        stream.io().set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Asks the peer whether it is still there once nothing came for `idle`, and then
    /// thrice more at that distance, before the connection is given up. The system counts
    /// in seconds: parts of one count as a whole one.
    ///
    /// # Errors
    /// The system's, and zero is one.
    pub fn set_keepalive(&self, idle: Duration) -> io::Result<()> {
        let begun = u64::from(idle.subsec_nanos() > 0);
        let idle = Duration::from_secs(idle.as_secs().saturating_add(begun));
        let keepalive = TcpKeepalive::new().with_time(idle);
        #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
        let keepalive = keepalive.with_interval(idle).with_retries(3);
        SockRef::from(self.0.io()).set_tcp_keepalive(&keepalive)
    }

    /// How long closing it goes on sending what was written. Zero: it is not sent, and the
    /// peer gets a reset. `None`, the default: in the background, as long as it takes.
    ///
    /// # Errors
    /// The system's.
    pub fn set_linger(&self, time: Option<Duration>) -> io::Result<()> {
        SockRef::from(self.0.io()).set_linger(time)
    }

    /// What [`set_linger`](Self::set_linger) has set.
    ///
    /// # Errors
    /// The system's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self.0.io()).linger()
    }

    /// Ends the connection now, and not in order: what was not sent is thrown away, and the
    /// peer sees a reset. Only Linux can do that to a socket in use; elsewhere both
    /// directions are closed.
    ///
    /// # Errors
    /// The system's, such as `NotConnected`.
    pub fn reset(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        let ended = rustix::net::connect_unspec(self.0.io()).map_err(io::Error::from);
        #[cfg(not(target_os = "linux"))]
        let ended = self.shutdown(std::net::Shutdown::Both);
        ended
    }

    /// Reads what is there, at most `limit` bytes, into a pipe, for whoever only passes it
    /// on; an empty one is the end. `None`: there is no pipe to be had, so read it.
    ///
    /// On Linux such bytes are not copied. A lane has up to 32 pipes; elsewhere there is
    /// none.
    pub fn poll_read_piped(
        &self,
        cx: &Context<'_>,
        limit: usize,
    ) -> Poll<io::Result<Option<Piped>>> {
        Piped::poll_read(&self.0, cx, limit)
    }

    /// Writes what fits of what is in a pipe.
    pub fn poll_write_piped(&self, cx: &Context<'_>, piped: &mut Piped) -> Poll<io::Result<usize>> {
        piped.poll_write(&self.0, cx)
    }
}

connection!(TcpStream, mio::net::TcpStream);
read_stream!(TcpStream);
write_stream!(TcpStream);

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};

    use mio::{Interest, Registry, Token, event};

    use super::*;

    /// A connection whose first event comes before there is a peer.
    #[derive(Debug)]
    struct Early {
        io: mio::net::TcpStream,
        peer: std::net::TcpStream,
        asked: AtomicBool,
    }

    impl Connecting for Early {
        fn take_error(&self) -> io::Result<Option<io::Error>> {
            Ok(None)
        }

        fn check_peer(&self) -> io::Result<()> {
            if self.asked.swap(true, Ordering::SeqCst) {
                return Ok(());
            }
            // A byte that comes is another event.
            (&self.peer).write_all(b"x")?;
            Err(io::ErrorKind::NotConnected.into())
        }
    }

    impl event::Source for Early {
        fn register(&mut self, to: &Registry, token: Token, what: Interest) -> io::Result<()> {
            self.io.register(to, token, what)
        }

        fn reregister(&mut self, to: &Registry, token: Token, what: Interest) -> io::Result<()> {
            self.io.reregister(to, token, what)
        }

        fn deregister(&mut self, from: &Registry) -> io::Result<()> {
            self.io.deregister(from)
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "miri has no sockets")]
    fn an_event_before_there_is_a_peer_is_not_the_end_of_an_attempt() {
        let io_loop = crate::IoLoop::builder().lanes(1).build().expect("a loop");
        let connected = io_loop.run(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let io = std::net::TcpStream::connect(address).expect("a connection");
            io.set_nonblocking(true).expect("a socket");
            let (peer, _) = listener.accept().expect("its other end");
            let early = Early {
                io: mio::net::TcpStream::from_std(io),
                peer,
                asked: AtomicBool::new(false),
            };
            Registered::connected(early).await.map(drop)
        });
        io_loop.stop();
        connected.expect("no panic").expect("connected");
    }

    #[test]
    #[cfg_attr(miri, ignore = "miri has no sockets")]
    fn keepalive_counts_in_whole_seconds() {
        let io_loop = crate::IoLoop::builder().lanes(1).build().expect("a loop");
        let asked = io_loop.run(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let stream = TcpStream::connect(address).await.expect("a connection");
            [1, 1_000, 1_001].map(|millis| {
                let set = stream.set_keepalive(Duration::from_millis(millis));
                set.expect("set");
                let socket = SockRef::from(stream.0.io());
                assert!(socket.keepalive().expect("read"));
                socket.tcp_keepalive_time().expect("read")
            })
        });
        io_loop.stop();
        let seconds = [1, 1, 2].map(Duration::from_secs);
        assert_eq!(asked.expect("no panic"), seconds);
    }
}
