//! Sockets, pipes and names.
//!
//! Streams are used through `&self`: one task may read while another writes. What
//! they share is in two traits: [`ReadStream`] (`read`, `read_exact`, `read_to_end`)
//! and [`WriteStream`] (`write`, `write_all`).
//!
//! | Tornado | here |
//! |---|---|
//! | `IOStream` | [`TcpStream`], [`UnixStream`] |
//! | `PipeIOStream` | [`PipeReader`], [`PipeWriter`] |
//! | `TCPClient.connect` | [`resolve`], then [`TcpStream::connect`] |
//! | `bind_sockets` | [`bind`], or [`TcpListener::bind`] inside a loop |
//! | `add_accept_handler` | [`TcpListener::accept`] |
//! | `bind_unix_socket` | [`bind_unix`], or [`UnixListener::bind`] inside a loop |
//! | `DefaultExecutorResolver` | [`resolve`] |
//!
//! The Unix ones are there on Unix only.

#[cfg(unix)]
mod pipe;
mod piped;
mod registered;
mod resolve;
mod stream;
mod tcp;
mod transfer;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub use pipe::{PipeReader, PipeWriter};
pub use piped::Piped;
pub(crate) use piped::Pipes;
#[cfg(target_os = "linux")]
pub(crate) use registered::Registered;
#[cfg(unix)]
pub(crate) use registered::current_lane;
pub use resolve::resolve;
pub use stream::{ReadStream, WriteStream};
pub use tcp::{TcpListener, TcpStream, bind};
#[cfg(unix)]
pub use unix::{BoundUnix, UnixListener, UnixStream, bind_unix};

/// Raises the limit of the process's open files and sockets towards `wanted`, as far as
/// the system allows, and returns what it is then. It is never lowered.
///
/// Systems give 1,024 to a process that does not ask, for the sake of programs that use
/// `select`; a thousand slow clients are enough to use that up. Child processes inherit
/// the limit. On Windows there is none.
///
/// # Errors
/// The system's.
pub fn raise_descriptors(wanted: u64) -> std::io::Result<u64> {
    #[cfg(unix)]
    return crate::sys::raise_descriptors(wanted);
    #[cfg(not(unix))]
    return Ok(wanted);
}
