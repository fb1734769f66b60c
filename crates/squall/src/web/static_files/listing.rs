//! A directory's page.

use std::fmt::Write;
use std::io;
use std::time::SystemTime;

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use squall_http::Body;
use squall_http::server::Response;
use squall_http::wire::date;

use super::entry::Directory;
use super::wanted::is_hidden;
use super::{Asked, Options};
use crate::web::http_error::escape;
use crate::{Error, Result};

/// The most names a page shows.
const MAX_NAMES: usize = 10_000;

/// What a segment of a path may hold as it is, and `/` between them.
pub(super) const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

struct Line {
    name: String,
    /// `None` for a directory.
    len: Option<u64>,
    modified: Option<SystemTime>,
}

impl Options {
    /// Lists a directory of the file system; embedded ones have no page.
    pub(super) async fn list(
        &self,
        asked: Asked<'_>,
        path: &str,
        directory: Directory,
    ) -> Result<Response> {
        let Directory::Open(directory) = directory else {
            return Err(Error::status(StatusCode::NOT_FOUND));
        };
        let hidden = self.hidden;
        let lines = self
            .executor
            .submit(move || read(&directory, hidden))
            .await??;
        let title = percent_decode_str(asked.path).decode_utf8_lossy();
        let body = Body::from(page(&title, path.is_empty(), &lines))
            .with_content_type("text/html; charset=utf-8");
        Ok(Response::new(StatusCode::OK, body))
    }
}

/// Reads a directory by its descriptor, so that it is the one that was opened.
#[cfg(unix)]
fn read(directory: &std::fs::File, hidden: bool) -> io::Result<Vec<Line>> {
    use std::time::{Duration, UNIX_EPOCH};

    use rustix::fs::{AtFlags, Dir, FileType, statat};

    let mut lines = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        // A name that is not UTF-8 has no address here.
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if name == "." || name == ".." || (is_hidden(name) && !hidden) {
            continue;
        }
        // A link is not looked through: it may lead out of the root.
        let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !kind.is_file() && !kind.is_dir() {
            continue;
        }
        let modified = u64::try_from(stat.st_mtime).unwrap_or(0);
        lines.push(Line {
            name: name.to_owned(),
            len: kind
                .is_file()
                .then(|| u64::try_from(stat.st_size).unwrap_or(0)),
            modified: Some(UNIX_EPOCH + Duration::from_secs(modified)),
        });
        if lines.len() == MAX_NAMES {
            break;
        }
    }
    lines.sort_by(|a, b| (a.len.is_some(), &a.name).cmp(&(b.len.is_some(), &b.name)));
    Ok(lines)
}

#[cfg(not(unix))]
fn read(_: &std::fs::File, _: bool) -> io::Result<Vec<Line>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn page(title: &str, is_root: bool, lines: &[Line]) -> String {
    let title = escape(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:1rem/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
         padding:0 1rem}}td{{padding:0 1rem 0 0}}td+td{{text-align:right;\
         font-variant-numeric:tabular-nums}}</style></head><body><h1>{title}</h1><table>\n"
    );
    if !is_root {
        page.push_str("<tr><td><a href=\"../\">../</a></td></tr>\n");
    }
    for line in lines {
        let slash = if line.len.is_none() { "/" } else { "" };
        let href = utf8_percent_encode(&line.name, PATH);
        let name = escape(&line.name);
        let len = line.len.map(|len| len.to_string()).unwrap_or_default();
        let modified = line
            .modified
            .map(date::format)
            .unwrap_or([b' '; date::DATE_BYTES]);
        let modified = String::from_utf8_lossy(&modified);
        // A string takes everything. The `./` keeps `a:b` from being read as a scheme.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{href}{slash}\">{name}{slash}</a></td><td>{len}</td>\
             <td>{modified}</td></tr>"
        );
    }
    page.push_str("</table></body></html>\n");
    page
}
