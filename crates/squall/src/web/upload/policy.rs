//! `UploadPolicy`: what an upload may be, as one value.

use std::path::{Path, PathBuf};

use squall_http::wire::multipart::MultipartLimits;

use super::file_name::extension;
use crate::web::extract::{Rejection, RequestPart};
use crate::{Error, Result};

/// What an upload may be: sizes, counts, types, and where files are kept.
///
/// One holds for the whole application ([`Settings::uploads`](crate::Settings::uploads)),
/// a handler may take another one ([`Multipart::with_policy`](crate::Multipart::with_policy)).
/// It rules both ways of reading a form; what is only for collected ones says so. The
/// first thing that breaks it ends the reading: 413 or 415, which names the field and
/// the setting.
///
/// ```
/// use squall::UploadPolicy;
///
/// let photos = UploadPolicy::new()
///     .files(3)
///     .file(10 << 20)
///     .types(["image/png", "image/jpeg"])
///     .extensions(["png", "jpg", "jpeg"]);
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to Settings::uploads or Multipart::with_policy"]
pub struct UploadPolicy {
    pub(crate) limits: MultipartLimits,
    pub(crate) total: u64,
    pub(crate) fields: u64,
    pub(crate) file: u64,
    pub(crate) files: usize,
    pub(crate) kept: u64,
    pub(crate) in_memory: usize,
    types: Vec<String>,
    extensions: Vec<String>,
    pub(crate) directory: Option<PathBuf>,
}

impl Default for UploadPolicy {
    fn default() -> Self {
        Self {
            limits: MultipartLimits::default(),
            total: u64::MAX,
            fields: 1 << 20,
            file: u64::MAX,
            files: 100,
            kept: 50 << 20,
            in_memory: 64 << 10,
            types: Vec::new(),
            extensions: Vec::new(),
            directory: None,
        }
    }
}

impl UploadPolicy {
    /// The default: any type, up to 100 files and 1 MiB of fields; a collected form of
    /// up to 50 MiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// What may be spent on everything but data: parts, their headers, the preamble.
    pub fn limits(mut self, limits: MultipartLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Bytes of data of all parts. Default: no limit but the server's `max_body_size`.
    pub fn total(mut self, bytes: u64) -> Self {
        self.total = bytes;
        self
    }

    /// Bytes of all fields that are no files. Default: 1 MiB.
    pub fn fields(mut self, bytes: u64) -> Self {
        self.fields = bytes;
        self
    }

    /// Bytes of each file. Default: no limit but those of the whole.
    pub fn file(mut self, bytes: u64) -> Self {
        self.file = bytes;
        self
    }

    /// Number of files. Default: 100.
    pub fn files(mut self, count: usize) -> Self {
        self.files = count;
        self
    }

    /// Bytes of all files that one collected form ([`Upload`](crate::Upload)) may keep,
    /// in memory and on disk. Default: 50 MiB.
    pub fn kept(mut self, bytes: u64) -> Self {
        self.kept = bytes;
        self
    }

    /// Bytes of each file of a collected form that stay in memory; a longer file is
    /// spooled to disk. Default: 64 KiB.
    pub fn in_memory(mut self, bytes: usize) -> Self {
        self.in_memory = bytes;
        self
    }

    /// The content types that files may say they are, such as `image/png` or `image/*`.
    /// Default: any. It is the client's word: look at the data before you trust it.
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// The extensions that files' names may have, without the dot; case does not count.
    /// Default: any, and none.
    pub fn extensions<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.extensions = names.into_iter().map(Into::into).collect();
        self
    }

    /// Where files are spooled. Default: the system's directory for temporary files.
    ///
    /// On the file system where they will be saved, saving one costs no copy.
    pub fn directory(mut self, path: impl AsRef<Path>) -> Self {
        self.directory = Some(path.as_ref().to_owned());
        self
    }

    /// Whether one more file may be called and typed like this.
    pub(crate) fn admit(
        &self,
        count: usize,
        field: &str,
        filename: &str,
        content_type: Option<&str>,
    ) -> Result<()> {
        let refuse = |rejection, why: String| {
            Err(Error::rejected(RequestPart::Upload, rejection, why).with_field(field.to_owned()))
        };
        if count > self.files {
            let limit = self.files;
            let why = format!("more than {limit} files (setting: uploads.files)");
            return refuse(Rejection::TooMany, why)
                .map_err(|error| error.with_status(http::StatusCode::PAYLOAD_TOO_LARGE));
        }
        // A file input that was left empty has no name, and some type.
        if filename.is_empty() {
            return Ok(());
        }
        let said = content_type.unwrap_or("text/plain"); // RFC 7578 section 4.4
        let essence = said.split(';').next().unwrap_or_default().trim();
        if !self.types.is_empty() && !self.types.iter().any(|known| covers(known, essence)) {
            let all = self.types.join(", ");
            let why = format!(
                "the file is {essence:?}, and has to be one of {all} (setting: uploads.types)"
            );
            return refuse(Rejection::MediaType, why);
        }
        let found = extension(filename);
        let known = |known: &String| known.eq_ignore_ascii_case(found);
        if !self.extensions.is_empty() && !self.extensions.iter().any(known) {
            let all = self.extensions.join(", ");
            let why = format!(
                "the file's name ends with {found:?}, and has to with one of {all} \
                 (setting: uploads.extensions)"
            );
            return refuse(Rejection::MediaType, why);
        }
        Ok(())
    }
}

/// Whether a content type is one of `known`, which may end with `/*`.
fn covers(known: &str, essence: &str) -> bool {
    match known.strip_suffix('*') {
        Some(family) => essence
            .get(..family.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(family)),
        None => known.eq_ignore_ascii_case(essence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_admitted_by_number_type_and_extension() {
        let policy = UploadPolicy::new()
            .files(2)
            .types(["image/*", "text/plain"])
            .extensions(["png", "TXT"]);
        let admit = |count, filename, kind| policy.admit(count, "f", filename, kind);
        assert!(admit(1, "a.PNG", Some("IMAGE/png; x=y")).is_ok());
        assert!(admit(2, "a.txt", None).is_ok());
        assert!(admit(1, "", Some("application/octet-stream")).is_ok());
        for (count, filename, kind, status, setting) in [
            (3, "a.png", Some("image/png"), 413, "uploads.files"),
            (1, "a.png", Some("imagex/png"), 415, "uploads.types"),
            (1, "a.png", Some("text/html"), 415, "uploads.types"),
            (1, "a.png.php", Some("image/png"), 415, "uploads.extensions"),
            (1, "png", Some("image/png"), 415, "uploads.extensions"),
            (
                1,
                "a.png\0.php",
                Some("image/png"),
                415,
                "uploads.extensions",
            ),
            (
                1,
                "a.php/.png",
                Some("image/png"),
                415,
                "uploads.extensions",
            ),
        ] {
            let error = admit(count, filename, kind).unwrap_err();
            assert_eq!(error.status_code().as_u16(), status, "{filename}");
            assert!(error.to_string().contains(setting), "{error}");
            assert_eq!(error.field(), Some("f"));
        }
    }
}
