//! `Piped`: bytes on their way from one socket to another that nobody looks at.
//!
//! Copying them through the program costs two passes over every byte. On Linux they can go
//! through a pipe instead, where the kernel passes on the pages they lie in (splice(2)):
//!
//! ```text
//!   TcpStream --poll_read_piped--> Piped --poll_write_piped--> TcpStream
//! ```
//! So a pipe is used as memory is: taken once there is something to read, given back when
//! all of that is written, and always empty in between. One with bytes left in it is closed.
//! Where there is none to be had, the bytes are copied as ever.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;

use super::registered::Registered;
use crate::lane::Lane;
use crate::reactor::Direction;
use crate::sys::Pipe;

/// A pipe's room, and what is moved into it at a time, at most. It has a place for each page
/// of that, which may hold no more than one segment has brought. Half of it costs a quarter
/// more, twice as much saves nothing.
const ROOM: usize = 512 << 10;
/// Pipes that a lane has at a time. Those of two lanes together have half of the pages that
/// Linux leaves to a user who is not root (`fs.pipe-user-pages-soft`).
const MOST: usize = 32;
/// Pipes that a lane keeps.
const SPARE: usize = 8;

/// Bytes in a pipe, from one TCP connection to another. Dropping it throws them away.
///
/// There is none but on Linux.
#[derive(Debug)]
pub struct Piped {
    /// `None` only in its drop.
    pipe: Option<Pipe>,
    len: usize,
    lane: Arc<Lane>,
}

impl Piped {
    /// Bytes that are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn poll_read(
        from: &Registered<mio::net::TcpStream>,
        cx: &Context<'_>,
        limit: usize,
    ) -> Poll<io::Result<Option<Self>>> {
        // Who waits holds no pipe.
        ready!(from.poll_readable(cx));
        let Some(pipe) = from.lane().pipes.take() else {
            return Poll::Ready(Ok(None));
        };
        let limit = limit.min(ROOM);
        let filled = from.poll_move(cx, Direction::Read, |io| pipe.fill(io, limit));
        let mut piped = Self {
            pipe: Some(pipe),
            len: 0,
            lane: from.lane().clone(),
        };
        match ready!(filled) {
            Ok(len) => {
                piped.len = len;
                // Before anybody sees them arrive.
                (from.lane().spliced).fetch_add(len as u64, Ordering::Relaxed);
                Poll::Ready(Ok(Some(piped)))
            }
            // A sandbox that has no such call, or does not let us.
            Err(error) if cannot(&error) => Poll::Ready(Ok(None)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    pub(super) fn poll_write(
        &mut self,
        to: &Registered<mio::net::TcpStream>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(pipe) = self.pipe.as_ref().filter(|_| self.len > 0) else {
            return Poll::Ready(Ok(0));
        };
        let poured = to.poll_move(cx, Direction::Write, |io| pipe.pour(io, self.len));
        let written = ready!(poured)?;
        self.len = self.len.saturating_sub(written);
        Poll::Ready(Ok(written))
    }
}

fn cannot(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied
    )
}

impl Drop for Piped {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.lane.pipes.give(pipe, self.len == 0);
        }
    }
}

/// A lane's pipes.
#[derive(Debug, Default)]
pub(crate) struct Pipes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    spare: Vec<Pipe>,
    /// The spare ones and those in use.
    open: usize,
}

impl Pipes {
    /// An empty one, if there is one to be had.
    fn take(&self) -> Option<Pipe> {
        let mut kept = self.0.lock();
        if let Some(pipe) = kept.spare.pop() {
            return Some(pipe);
        }
        if kept.open >= MOST {
            return None;
        }
        let pipe = Pipe::open(ROOM).ok()?;
        kept.open += 1;
        Some(pipe)
    }

    fn give(&self, pipe: Pipe, is_empty: bool) {
        let mut kept = self.0.lock();
        if is_empty && kept.spare.len() < SPARE {
            kept.spare.push(pipe);
        } else {
            kept.open -= 1;
        }
    }
}

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use std::future::poll_fn;
    use std::net::SocketAddr;

    use super::*;
    use crate::IoLoop;
    use crate::net::{ReadStream, TcpListener, TcpStream, WriteStream};

    #[test]
    #[cfg_attr(miri, ignore = "miri has no pipes of a size")]
    fn a_lane_has_so_many_and_keeps_a_few() {
        let pipes = Pipes::default();
        let mut held: Vec<Pipe> = std::iter::from_fn(|| pipes.take()).collect();
        if held.len() < MOST && Pipe::open(ROOM).is_err() {
            eprintln!("skipped: the system gives this user no more pipes");
            return;
        }
        assert_eq!(held.len(), MOST);
        pipes.give(held.pop().expect("a pipe"), false);
        assert_eq!(pipes.0.lock().open, MOST - 1);
        held.drain(..).for_each(|pipe| pipes.give(pipe, true));
        let kept = pipes.0.lock();
        assert_eq!((kept.spare.len(), kept.open), (SPARE, SPARE));
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let ours = TcpStream::connect(listener.local_addr().expect("an address")).await;
        let (theirs, _) = listener.accept().await.expect("a connection");
        (ours.expect("a connection"), theirs)
    }

    async fn read(from: &TcpStream, limit: usize) -> Piped {
        let piped = poll_fn(|cx| from.poll_read_piped(cx, limit)).await;
        piped.expect("open").expect("a pipe")
    }

    #[test]
    #[cfg_attr(miri, ignore = "miri has no sockets to splice")]
    fn bytes_go_on_in_order_and_what_is_thrown_away_does_not_come_again() {
        let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
        let stats = io_loop.run(async {
            let (source, from) = pair().await;
            let (to, sink) = pair().await;
            source.write_all(b"thrown away").await.expect("sent");
            drop(read(&from, 6).await);
            drop(read(&from, 100).await);
            source.write_all(b"hello, world").await.expect("sent");
            for len in [5, 7] {
                let mut piped = read(&from, len).await;
                assert_eq!(piped.len(), len);
                let written = poll_fn(|cx| to.poll_write_piped(cx, &mut piped)).await;
                assert_eq!((written.expect("open"), piped.is_empty()), (len, true));
            }
            let mut came = [0; 12];
            sink.read_exact(&mut came).await.expect("it came");
            assert_eq!(&came, b"hello, world");
            drop(source);
            assert!(read(&from, 100).await.is_empty(), "the end");
            IoLoop::current().stats()
        });
        io_loop.stop();
        let thrown_away = "thrown away".len() as u64;
        assert_eq!(stats.expect("no panic").spliced(), thrown_away + 12);
    }
}
