//! A file's data while it arrives: in memory, then on disk.
//!
//! Writing happens on the executor, in steps; the next chunk is asked for when the last
//! step is on disk, so a slow disk slows the client down. The file is removed when its
//! last owner is dropped: the form, a body that is made of it, or, when the upload is
//! given up during a step, the step itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use squall_loop::{run_on_executor, say};

use crate::draft_file::private;
use crate::file_body::FILE_STEP;
use crate::{Error, Result};

/// The data of a file that was received.
#[derive(Debug)]
pub(super) enum Kept {
    Memory(Bytes),
    Disk(TempFile),
}

/// Receives a file's data.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    in_memory: usize,
    buffer: BytesMut,
    /// The file, once there is one, and what it is written through.
    file: Option<(TempFile, File)>,
}

impl Spool {
    pub(super) fn new(directory: PathBuf, in_memory: usize) -> Self {
        Self {
            directory,
            in_memory,
            buffer: BytesMut::new(),
            file: None,
        }
    }

    pub(super) async fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(chunk);
        let full = match self.file {
            None => self.buffer.len() > self.in_memory,
            Some(_) => self.buffer.len() >= FILE_STEP,
        };
        if full {
            self.flush().await?;
        }
        Ok(())
    }

    /// Everything has been written.
    pub(super) async fn finish(mut self) -> Result<Kept> {
        if self.file.is_some() && !self.buffer.is_empty() {
            self.flush().await?;
        }
        Ok(match self.file {
            Some((path, _)) => Kept::Disk(path),
            None => Kept::Memory(self.buffer.freeze()),
        })
    }

    async fn flush(&mut self) -> Result<()> {
        let (buffer, file) = (std::mem::take(&mut self.buffer), self.file.take());
        let directory = self.directory.clone();
        let step = run_on_executor(move || {
            let (path, mut file) = match file {
                Some(open) => open,
                None => TempFile::create(&directory)?,
            };
            file.write_all(&buffer)?;
            io::Result::Ok((path, file))
        });
        self.file = Some(step.await?.map_err(no_room)?);
        Ok(())
    }
}

/// A spool that cannot be written is not the client's fault, and may be the disk's end.
fn no_room(error: io::Error) -> Error {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    let failed = Error::internal(error);
    match full {
        true => (failed.with_status(http::StatusCode::INSUFFICIENT_STORAGE))
            .show("there is no room for the upload"),
        false => failed,
    }
}

/// The name of a file that is removed when the value is dropped.
#[derive(Debug)]
pub(super) struct TempFile {
    path: PathBuf,
}

impl TempFile {
    /// Makes a file that nobody else can guess, open or read.
    fn create(directory: &Path) -> io::Result<(Self, File)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let name = format!("squall-{:032x}", u128::from_ne_bytes(random));
        let path = directory.join(name);
        let file = private(&path)?;
        Ok((Self { path }, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file another name, which must not exist; copies it where it must.
    pub(super) fn persist(self, target: &Path) -> io::Result<()> {
        match fs::hard_link(&self.path, target) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_) => {
                let (mut from, mut to) = (File::open(&self.path)?, private(target)?);
                io::copy(&mut from, &mut to)
                    .map(drop)
                    .inspect_err(|_| drop(fs::remove_file(target)))
            }
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            say(|| {
                tracing::warn!(
                    target: "squall::web",
                    path = %self.path.display(),
                    %error,
                    "the spooled file of an upload is left behind"
                );
            });
        }
    }
}
