//! The answer for an entry: preconditions, ranges, headers.

use http::{Method, StatusCode};
use squall_http::Body;
use squall_http::server::Response;
use squall_http::wire::conditional::{Validators, Verdict, allows_range, evaluate};
use squall_http::wire::multipart::random_boundary;
use squall_http::wire::range::{Ranges, content_range, resolve, unsatisfied_range};
use squall_http::wire::{Headers, date};

use super::content::{Content, Piece};
use super::entry::{Entry, File};
use super::{Asked, Options};
use crate::{Error, Result};

/// For what is asked for by its content's hash: a year, as RFC 9111 suggests at most.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

impl Options {
    /// Answers with the file at `path`.
    pub(super) async fn respond(
        &self,
        asked: Asked<'_>,
        path: &str,
        file: File,
    ) -> Result<Response> {
        let immutable = self.is_by_version(asked.query, path, &file).await;
        let entry = self.choose(asked.headers, path, file).await;
        let mut headers = self.headers(&entry, immutable)?;
        let validators = Validators {
            etag: Some(&entry.etag),
            modified: entry.file.modified(),
        };
        match evaluate(asked.method, asked.headers, &validators) {
            Verdict::Failed => return Err(Error::status(StatusCode::PRECONDITION_FAILED)),
            Verdict::NotModified => {
                return Ok(Response::from_parts(
                    StatusCode::NOT_MODIFIED,
                    headers,
                    Body::empty(),
                ));
            }
            Verdict::Proceed => {}
        }
        let content_type = content_type(path);
        let len = entry.file.len();
        let ranges = match asked.headers.get_bytes("range") {
            Some(value) if *asked.method == Method::GET => {
                match allows_range(asked.headers, &validators) {
                    true => resolve(value, len, self.max_ranges),
                    false => Ranges::Whole,
                }
            }
            // RFC 9110 section 14.2: a Range is defined for GET alone.
            _ => Ranges::Whole,
        };
        if let Some(coding) = entry.coding {
            headers.set("Content-Encoding", coding.name())?;
        }
        let content = match entry.file {
            File::Open { file, .. } => Content::File(file, self.executor.clone()),
            File::Embedded(bytes) => Content::Memory(bytes),
        };
        let (status, body) = match ranges {
            Ranges::Unsatisfiable => {
                return Err(Error::status(StatusCode::RANGE_NOT_SATISFIABLE)
                    .show(format!("the file has {len} bytes"))
                    .with_header("Content-Range", unsatisfied_range(len)));
            }
            Ranges::Whole => {
                headers.set("Content-Type", &content_type)?;
                let short = match *asked.method {
                    Method::HEAD => None,
                    _ => content.short(len),
                };
                let body = short.unwrap_or_else(|| content.body([Piece::Content(0..len)]));
                (StatusCode::OK, body)
            }
            Ranges::Parts(parts) => {
                let body = match parts.as_slice() {
                    [one] => {
                        headers.set("Content-Type", &content_type)?;
                        headers.set("Content-Range", content_range(one, len))?;
                        content.body([Piece::Content(one.clone())])
                    }
                    _ => {
                        let boundary = random_boundary()?;
                        let kind = format!("multipart/byteranges; boundary={boundary}");
                        headers.set("Content-Type", kind)?;
                        content.body(byteranges(parts, &boundary, &content_type, len))
                    }
                };
                (StatusCode::PARTIAL_CONTENT, body)
            }
        };
        Ok(Response::from_parts(status, headers, body))
    }

    /// What every answer with this entry says, 304 too.
    fn headers(&self, entry: &Entry, immutable: bool) -> Result<Headers> {
        let mut headers = Headers::new();
        headers.set("ETag", &entry.etag)?;
        if let Some(modified) = entry.file.modified() {
            headers.set("Last-Modified", date::format(modified))?;
        }
        headers.set("Accept-Ranges", "bytes")?;
        if !self.precompressed.is_empty() {
            headers.set("Vary", "Accept-Encoding")?;
        }
        // What the type says is what it is: no guessing, no script in an upload.
        headers.set("X-Content-Type-Options", "nosniff")?;
        match &self.cache_control {
            _ if immutable => headers.set("Cache-Control", IMMUTABLE)?,
            Some(value) => headers.set("Cache-Control", value)?,
            None => {}
        }
        Ok(headers)
    }

    /// Whether the address holds the hash of the content that is there now. An old hash is
    /// answered, too, but must not be kept: the content is not the one it stands for.
    async fn is_by_version(&self, query: Option<&str>, path: &str, file: &File) -> bool {
        let asked = (query.unwrap_or_default().split('&')).find_map(|pair| pair.strip_prefix("v="));
        let Some(asked) = asked else {
            return false;
        };
        if let Some(version) = self.versions.known(path, file) {
            return version == asked;
        }
        let (versions, path, file) = (self.versions.clone(), path.to_owned(), file.clone());
        let current = self.executor.submit(move || versions.of(&path, &file));
        matches!(current.await, Ok(Ok(version)) if version == asked)
    }
}

/// The pieces of a `multipart/byteranges` body (RFC 9110 section 14.6).
fn byteranges(
    parts: Vec<std::ops::Range<u64>>,
    boundary: &str,
    content_type: &str,
    len: u64,
) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    for (index, part) in parts.into_iter().enumerate() {
        let before = if index == 0 { "" } else { "\r\n" };
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
            content_range(&part, len)
        );
        pieces.push(Piece::Text(head.into()));
        pieces.push(Piece::Content(part));
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
    pieces
}

/// By the name's ending; text is UTF-8.
fn content_type(path: &str) -> String {
    let guess = mime_guess::from_path(path).first_raw();
    match guess.unwrap_or("application/octet-stream") {
        // RFC 9239 section 6.
        "application/javascript" => "text/javascript; charset=utf-8".to_owned(),
        kind if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
        kind => kind.to_owned(),
    }
}
