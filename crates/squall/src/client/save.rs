//! A body into a file, written beside its place and moved there when it is whole.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use squall_loop::run_on_executor;

use super::error::{Cause, FetchError, Phase};
use super::response::HttpResponse;

/// What is collected before it is written, where the server sends small pieces.
const STEP: usize = 128 << 10;

/// Reads the body into the file at `path`.
pub(super) async fn save(
    response: &mut HttpResponse,
    path: &Path,
    mut on_progress: impl FnMut(u64, Option<u64>),
) -> Result<u64, FetchError> {
    let total = response.content_length();
    let path = path.to_owned();
    let created = on_executor(move || Partial::create(path)).await;
    let mut partial = saved(response, created)?;
    let mut done = 0;
    let mut pieces = Vec::new();
    let mut held = 0;
    loop {
        let chunk = response.chunk().await?;
        let end = chunk.is_none();
        if let Some(chunk) = chunk {
            done += chunk.len() as u64;
            held += chunk.len();
            pieces.push(chunk);
        }
        if held >= STEP || (end && held > 0) {
            let pieces = std::mem::take(&mut pieces);
            held = 0;
            let written = on_executor(move || partial.write(&pieces)).await;
            partial = saved(response, written)?;
        }
        if end {
            let finished = on_executor(move || partial.finish()).await;
            saved(response, finished)?;
            return Ok(done);
        }
        on_progress(done, total);
    }
}

fn saved<T>(response: &HttpResponse, outcome: io::Result<T>) -> Result<T, FetchError> {
    outcome.map_err(|error| response.error(Phase::Save, Cause::Io(error)))
}

async fn on_executor<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    run_on_executor(work).await.map_err(io::Error::other)?
}

/// So much of a file's name is in that of its draft: names may have 255 bytes.
const NAME: usize = 200;

/// A file that is not whole yet. Dropping it removes it.
struct Partial {
    file: File,
    /// Where it is while it grows; `None` once it is in its place.
    beside: Option<PathBuf>,
    path: PathBuf,
}

impl Partial {
    fn create(path: PathBuf) -> io::Result<Self> {
        // A device, a pipe: nothing is to take its place.
        if fs::metadata(&path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            let file = File::options().write(true).open(&path)?;
            let beside = None;
            return Ok(Self { file, beside, path });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name
            .get(..name.floor_char_boundary(NAME))
            .unwrap_or_default();
        let salt = RandomState::new().hash_one(&path);
        let beside = path.with_file_name(format!(".{name}.{salt:016x}.part"));
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::options().write(true).create_new(true).open(&beside);
        Ok(Self {
            file: file.map_err(named)?,
            beside: Some(beside),
            path,
        })
    }

    fn write(mut self, pieces: &[Bytes]) -> io::Result<Self> {
        for piece in pieces {
            self.file.write_all(piece)?;
        }
        Ok(self)
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(beside) = &self.beside {
            fs::rename(beside, &self.path)?;
            self.beside = None;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // It is nobody's; that it cannot be removed helps nobody to know.
            let _ = fs::remove_file(beside);
        }
    }
}
