//! `Entry`: one representation of a file, with what identifies it.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::StatusCode;
use squall_http::wire::coding::Coding;

use super::root::Root;
use crate::Error;

/// A file whose last change is younger might change again within its clock's tick; FAT's
/// is two seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// Where files come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Directory(Arc<Root>),
    Embedded(&'static [(&'static str, &'static [u8])]),
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    File(File),
    Directory(Directory),
}

/// A file that is open.
#[derive(Debug, Clone)]
pub(super) enum File {
    Open {
        file: Arc<fs::File>,
        len: u64,
        modified: SystemTime,
    },
    Embedded(Bytes),
}

/// A directory.
#[derive(Debug)]
pub(super) enum Directory {
    Open(fs::File),
    /// By its path, without a slash at its end.
    Embedded,
}

impl Found {
    pub(super) fn file(self) -> Option<File> {
        match self {
            Self::File(file) => Some(file),
            Self::Directory(_) => None,
        }
    }

    fn of(file: fs::File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(Self::Directory(Directory::Open(file)));
        }
        if !metadata.is_file() {
            // Pipes, sockets and devices have no content to send.
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self::File(File::Open {
            len: metadata.len(),
            modified: metadata.modified().unwrap_or(UNIX_EPOCH),
            file: Arc::new(file),
        }))
    }
}

impl Source {
    /// Finds a path without waiting for a disk.
    pub(super) fn open_now(&self, path: &str) -> io::Result<Found> {
        match self {
            Self::Directory(root) => Found::of(root.open_now(path)?),
            Self::Embedded(files) => embedded(files, path),
        }
    }

    /// Finds a path; may block.
    pub(super) fn open(&self, path: &str) -> io::Result<Found> {
        match self {
            Self::Directory(root) => Found::of(root.open(path)?),
            Self::Embedded(files) => embedded(files, path),
        }
    }
}

fn embedded(files: &'static [(&str, &[u8])], path: &str) -> io::Result<Found> {
    if let Some((_, bytes)) = files.iter().find(|(name, _)| *name == path) {
        return Ok(Found::File(File::Embedded(Bytes::from_static(bytes))));
    }
    let inside = |name: &str| {
        name.strip_prefix(path)
            .is_some_and(|rest| path.is_empty() || rest.starts_with('/'))
    };
    match files.iter().any(|(name, _)| inside(name)) {
        true => Ok(Found::Directory(Directory::Embedded)),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Whether opening at once failed for a reason that waiting may mend.
pub(super) fn must_wait(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    if super::root::is_missing(error) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

/// The answer to an error of opening.
pub(super) fn status(error: io::Error) -> Error {
    use io::ErrorKind::{
        CrossesDevices, InvalidFilename, NotADirectory, NotFound, PermissionDenied,
    };
    // A link that is not followed, or one that leads to itself.
    #[cfg(unix)]
    if rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::LOOP) {
        return Error::status(StatusCode::NOT_FOUND);
    }
    match error.kind() {
        // A link out of the root "crosses devices".
        NotFound | NotADirectory | InvalidFilename | CrossesDevices => {
            Error::status(StatusCode::NOT_FOUND)
        }
        PermissionDenied => Error::status(StatusCode::FORBIDDEN),
        _ => Error::internal(error),
    }
}

/// One representation of a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) file: File,
    pub(super) coding: Option<Coding>,
    /// With its quotes.
    pub(super) etag: String,
}

impl Entry {
    pub(super) fn new(file: File, coding: Option<Coding>) -> Self {
        let mut etag = match &file {
            File::Open { len, modified, .. } => {
                let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
                let weak = SystemTime::now()
                    .duration_since(*modified)
                    .map_or(true, |age| age < SETTLED);
                let weak = if weak { "W/" } else { "" };
                format!("{weak}\"{:x}-{len:x}", since.as_nanos())
            }
            File::Embedded(bytes) => format!("\"{}", super::versions::hash(bytes)),
        };
        // Each coding is a representation of its own.
        if let Some(coding) = coding {
            etag.push('-');
            etag.push_str(coding.name());
        }
        etag.push('"');
        Self { file, coding, etag }
    }
}

impl File {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Open { len, .. } => *len,
            Self::Embedded(bytes) => bytes.len() as u64,
        }
    }

    pub(super) fn modified(&self) -> Option<SystemTime> {
        match self {
            Self::Open { modified, .. } => Some(*modified),
            Self::Embedded(_) => None,
        }
    }
}
