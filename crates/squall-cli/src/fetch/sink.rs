//! Where the body goes: stdout or a file, written on the executor, so that a reader who
//! takes nothing more holds up no timeout.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use squall::{Bytes, run_on_executor};

pub(super) struct Sink {
    /// None while a piece is being written.
    out: Option<Box<dyn Write + Send>>,
    path: Option<PathBuf>,
}

impl Sink {
    /// Opens the file, of which nothing is left then; none and `-` are stdout.
    pub(super) async fn open(path: Option<&Path>) -> io::Result<Self> {
        let path = path.filter(|path| *path != Path::new("-"));
        let Some(path) = path.map(Path::to_owned) else {
            return Ok(Self {
                out: Some(Box::new(io::stdout())),
                path: None,
            });
        };
        let opened = path.clone();
        let opened = run_on_executor(move || File::create(opened)).await;
        let opened = opened.map_err(io::Error::other)?;
        Ok(Self {
            out: Some(Box::new(opened.map_err(|error| named(&path, &error))?)),
            path: Some(path),
        })
    }

    pub(super) async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let Some(mut out) = self.out.take() else {
            return Err(io::Error::other("a write was given up"));
        };
        let written = run_on_executor(move || {
            out.write_all(&bytes)?;
            out.flush()?;
            Ok(out)
        });
        let written = written
            .await
            .unwrap_or_else(|gone| Err(io::Error::other(gone)));
        self.out = Some(written.map_err(|error: io::Error| match &self.path {
            Some(path) => named(path, &error),
            None => error,
        })?);
        Ok(())
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
