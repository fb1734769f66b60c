//! What every stream can do, whatever it is made of.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

/// How much room [`ReadStream::read_to_end`] makes before a read.
const CHUNK: usize = 32 << 10;

/// A stream of bytes to read from, through `&self`.
///
/// One task may wait for bytes at a time: a later one takes the place of an earlier
/// one, which is not woken any more.
///
/// ```
/// # #[cfg(unix)] {
/// use squall_loop::net::{ReadStream, UnixStream, WriteStream};
///
/// # let io_loop = squall_loop::IoLoop::builder().lanes(1).build().unwrap();
/// # io_loop.run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// ours.write_all(b"hello").await?;
/// drop(ours);
/// let mut text = String::new();
/// theirs.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap().unwrap();
/// # io_loop.stop();
/// # }
/// ```
#[doc(alias = "IOStream")]
pub trait ReadStream: Sync {
    /// Ready when a read is worth trying; else the task is woken then.
    fn poll_readable(&self, cx: &Context<'_>) -> Poll<()>;

    /// Whether a read is worth trying, as far as the loop has heard. Asks nobody.
    fn is_readable(&self) -> bool;

    /// Reads what is there; 0 bytes is the end.
    fn poll_read(&self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads at once what is there, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; `NotConnected` when nothing is and its loop has
    /// ended.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Waits for bytes and reads what fits; 0 bytes is the end, or no room in `buf`.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    #[doc(alias = "read_bytes")]
    fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        poll_fn(move |cx| self.poll_read(cx, buf))
    }

    /// Fills `buf`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the stream ends before, or the system's.
    ///
    /// # Cancel safety
    /// What was read is in `buf`, but not how much it was.
    fn read_exact(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let mut filled = 0;
            while filled < buf.len() {
                match self.read(&mut buf[filled..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => filled += read,
                }
            }
            Ok(())
        }
    }

    /// Appends everything up to the stream's end, and returns how much that was.
    ///
    /// There is no limit: for a peer that may send too much, use [`read`](Self::read).
    ///
    /// # Errors
    /// The system's. What was read before is in `buf`.
    ///
    /// # Cancel safety
    /// What was read is in `buf`; a new call goes on from there.
    #[doc(alias = "read_until_close")]
    fn read_to_end(&self, buf: &mut Vec<u8>) -> impl Future<Output = io::Result<usize>> + Send {
        async move {
            let before = buf.len();
            loop {
                // The room is made and taken back in one poll, so that whoever drops
                // this never sees it.
                let read = poll_fn(|cx| {
                    let filled = buf.len();
                    buf.resize(filled + CHUNK, 0);
                    let read = self.poll_read(cx, &mut buf[filled..]);
                    let more = match &read {
                        Poll::Ready(Ok(more)) => *more,
                        _ => 0,
                    };
                    buf.truncate(filled + more);
                    read
                });
                if read.await? == 0 {
                    return Ok(buf.len() - before);
                }
            }
        }
    }

    /// Appends everything up to the stream's end, which must be UTF-8, and returns how
    /// many bytes that was. There is no limit, as in [`read_to_end`](Self::read_to_end).
    ///
    /// # Errors
    /// `InvalidData` when it is not UTF-8, or the system's. Then `text` is unchanged.
    ///
    /// # Cancel safety
    /// What was read is lost.
    fn read_to_string(&self, text: &mut String) -> impl Future<Output = io::Result<usize>> + Send {
        async move {
            let mut bytes = Vec::new();
            let read = self.read_to_end(&mut bytes).await?;
            let read_text = String::from_utf8(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            text.push_str(&read_text);
            Ok(read)
        }
    }
}

/// A stream of bytes to write to, through `&self`.
///
/// One task may wait for room at a time, as in [`ReadStream`].
#[doc(alias = "IOStream")]
pub trait WriteStream: Sync {
    /// Writes what fits.
    fn poll_write(&self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes what fits of several slices.
    fn poll_write_vectored(
        &self,
        cx: &Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Ready once nothing can be written any more, as after the peer's reset, whether or not
    /// anybody reads; else the task waits in the place of one that waits for room.
    fn poll_closed(&self, cx: &Context<'_>) -> Poll<()>;

    /// Writes at once what fits, without waiting; for whoever has no task.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits.
    fn try_write(&self, buf: &[u8]) -> io::Result<usize>;

    /// Waits for room and writes what fits.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Cancel safety
    /// Either the future is done, or nothing was written.
    fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
        poll_fn(move |cx| self.poll_write(cx, buf))
    }

    /// Writes everything.
    ///
    /// # Errors
    /// The system's. Some of it may have been written.
    ///
    /// # Cancel safety
    /// Some of it may have been written, and nobody knows how much.
    fn write_all(&self, mut buf: &[u8]) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            while !buf.is_empty() {
                match self.write(buf).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => buf = &buf[written..],
                }
            }
            Ok(())
        }
    }
}

/// Dresses a type whose first field is a `Registered` connection. The two kinds of socket have
/// methods of the same names, and no trait for them.
macro_rules! connection {
    ($stream:ty, $io:ty) => {
        impl $stream {
            /// Closes one direction or both, now.
            ///
            /// # Errors
            /// The system's, such as `NotConnected`.
            pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
                self.0.io().shutdown(how)
            }

            /// The other end. Of a Unix socket, an end that connected has no name.
            ///
            /// # Errors
            /// The system's.
            pub fn peer_addr(&self) -> std::io::Result<SocketAddr> {
                self.0.io().peer_addr()
            }

            /// This end.
            ///
            /// # Errors
            /// The system's.
            pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
                self.0.io().local_addr()
            }

            /// Starts a task on the lane that this connection lives on.
            pub fn spawn_here<F>(
                &self,
                future: F,
                watch: Option<std::sync::Arc<dyn crate::watch::Watch>>,
            ) -> crate::task::JoinHandle<F::Output>
            where
                F: std::future::Future + Send + 'static,
                F::Output: Send + 'static,
            {
                self.0.lane().spawn(future, watch)
            }
        }
    };
}

/// Dresses a type whose first field is a `Registered` that reads.
macro_rules! read_stream {
    ($stream:ty) => {
        impl crate::net::ReadStream for $stream {
            fn poll_readable(&self, cx: &std::task::Context<'_>) -> std::task::Poll<()> {
                self.0.poll_readable(cx)
            }

            fn is_readable(&self) -> bool {
                self.0.is_readable()
            }

            fn poll_read(
                &self,
                cx: &std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.0.poll_read(cx, buf)
            }

            fn try_read(&self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.0.try_read(buf)
            }
        }
    };
}

/// Dresses a type whose first field is a `Registered` that writes.
macro_rules! write_stream {
    ($stream:ty) => {
        impl crate::net::WriteStream for $stream {
            fn poll_write(
                &self,
                cx: &std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.0.poll_write(cx, buf)
            }

            fn poll_write_vectored(
                &self,
                cx: &std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.0.poll_write_vectored(cx, bufs)
            }

            fn poll_closed(&self, cx: &std::task::Context<'_>) -> std::task::Poll<()> {
                self.0.poll_closed(cx)
            }

            fn try_write(&self, buf: &[u8]) -> std::io::Result<usize> {
                self.0.try_write(buf)
            }
        }
    };
}

pub(super) use {connection, read_stream, write_stream};
