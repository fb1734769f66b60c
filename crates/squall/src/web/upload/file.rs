//! `UploadedFile`: one file of a collected form.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use squall_http::Body;
use squall_loop::run_on_executor;

use super::file_name::safe_file_name;
use super::spool::Kept;
use crate::draft_file::private;
use crate::file_body::{FileBody, open};

/// One file of an upload, in memory or, when it is large, spooled to disk.
///
/// A spooled file is removed when the value is dropped.
#[doc(alias = "HTTPFile")]
pub struct UploadedFile {
    pub(super) name: String,
    pub(super) filename: String,
    pub(super) content_type: Option<String>,
    pub(super) len: u64,
    pub(super) kept: Kept,
}

impl UploadedFile {
    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's name as the client sent it. Never a path to write to:
    /// [`safe_file_name`](Self::safe_file_name) is for that.
    pub fn filename(&self) -> &str {
        &self.filename
    }

    /// The file's name as one that may be used here; see [`safe_file_name`].
    ///
    /// [`safe_file_name`]: crate::safe_file_name
    pub fn safe_file_name(&self) -> String {
        safe_file_name(&self.filename)
    }

    /// What the client says it is. Unchecked.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it was large enough to be spooled to disk.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.kept, Kept::Disk(_))
    }

    /// The whole file in memory.
    ///
    /// # Errors
    /// When the spooled file cannot be read.
    ///
    /// # Cancel safety
    /// The file stays as it is.
    pub async fn bytes(&self) -> io::Result<Bytes> {
        match &self.kept {
            Kept::Memory(bytes) => Ok(bytes.clone()),
            Kept::Disk(file) => {
                let path = file.path().to_owned();
                let read = run_on_executor(move || std::fs::read(path));
                read.await.map_err(io::Error::other)?.map(Bytes::from)
            }
        }
    }

    /// Saves the file at a path that does not exist yet, readable by its owner alone.
    ///
    /// A spooled file changes its name where the file system allows it, and is copied
    /// otherwise. The path is yours to choose: of the client's words only
    /// [`safe_file_name`](Self::safe_file_name) is fit to be a part of it.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when something has that name;
    /// nothing is ever overwritten. What the file system says, otherwise.
    ///
    /// # Cancel safety
    /// When it is dropped, the file may be saved all the same.
    pub async fn save_to(self, path: impl AsRef<Path>) -> io::Result<()> {
        let (path, kept) = (path.as_ref().to_owned(), self.kept);
        let saved = run_on_executor(move || match kept {
            Kept::Memory(bytes) => private(&path)?.write_all(&bytes),
            Kept::Disk(file) => file.persist(&path),
        });
        saved.await.map_err(io::Error::other)?
    }

    /// The file as a body, to be sent elsewhere. A spooled one is removed when the body
    /// is dropped.
    ///
    /// # Errors
    /// When the spooled file cannot be opened.
    ///
    /// # Cancel safety
    /// When it is dropped, so is the file.
    pub async fn into_body(self) -> io::Result<Body> {
        match self.kept {
            Kept::Memory(bytes) => Ok(bytes.into()),
            Kept::Disk(temp) => {
                let opened = run_on_executor(move || open(temp.path()).map(|file| (file, temp)));
                let ((file, len), temp) = opened.await.map_err(io::Error::other)??;
                Ok(Body::stream(FileBody::new(file, len, temp)))
            }
        }
    }
}

impl fmt::Debug for UploadedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadedFile")
            .field("name", &self.name)
            .field("filename", &self.filename)
            .field("content_type", &self.content_type)
            .field("len", &self.len)
            .field("is_on_disk", &self.is_on_disk())
            .finish()
    }
}
