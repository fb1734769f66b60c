//! A body into a file, which appears in its place when it is whole.
//!
//! It is not waited for until the disk has it: a download can be had again.

use std::io;
use std::path::Path;

use bytes::Bytes;
use squall_loop::run_on_executor;

use super::error::{Cause, FetchError, Phase};
use super::response::HttpResponse;
use crate::draft_file::DraftFile;

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
    let created = on_executor(move || DraftFile::create(path)).await;
    let mut draft = saved(response, created)?;
    let mut body = response.take_body();
    let mut done = 0;
    let mut pieces = Vec::new();
    let mut held = 0;
    loop {
        let chunk = body.chunk().await.transpose();
        let chunk = chunk.map_err(|error| response.error(Phase::Body, Cause::Body(error)))?;
        let end = chunk.is_none();
        if let Some(chunk) = chunk {
            done += chunk.len() as u64;
            held += chunk.len();
            pieces.push(chunk);
        }
        if held >= STEP || (end && held > 0) {
            let pieces = std::mem::take(&mut pieces);
            held = 0;
            let written = on_executor(move || write(draft, &pieces)).await;
            draft = saved(response, written)?;
        }
        if end {
            let finished = on_executor(move || draft.finish()).await;
            saved(response, finished)?;
            response.put_body(body);
            return Ok(done);
        }
        on_progress(done, total);
    }
}

fn write(mut draft: DraftFile, pieces: &[Bytes]) -> io::Result<DraftFile> {
    for piece in pieces {
        draft.write(piece)?;
    }
    Ok(draft)
}

fn saved<T>(response: &HttpResponse, outcome: io::Result<T>) -> Result<T, FetchError> {
    outcome.map_err(|error| response.error(Phase::Save, Cause::Io(error)))
}

async fn on_executor<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    run_on_executor(work).await.map_err(io::Error::other)?
}
