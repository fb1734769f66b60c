//! What is sent from a file, a pipe or stdin, read as the server takes it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use squall::{Body, BodyError, Bytes, file_body, run_on_executor};

/// How much is read at a time.
const STEP: usize = 64 << 10;

/// The body that `path` names; `-` is stdin.
///
/// A file has a length and can be sent again; what else there is (pipes, devices) is read
/// once, to its end.
pub(super) async fn source(path: &str) -> io::Result<Body> {
    if path == "-" {
        return Ok(reader(io::stdin()));
    }
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        let owned = path.to_owned();
        let opened = run_on_executor(move || File::open(owned)).await;
        return Ok(reader(opened.map_err(io::Error::other)??));
    }
    file_body(Path::new(path)).await
}

fn reader(from: impl Read + Send + 'static) -> Body {
    let from = Arc::new(Mutex::new(from));
    Body::from_fn(move || {
        let from = from.clone();
        async move {
            let read = run_on_executor(move || {
                let mut from = from.lock().unwrap_or_else(PoisonError::into_inner);
                let mut step = vec![0; STEP];
                let read = from.read(&mut step)?;
                step.truncate(read);
                Ok(Bytes::from(step))
            });
            let read = read
                .await
                .unwrap_or_else(|gone| Err(io::Error::other(gone)));
            match read {
                Ok(step) if step.is_empty() => None,
                read => Some(read.map_err(BodyError::Io)),
            }
        }
    })
}
