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
mod registered;
mod resolve;
mod stream;
mod tcp;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub use pipe::{PipeReader, PipeWriter};
#[cfg(target_os = "linux")]
pub(crate) use registered::Registered;
#[cfg(unix)]
pub(crate) use registered::current_lane;
pub use resolve::resolve;
pub use stream::{ReadStream, WriteStream};
pub use tcp::{TcpListener, TcpStream, bind};
#[cfg(unix)]
pub use unix::{BoundUnix, UnixListener, UnixStream, bind_unix};
