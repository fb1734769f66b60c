//! `File`: a file from disk as an answer.

use std::fs;
use std::io;
use std::path::Path;

use http::StatusCode;
use squall_http::Body;
use squall_http::server::Response;
use squall_loop::run_on_executor;

use super::IntoResponse;
use crate::Result;
use crate::file_body::{FileBody, open};

/// One file from disk, streamed. Its type is guessed from its name.
///
/// It is read on the executor, piece by piece, as the client takes it, and sent with its
/// length. The path is the program's: never make one of what a client sent.
///
/// ```
/// use squall::{File, Result};
///
/// async fn logo() -> Result<File> {
///     Ok(File::open("/srv/logo.svg").await?)
/// }
/// # let _ = squall::get(logo);
/// ```
#[derive(Debug)]
pub struct File {
    file: fs::File,
    len: u64,
    content_type: String,
}

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// When there is none, or it cannot be read; the error names the path. Answered with
    /// `?` it is a 500 that does not show it: where a missing file is the client's
    /// mistake, say so with [`Error::not_found`](crate::Error::not_found).
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let guessed = mime_guess::from_path(&path).first_or_octet_stream();
        let content_type = match guessed.type_() == "text" {
            true => format!("{guessed}; charset=utf-8"),
            false => guessed.to_string(),
        };
        let opened = run_on_executor(move || open(&path));
        let (file, len) = opened.await.map_err(io::Error::other)??;
        Ok(Self {
            file,
            len,
            content_type,
        })
    }

    /// Says what it is, in place of the guess.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl IntoResponse for File {
    fn into_response(self) -> Result<Response> {
        let body = Body::stream(FileBody::new(self.file, self.len, ()));
        let mut response = Response::new(StatusCode::OK, body);
        let headers = response.headers_mut();
        headers.set("Content-Type", self.content_type)?;
        Ok(response)
    }
}
