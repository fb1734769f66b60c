//! Reads from files: at once what is in memory, on an executor what is not.

use std::fs::File;
use std::io;

/// Reads up to `len` bytes if they need not come from a disk; `None` if they may have to.
///
/// # Errors
/// The file's. `UnexpectedEof` when it has become shorter.
pub(super) fn read_now(file: &File, at: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};

        let mut bytes = vec![0; len];
        let mut slices = [io::IoSliceMut::new(&mut bytes)];
        let read = match preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT) {
            // Not in memory; or a file system that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => return Ok(None),
            read => read?,
        };
        bytes.truncate(read);
        some(bytes).map(Some)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, at, len);
        Ok(None)
    }
}

/// Reads up to `len` bytes; may block.
///
/// # Errors
/// As [`read_now`].
pub(super) fn read(file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    #[cfg(unix)]
    let read = std::os::unix::fs::FileExt::read_at(file, &mut bytes, at)?;
    #[cfg(windows)]
    let read = std::os::windows::fs::FileExt::seek_read(file, &mut bytes, at)?;
    bytes.truncate(read);
    some(bytes)
}

fn some(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if bytes.is_empty() {
        let why = "the file has become shorter while it was sent";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    Ok(bytes)
}
