//! `Upload`: a form with files, collected.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::file::UploadedFile;
use super::policy::UploadPolicy;
use super::spool::Spool;
use crate::web::extract::{self, FromRequest, Multipart, Pair, Part, Rejection, RequestPart};
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// A form with files (`multipart/form-data`), collected: fields in memory, files spooled
/// to disk when they are large.
///
/// What it may be is the application's [`UploadPolicy`]; a route with a policy of its
/// own takes a [`Multipart`] and collects that. As an `Option`, it is `None` without a
/// body.
///
/// ```
/// use squall::{Result, Upload};
///
/// async fn upload(mut form: Upload) -> Result<String> {
///     let title = form.field("title")?.to_owned();
///     let photo = form.take_file("photo")?;
///     let name = photo.safe_file_name();
///     photo.save_to(std::path::Path::new("/srv/photos").join(&name)).await?;
///     Ok(format!("{title} is {name} now"))
/// }
/// # let _ = squall::post(upload);
/// ```
#[derive(Debug, Default)]
pub struct Upload {
    fields: Vec<(String, String)>,
    files: Vec<UploadedFile>,
}

impl FromRequest for Upload {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Multipart::from_request(request).await?.collect().await
    }

    fn is_absent(request: &Request) -> bool {
        Multipart::is_absent(request)
    }

    fn needs(needs: &mut Needs) {
        needs.body::<Self>();
    }
}

impl Upload {
    /// The fields that are no files, in order.
    #[doc(alias = "body_arguments")]
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.fields.iter()).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The last value of a field.
    ///
    /// # Errors
    /// 400 that names the field, when there is none.
    #[doc(alias = "get_body_argument")]
    pub fn field(&self, name: &str) -> Result<&str> {
        let mut all = self.fields().filter(|(known, _)| *known == name);
        let last = all.by_ref().last();
        last.map(|(_, value)| value)
            .ok_or_else(|| Error::missing_argument(name).part_of(RequestPart::Upload))
    }

    /// The fields that are no files as a type, as [`Form`](crate::Form) reads them.
    ///
    /// # Errors
    /// 400 that names the field.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let pairs: Vec<Pair<'_>> = self
            .fields()
            .map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)))
            .collect();
        extract::read(RequestPart::Upload, &pairs)
    }

    /// The files, in order. A file input that was left empty is none.
    pub fn files(&self) -> &[UploadedFile] {
        &self.files
    }

    /// The first file of a field.
    ///
    /// # Errors
    /// 400 that names the field, when it has no file.
    pub fn file(&self, name: &str) -> Result<&UploadedFile> {
        (self.files.iter().find(|file| file.name == name)).ok_or_else(|| no_file(name))
    }

    /// Takes the first file of a field out of the form.
    ///
    /// # Errors
    /// 400 that names the field, when it has no file.
    pub fn take_file(&mut self, name: &str) -> Result<UploadedFile> {
        let at = self.files.iter().position(|file| file.name == name);
        let at = at.ok_or_else(|| no_file(name))?;
        Ok(self.files.remove(at))
    }

    /// All files; the fields are dropped.
    pub fn into_files(self) -> Vec<UploadedFile> {
        self.files
    }

    pub(crate) fn into_parts(self) -> (Vec<(String, String)>, Vec<UploadedFile>) {
        (self.fields, self.files)
    }

    pub(crate) async fn collect(form: &mut Multipart, policy: &UploadPolicy) -> Result<Self> {
        let mut whole = Self::default();
        let mut kept = 0;
        while let Some(mut part) = form.next_part().await? {
            if part.filename().is_none() {
                let value = part.text(usize::MAX).await?;
                whole.fields.push((part.name().to_owned(), value));
            } else if let Some(file) = receive(&mut part, policy, &mut kept).await? {
                whole.files.push(file);
            }
        }
        Ok(whole)
    }
}

fn no_file(name: &str) -> Error {
    let shown = format!("the file {name:?} is missing");
    Error::rejected(RequestPart::Upload, Rejection::Missing, shown).with_field(name.to_owned())
}

/// Receives one file; `None` when nothing was chosen.
async fn receive(
    part: &mut Part,
    policy: &UploadPolicy,
    kept: &mut u64,
) -> Result<Option<UploadedFile>> {
    let directory = policy.directory.clone().unwrap_or_else(std::env::temp_dir);
    let mut spool = Spool::new(directory, policy.in_memory);
    let mut len = 0;
    while let Some(chunk) = part.chunk().await? {
        len += chunk.len() as u64;
        *kept += chunk.len() as u64;
        if *kept > policy.kept {
            let limit = policy.kept;
            let shown = format!("the files are larger than {limit} bytes (setting: uploads.kept)");
            return Err(
                Error::rejected(RequestPart::Upload, Rejection::TooLarge, shown)
                    .with_field(part.name().to_owned()),
            );
        }
        spool.write(&chunk).await?;
    }
    let filename = part.filename().unwrap_or_default().to_owned();
    if filename.is_empty() && len == 0 {
        return Ok(None);
    }
    Ok(Some(UploadedFile {
        name: part.name().to_owned(),
        filename,
        content_type: part.content_type().map(str::to_owned),
        len,
        kept: spool.finish().await?,
    }))
}
