//! `FileBody`: a file as a body, read in pieces on the executor.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use squall_http::{BodyError, BodyStream};
use squall_loop::{JoinHandle, run_on_executor};

/// How much of a file is read or written at a time.
pub(crate) const FILE_STEP: usize = 128 << 10;

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

/// A file that is read on the executor from where it stands, one step ahead of nobody.
pub(crate) struct FileBody<K = ()> {
    state: State,
    left: u64,
    /// What has to live as long as the file is read.
    _keep: K,
}

enum State {
    Idle(File),
    Reading(JoinHandle<(File, io::Result<Bytes>)>),
    Over,
}

impl<K> FileBody<K> {
    /// Reads `len` bytes. What lies behind them is not sent; fewer are an error.
    pub(crate) fn new(file: File, len: u64, keep: K) -> Self {
        Self {
            state: State::Idle(file),
            left: len,
            _keep: keep,
        }
    }
}

impl<K: Send + Unpin + 'static> BodyStream for FileBody<K> {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        if this.left == 0 {
            this.state = State::Over;
            return Poll::Ready(None);
        }
        if matches!(this.state, State::Idle(_))
            && let State::Idle(file) = std::mem::replace(&mut this.state, State::Over)
        {
            let step = usize::try_from(this.left).map_or(FILE_STEP, |left| left.min(FILE_STEP));
            this.state = State::Reading(run_on_executor(move || read(file, step)));
        }
        let State::Reading(reading) = &mut this.state else {
            return Poll::Ready(None);
        };
        let read = ready!(Pin::new(reading).poll(cx));
        this.state = State::Over;
        let (file, chunk) = read.map_err(BodyError::other)?;
        let chunk = chunk?;
        if chunk.is_empty() {
            let shorter = "a file became shorter while it was sent";
            return Poll::Ready(Some(Err(BodyError::other(shorter))));
        }
        this.left -= chunk.len() as u64;
        this.state = State::Idle(file);
        Poll::Ready(Some(Ok(chunk)))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left)
    }
}

fn read(mut file: File, step: usize) -> (File, io::Result<Bytes>) {
    let mut chunk = vec![0; step];
    let mut filled = 0;
    while let Some(room) = chunk.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (file, Err(error)),
        }
    }
    chunk.truncate(filled);
    (file, Ok(chunk.into()))
}
