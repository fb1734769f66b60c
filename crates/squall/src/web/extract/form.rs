//! `Form<T>`: a form in the body, without files.

use std::ops::Deref;

use serde::de::DeserializeOwned;

use super::{FromRequest, RequestPart, args, body};
use crate::Result;
use crate::web::handler::Needs;
use crate::web::request::Request;

const FORM: &str = "application/x-www-form-urlencoded";

/// A urlencoded form as a struct, a map or a list of pairs; read as [`Query`] is.
///
/// It has to be `application/x-www-form-urlencoded` (415) in UTF-8, of at most
/// `max_collected_body` bytes (413). As an `Option`, it is `None` without a body. Forms
/// with files are [`Upload`](crate::Upload) or [`Multipart`](super::Multipart).
///
/// [`Query`]: super::Query
///
/// ```
/// use squall::Form;
///
/// #[derive(serde::Deserialize)]
/// struct Signup { name: String, age: Option<u8>, #[serde(default)] newsletter: bool }
///
/// async fn sign_up(Form(form): Form<Signup>) -> String {
///     format!("{}, {:?}: {}", form.name, form.age, form.newsletter)
/// }
/// # let _ = squall::post(sign_up);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "get_body_argument")]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest for Form<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        if !has_form(request) {
            return Err(body::wrong_type(request, RequestPart::Form, FORM));
        }
        body::refuse_other_charsets(request, RequestPart::Form)?;
        let limit = request.shared().settings.max_arguments;
        let body = body::collect(request).await?;
        let pairs = args::pairs(RequestPart::Form, &body, limit)?;
        args::read(RequestPart::Form, &pairs).map(Self)
    }

    fn is_absent(request: &Request) -> bool {
        body::is_absent(request)
    }

    fn needs(needs: &mut Needs) {
        needs.body::<Self>();
    }
}

/// Whether the body is said to be a urlencoded form.
pub(crate) fn has_form(request: &Request) -> bool {
    body::media_type(request).is_some_and(|media_type| media_type.eq_ignore_ascii_case(FORM))
}

/// Whether the body is said to be a multipart form.
pub(crate) fn has_upload(request: &Request) -> bool {
    let media_type = body::media_type(request);
    media_type.is_some_and(|found| found.eq_ignore_ascii_case("multipart/form-data"))
}

impl<T> Deref for Form<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
