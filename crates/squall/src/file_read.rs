//! Reads from files: at once what is in memory, with a wait for the disk what is not.

use std::fs::File;
use std::io;

/// Reads into `room`, which is not empty, if nothing has to come from a disk for it;
/// `None` if it may have to.
///
/// # Errors
/// The file's. `UnexpectedEof` when it has become shorter than `at`.
pub(crate) fn read_now(file: &File, room: &mut [u8], at: u64) -> io::Result<Option<usize>> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};

        let mut slices = [io::IoSliceMut::new(room)];
        match preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT) {
            // Not in memory; or a file system that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => Ok(None),
            read => some(read?).map(Some),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, room, at);
        Ok(None)
    }
}

/// Reads into `room`, which is not empty; may block.
///
/// # Errors
/// As [`read_now`].
pub(crate) fn read_at(file: &File, room: &mut [u8], at: u64) -> io::Result<usize> {
    #[cfg(unix)]
    let read = std::os::unix::fs::FileExt::read_at(file, room, at)?;
    #[cfg(windows)]
    let read = std::os::windows::fs::FileExt::seek_read(file, room, at)?;
    some(read)
}

fn some(read: usize) -> io::Result<usize> {
    match read {
        0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file has become shorter while it was sent",
        )),
        read => Ok(read),
    }
}
