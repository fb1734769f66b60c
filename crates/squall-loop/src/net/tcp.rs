//! TCP on a lane: a listener that places connections, and streams.
//!
//! Streams are used through `&self`: one side may read while the other writes,
//! and whoever drives the connection's deadline may write from another thread.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use crate::budget;
use crate::carrier::Context as Current;
use crate::ioloop::{self, IoLoop};
use crate::lane::Lane;
use crate::reactor::{Direction, Source};
use crate::task::JoinHandle;
use crate::watch::Watch;

/// A listening socket on one lane; its connections go to the least loaded lane.
#[derive(Debug)]
pub struct TcpListener {
    io: mio::net::TcpListener,
    home: Registration,
}

impl TcpListener {
    /// Binds and listens. Must be called inside the loop.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::from_mio(mio::net::TcpListener::bind(address)?)
    }

    /// Takes over a listening socket that was made elsewhere.
    ///
    /// # Errors
    /// When it cannot be made non-blocking or watched.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::from_mio(mio::net::TcpListener::from_std(listener))
    }

    fn from_mio(mut io: mio::net::TcpListener) -> io::Result<Self> {
        let lane = current_lane()?;
        // Connections may have come before the registration.
        let home = Registration::new(&mut io, lane, Source::waiting())?;
        home.source.keep(Direction::Read);
        Ok(Self { io, home })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
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
        let (mut io, peer) = std::future::poll_fn(|cx| {
            (self.home).poll_io(cx, Direction::Read, || self.io.accept())
        })
        .await?;
        // There may be more where this came from.
        self.home.source.keep(Direction::Read);
        io.set_nodelay(true)?;
        let io_loop = IoLoop::try_current().ok_or_else(ioloop::no_loop)?;
        let lane = io_loop.shared().least_loaded();
        lane.load.fetch_add(1, Ordering::Relaxed);
        let placed = Placed(lane.clone());
        let home = Registration::new(&mut io, lane, Source::writable())?;
        let stream = TcpStream {
            io,
            home,
            _placed: Some(placed),
        };
        Ok((stream, peer))
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.home.deregister(&mut self.io);
    }
}

/// A TCP connection on one lane.
#[derive(Debug)]
pub struct TcpStream {
    io: mio::net::TcpStream,
    home: Registration,
    _placed: Option<Placed>,
}

/// Counts an accepted connection on its lane.
#[derive(Debug)]
struct Placed(Arc<Lane>);

impl Drop for Placed {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl TcpStream {
    /// Connects to one address.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Cancel safety
    /// Dropping it gives the attempt up.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut io = mio::net::TcpStream::connect(address)?;
        let home = Registration::new(&mut io, current_lane()?, Source::waiting())?;
        let stream = Self {
            io,
            home,
            _placed: None,
        };
        std::future::poll_fn(|cx| stream.home.source.poll_ready(Direction::Write, cx)).await;
        if let Some(error) = stream.io.take_error()? {
            return Err(error);
        }
        stream.io.peer_addr()?;
        stream.io.set_nodelay(true)?;
        Ok(stream)
    }

    /// Ready when a read is worth trying; else the task is woken then.
    pub fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        self.home.source.poll_ready(Direction::Read, cx)
    }

    /// Reads what is there; 0 bytes is the end.
    pub fn poll_read(&self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let room = buf.len();
        let read = (self.home).poll_io(cx, Direction::Read, || (&self.io).read(buf));
        if let Poll::Ready(Ok(read)) = &read {
            budget::spend(*read);
            if *read == room || *read == 0 {
                self.home.source.keep(Direction::Read);
            }
        }
        read
    }

    /// Writes what fits.
    pub fn poll_write(&self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = (self.home).poll_io(cx, Direction::Write, || (&self.io).write(buf));
        self.keep_after_write(&written, buf.len());
        written
    }

    /// Writes what fits of several slices.
    pub fn poll_write_vectored(
        &self,
        cx: &Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole = bufs.iter().map(|buf| buf.len()).sum();
        let written = (self.home).poll_io(cx, Direction::Write, || (&self.io).write_vectored(bufs));
        self.keep_after_write(&written, whole);
        written
    }

    fn keep_after_write(&self, written: &Poll<io::Result<usize>>, whole: usize) {
        if let Poll::Ready(Ok(written)) = written {
            budget::spend(*written);
            // A short write means that the send buffer is full: the next edge tells.
            if *written == whole {
                self.home.source.keep(Direction::Write);
            }
        }
    }

    /// Writes at once what fits, without waiting; for whoever has no task.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        (&self.io).write(buf)
    }

    /// Reads at once what is there, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.home.source.clear(Direction::Read);
        let read = (&self.io).read(buf);
        if !matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.home.source.keep(Direction::Read);
        }
        read
    }

    /// Closes one direction or both, now.
    ///
    /// # Errors
    /// The system's, such as `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.shutdown(how)
    }

    /// The other end.
    ///
    /// # Errors
    /// The system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.peer_addr()
    }

    /// This end.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// Starts a task on the lane that this connection lives on.
    pub fn spawn_here<F>(&self, future: F, watch: Option<Arc<dyn Watch>>) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.home.lane.spawn(future, watch)
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.home.deregister(&mut self.io);
    }
}

/// A socket's place in a lane's reactor.
#[derive(Debug)]
struct Registration {
    source: Arc<Source>,
    key: usize,
    lane: Arc<Lane>,
}

impl Registration {
    fn new(io: &mut impl mio::event::Source, lane: Arc<Lane>, source: Source) -> io::Result<Self> {
        let (source, key) = lane.reactor.register(io, source)?;
        Ok(Self { source, key, lane })
    }

    fn deregister(&self, io: &mut impl mio::event::Source) {
        self.lane.reactor.deregister(io, self.key);
    }

    /// Tries an operation until it does not block, or waits for its edge.
    fn poll_io<T>(
        &self,
        cx: &Context<'_>,
        direction: Direction,
        operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        if !budget::is_left(cx) {
            return Poll::Pending;
        }
        self.source.poll_attempt(cx, direction, operation)
    }
}

fn current_lane() -> io::Result<Arc<Lane>> {
    Current::with(|_, lane| lane.clone()).ok_or_else(ioloop::no_loop)
}
