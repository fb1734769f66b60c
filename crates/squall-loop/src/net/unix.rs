//! Unix sockets on a lane: TCP's face, with paths for addresses.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::registered::{BACKLOG, Connecting, Listening, Registered, current_lane};
use super::stream::{connection, read_stream, write_stream};
use crate::task::say;

/// Who may connect unless told otherwise: the user that the process runs as.
const MODE: u32 = 0o600;
/// The pauses between attempts to connect to a listener whose backlog is full.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(64);

/// A listening Unix socket on one lane; its connections go to the least loaded lane.
///
/// Dropping it removes its socket file, if that is still the one that it made.
#[derive(Debug)]
pub struct UnixListener {
    io: Registered<mio::net::UnixListener>,
    _file: Option<SocketFile>,
}

impl UnixListener {
    /// Binds and listens, with the mode 0600: only processes of the same user connect.
    ///
    /// A socket file that nobody listens on any more is replaced. On Linux a path that
    /// begins with a NUL byte is an abstract name: no file, and no mode, so every
    /// process of the machine may connect. Must be called inside the loop.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there, or the path is another kind of file;
    /// `InvalidInput` when the path is too long (about 100 bytes); else the system's.
    #[doc(alias = "bind_unix_socket")]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_with_mode(path, MODE)
    }

    /// As [`bind`](Self::bind), with a socket file of this mode, such as `0o660`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_with_mode(path: impl AsRef<Path>, mode: u32) -> io::Result<Self> {
        // Without a lane there is nothing to bind for.
        current_lane()?;
        Self::from_bound(bind_unix(path, mode)?)
    }

    /// Takes over what [`bind_unix`] has bound. Must be called inside the loop.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn from_bound(bound: BoundUnix) -> io::Result<Self> {
        Ok(Self {
            io: Registered::listening(mio::net::UnixListener::from(bound.socket))?,
            _file: bound.file,
        })
    }

    /// Takes over a listening socket that was made elsewhere. Its file stays.
    ///
    /// # Errors
    /// When it cannot be made non-blocking or watched.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            io: Registered::listening(mio::net::UnixListener::from_std(listener))?,
            _file: None,
        })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().local_addr()
    }

    /// Waits for a connection and places it on the least loaded lane. The peer's
    /// address has a name only if the peer has bound its socket too.
    ///
    /// # Errors
    /// The system's. The listener stays usable.
    ///
    /// # Cancel safety
    /// No connection is lost.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.io.accept().await?;
        Ok((UnixStream(stream), peer))
    }
}

impl Listening for mio::net::UnixListener {
    type Stream = mio::net::UnixStream;
    type Address = SocketAddr;

    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        self.accept()
    }
}

impl Connecting for mio::net::UnixStream {
    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }

    /// Connecting is not waited for: it has, or has failed.
    fn check_peer(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Binds a listening Unix socket without a loop; [`UnixListener::from_bound`] takes it
/// over when there is one. As [`UnixListener::bind_with_mode`] otherwise.
///
/// # Errors
/// As [`UnixListener::bind`].
pub fn bind_unix(path: impl AsRef<Path>, mode: u32) -> io::Result<BoundUnix> {
    let path = path.as_ref();
    let (socket, file) = bind(path, mode).map_err(|error| named(path, &error))?;
    Ok(BoundUnix { socket, file })
}

/// A Unix socket that listens, and is on no loop yet. Dropping it removes its file.
#[derive(Debug)]
pub struct BoundUnix {
    socket: OwnedFd,
    file: Option<SocketFile>,
}

/// A connection over a Unix socket, on one lane.
#[derive(Debug)]
pub struct UnixStream(Registered<mio::net::UnixStream>);

impl UnixStream {
    /// Connects to the socket at `path`, or to an abstract name as in
    /// [`UnixListener::bind`]. While the listener's backlog is full it waits.
    ///
    /// # Errors
    /// `NotFound` without a socket file, `ConnectionRefused` when nobody listens on it,
    /// `PermissionDenied` when its mode does not let this user in; else the system's.
    ///
    /// # Cancel safety
    /// Dropping it gives the attempt up.
    pub async fn connect(path: impl AsRef<Path> + Send) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let address = address(&path).map_err(|error| named(&path, &error))?;
        let mut pause = FIRST_PAUSE;
        let socket = loop {
            match mio::net::UnixStream::connect_addr(&address) {
                // No event tells when there is room in the backlog.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    crate::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
                connecting => break connecting.map_err(|error| named(&path, &error))?,
            }
        };
        Registered::connected(socket).await.map(Self)
    }

    /// Two sockets that are connected to each other, both on the current lane.
    ///
    /// # Errors
    /// The system's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = mio::net::UnixStream::pair()?;
        let dress = |io| Registered::here(io, crate::reactor::Source::writable()).map(Self);
        Ok((dress(one)?, dress(other)?))
    }
}

connection!(UnixStream, mio::net::UnixStream);
read_stream!(UnixStream);
write_stream!(UnixStream);

/// A socket file that we made, and nobody has replaced since.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        // The program may change its directory before it ends.
        let path = std::path::absolute(path)?;
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            let path = self.path.display();
            say(|| {
                tracing::warn!(target: "squall::loop", %error, %path, "a socket file is left behind");
            });
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Binds, sets the mode, and only then listens: nobody connects in between.
fn bind(path: &Path, mode: u32) -> io::Result<(OwnedFd, Option<SocketFile>)> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
            fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let file = if is_abstract(path) {
        None
    } else {
        let file = SocketFile::at(path)?;
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Some(file)
    };
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

/// Whether a path is a socket file that nobody listens on.
fn is_left_over(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && mio::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn is_abstract(path: &Path) -> bool {
    cfg!(any(target_os = "linux", target_os = "android"))
        && path.as_os_str().as_bytes().first() == Some(&0)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn address(path: &Path) -> io::Result<SocketAddr> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    match path.as_os_str().as_bytes() {
        [0, name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(path),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn address(path: &Path) -> io::Result<SocketAddr> {
    SocketAddr::from_pathname(path)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
