//! `Root`: opens files below a directory, and nothing that lies elsewhere.
//!
//! On Linux the kernel keeps the promise: `openat2` with `RESOLVE_BENEATH` follows links
//! that stay below the root and refuses the others, whatever happens to the tree in the
//! meantime. Where it is missing each directory on the way is opened by itself and no link
//! is followed. A check of the path before it is opened would leave time to change it.

use std::fs::File;
use std::io;
use std::path::PathBuf;

/// A directory that is served. It is opened anew for each file, so that it may be
/// replaced while the server runs.
#[derive(Debug)]
pub(super) struct Root {
    dir: PathBuf,
}

impl Root {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Opens a file or directory below the root, if the kernel has everything about the
    /// way there in memory.
    ///
    /// # Errors
    /// `WouldBlock` when it may have to wait for a disk.
    pub(super) fn open_now(&self, path: &str) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        return beneath(&self.dir, path, rustix::fs::ResolveFlags::CACHED);
        #[cfg(not(target_os = "linux"))]
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Opens a file or directory below the root; may block.
    pub(super) fn open(&self, path: &str) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        match beneath(&self.dir, path, rustix::fs::ResolveFlags::empty()) {
            // An old kernel, or a sandbox that does not know the call.
            Err(error) if is_missing(&error) => {}
            result => return result,
        }
        step_by_step(&self.dir, path)
    }
}

#[cfg(unix)]
const HOW: rustix::fs::OFlags = rustix::fs::OFlags::RDONLY
    .union(rustix::fs::OFlags::CLOEXEC)
    .union(rustix::fs::OFlags::NOCTTY)
    // Opening a named pipe would wait for its writer.
    .union(rustix::fs::OFlags::NONBLOCK);

#[cfg(target_os = "linux")]
fn beneath(
    dir: &std::path::Path,
    path: &str,
    resolve: rustix::fs::ResolveFlags,
) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

    let path = if path.is_empty() { "." } else { path };
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat2(CWD, dir, how, Mode::empty(), resolve)?;
    let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, HOW, Mode::empty(), resolve)?.into())
}

#[cfg(target_os = "linux")]
pub(super) fn is_missing(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(|errno| errno == rustix::io::Errno::NOSYS || errno == rustix::io::Errno::PERM)
}

#[cfg(unix)]
fn step_by_step(dir: &std::path::Path, path: &str) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};

    let directory = HOW | OFlags::DIRECTORY;
    let mut at = openat(CWD, dir, directory, Mode::empty())?;
    let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        let how = if names.peek().is_some() {
            directory
        } else {
            HOW
        };
        at = openat(at, name, how | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at.into())
}

#[cfg(not(unix))]
fn step_by_step(dir: &std::path::Path, path: &str) -> io::Result<File> {
    let root = dir.canonicalize()?;
    let found = root.join(path).canonicalize()?;
    // By components: `/files-old` does not lie below `/files`.
    match found.starts_with(&root) {
        true => File::open(found),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn without_the_kernels_help_no_link_is_followed() {
        let dir = std::env::temp_dir().join(format!("squall-root-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("a")).unwrap();
        std::fs::write(dir.join("a/file"), "x").unwrap();
        let _ = std::os::unix::fs::symlink("a", dir.join("link"));
        let _ = std::os::unix::fs::symlink("a/file", dir.join("link-file"));
        assert!(step_by_step(&dir, "a/file").is_ok());
        assert!(step_by_step(&dir, "").is_ok());
        for path in ["link/file", "link-file", "a/none", "a/file/x"] {
            assert!(step_by_step(&dir, path).is_err(), "{path}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
