//! Linux: a descriptor that is readable when a process has ended.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

/// A process that was alive, or a zombie, when this was opened.
#[derive(Debug)]
pub(crate) struct PidFd(OwnedFd);

impl PidFd {
    /// Opens one; `pid` must be a child that has not been waited for.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: the call reads its two integers and nothing else. It returns a new
        // descriptor (close-on-exec) or -1.
        #[allow(unsafe_code)]
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let Ok(descriptor @ 0..) = RawFd::try_from(descriptor) else {
            return Err(io::Error::last_os_error());
        };
        // SAFETY: the descriptor is open, and nobody else knows of it.
        #[allow(unsafe_code)]
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self(descriptor))
    }
}

impl Source for PidFd {
    fn register(&mut self, registry: &Registry, token: Token, of: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).register(registry, token, of)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, of: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).reregister(registry, token, of)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).deregister(registry)
    }
}
