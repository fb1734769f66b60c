//! A file that is written beside its place and moved there when it is whole: whoever reads
//! it sees the old one or the new one, never a part.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// So much of a file's name is in that of its draft: names may have 255 bytes.
const NAME: usize = 200;

/// A file that is not whole yet. Dropping it removes it.
pub(crate) struct DraftFile {
    file: File,
    /// Where it is while it grows; `None` once it is in its place.
    beside: Option<PathBuf>,
    path: PathBuf,
}

impl DraftFile {
    /// A file that whoever the system's defaults allow to can read.
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        Self::made(path, |beside| {
            File::options().write(true).create_new(true).open(beside)
        })
    }

    /// A file for its owner alone.
    pub(crate) fn create_private(path: PathBuf) -> io::Result<Self> {
        Self::made(path, private)
    }

    /// `make` refuses what is there already, be it a link: a draft is nobody else's.
    fn made(path: PathBuf, make: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<Self> {
        // A device, a pipe: nothing is to take its place.
        if fs::metadata(&path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            let file = File::options().write(true).open(&path);
            let file = file.map_err(|error| named(&path, &error))?;
            let beside = None;
            return Ok(Self { file, beside, path });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name
            .get(..name.floor_char_boundary(NAME))
            .unwrap_or_default();
        let salt = RandomState::new().hash_one(&path);
        let beside = path.with_file_name(format!(".{name}.{salt:016x}.part"));
        let file = make(&beside).map_err(|error| named(&path, &error))?;
        let beside = Some(beside);
        Ok(Self { file, beside, path })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| named(&self.path, &error))
    }

    /// Waits until the disk has what was written.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self.beside {
            Some(_) => (self.file.sync_data()).map_err(|error| named(&self.path, &error)),
            // Devices and pipes have nothing to wait for.
            None => Ok(()),
        }
    }

    /// Puts it in its place.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if let Some(beside) = &self.beside {
            fs::rename(beside, &self.path).map_err(|error| named(&self.path, &error))?;
            self.beside = None;
        }
        Ok(())
    }
}

impl Drop for DraftFile {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // It is nobody's; that it cannot be removed helps nobody to know.
            let _ = fs::remove_file(beside);
        }
    }
}

/// Makes a file that did not exist, for its owner alone.
pub(crate) fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
