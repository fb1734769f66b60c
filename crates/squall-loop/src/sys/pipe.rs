//! Linux: a pipe that bytes go through from one socket to another (splice(2)).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Both ends of one. Neither ever waits.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// A new one with room for `size` bytes in whole pages. The system may refuse it: a user
    /// has only so many pages.
    pub(crate) fn open(size: usize) -> io::Result<Self> {
        if broken_pipe_kills() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&write, size)?;
        Ok(Self { read, write })
    }

    /// Moves what a socket has received in, at most `limit` bytes; 0 is its end.
    pub(crate) fn fill(&self, from: &impl AsFd, limit: usize) -> io::Result<usize> {
        let moved = splice(from, None, &self.write, None, limit, SpliceFlags::NONBLOCK)?;
        Ok(moved)
    }

    /// Moves up to `len` bytes out to a socket, as many as it takes.
    pub(crate) fn pour(&self, into: &impl AsFd, len: usize) -> io::Result<usize> {
        let moved = splice(&self.read, None, into, None, len, SpliceFlags::NONBLOCK)?;
        Ok(moved)
    }
}

/// Whether a write to a socket that its peer has closed would end the process. Rust's start
/// sees to it that it does not, but a program may change that; and splice(2), unlike send(2),
/// cannot be told.
fn broken_pipe_kills() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, as the new action is null; the present one is written to
    // `action`, which has room for it, and is read only where the call has succeeded.
    #[allow(unsafe_code)]
    unsafe {
        libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) != 0
            || action.assume_init().sa_sigaction == libc::SIG_DFL
    }
}
