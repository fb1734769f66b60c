//! A file from disk as a body: its length is known, and it is read while it is sent.
//!
//! What the system has in memory is read at once, the rest on the executor: a disk never
//! holds up the loop, and a file that was just written costs no switch of threads.

use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use squall_http::memory::Pooled;
use squall_http::{Body, BodyError, BodyStream};
use squall_loop::{JoinHandle, run_on_executor};

use crate::file_read::{read_at, read_now};

/// How much of a file is read or written at a time.
pub(crate) const FILE_STEP: usize = 128 << 10;

/// The file at `path` as a body of the length that it has now, read while it is sent.
///
/// As the body of a request, or a part of a form, it can be sent more than once.
///
/// # Errors
/// When it cannot be opened, or is no file.
///
/// # Cancel safety
/// Nothing is lost.
pub async fn file_body(path: impl AsRef<Path>) -> io::Result<Body> {
    let path: Arc<Path> = path.as_ref().into();
    let opened = path.clone();
    let opened = run_on_executor(move || open(&opened));
    let (file, len) = opened.await.map_err(io::Error::other)??;
    let body = FileBody {
        path: Some(path),
        ..FileBody::new(file, len, ())
    };
    Ok(Body::stream(body))
}

/// Opens a file and tells its length; what is no file is refused. Errors name the path.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(named)?;
    let meta = file.metadata().map_err(named)?;
    if !meta.is_file() {
        return Err(named(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a file",
        )));
    }
    Ok((file, meta.len()))
}

/// A file on its way, from its start.
pub(crate) struct FileBody<K = ()> {
    /// Where it can be had again.
    path: Option<Arc<Path>>,
    len: u64,
    /// What was not handed out yet.
    left: u64,
    state: State,
    /// What has to live as long as the file is read.
    _keep: K,
}

enum State {
    Idle(Source),
    Reading(JoinHandle<io::Result<(File, Pooled, usize)>>),
    Over,
}

/// The file, or where it is once it is needed.
enum Source {
    Open(File),
    At(Arc<Path>),
}

impl<K> FileBody<K> {
    /// Sends `len` bytes. What lies behind them is not sent; fewer are an error.
    pub(crate) fn new(file: File, len: u64, keep: K) -> Self {
        Self {
            path: None,
            len,
            left: len,
            state: State::Idle(Source::Open(file)),
            _keep: keep,
        }
    }

    /// How much is read next.
    fn step(&self) -> usize {
        usize::try_from(self.left).map_or(FILE_STEP, |left| left.min(FILE_STEP))
    }

    /// Reads the next step on the executor.
    fn read_on(&self, source: Source) -> State {
        let (step, at) = (self.step(), self.len - self.left);
        let mut memory = Pooled::with_room(step);
        State::Reading(run_on_executor(move || {
            let file = match source {
                Source::Open(file) => file,
                Source::At(path) => open(&path)?.0,
            };
            let read = read_at(&file, memory.room(step), at)?;
            Ok((file, memory, read))
        }))
    }

    /// Hands out what was read.
    fn read(&mut self, file: File, memory: Pooled, len: usize) -> Bytes {
        self.left -= len as u64;
        self.state = State::Idle(Source::Open(file));
        memory.share(len)
    }
}

impl<K: Send + Unpin + 'static> BodyStream for FileBody<K> {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        if this.left == 0 {
            // What was appended since it was opened is not part of the body.
            this.state = State::Over;
            return Poll::Ready(None);
        }
        this.state = match std::mem::replace(&mut this.state, State::Over) {
            State::Idle(Source::Open(file)) => {
                let (step, at) = (this.step(), this.len - this.left);
                let mut memory = Pooled::with_room(step);
                match read_now(&file, memory.room(step), at) {
                    Ok(Some(len)) => return Poll::Ready(Some(Ok(this.read(file, memory, len)))),
                    Ok(None) => this.read_on(Source::Open(file)),
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                }
            }
            State::Idle(source) => this.read_on(source),
            state => state,
        };
        let State::Reading(reading) = &mut this.state else {
            return Poll::Ready(None);
        };
        let read = ready!(Pin::new(reading).poll(cx));
        this.state = State::Over;
        let (file, memory, len) = read.map_err(BodyError::other)??;
        Poll::Ready(Some(Ok(this.read(file, memory, len))))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left)
    }

    fn replay(&self) -> Option<Body> {
        let path = self.path.clone()?;
        Some(Body::stream(FileBody {
            state: State::Idle(Source::At(path.clone())),
            path: Some(path),
            len: self.len,
            left: self.len,
            _keep: (),
        }))
    }
}
