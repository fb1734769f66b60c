//! `Form<T>`: a form in the body, without files.

use std::ops::Deref;

use serde::de::DeserializeOwned;

use super::{FromRequest, body, query};
use crate::web::request::Request;
use crate::{Error, Result};

const FORM: &str = "application/x-www-form-urlencoded";

/// A urlencoded form as a struct; a repeated name fills a list.
///
/// Forms with files are [`Multipart`](super::Multipart).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "get_body_argument")]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest for Form<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        if !has_form(request) {
            return Err(Error::unsupported_media_type(format!(
                "the body has to be {FORM}"
            )));
        }
        let body = body::collect(request).await?;
        query::form("form", &body).map(Self)
    }
}

/// Whether the body is said to be a urlencoded form.
pub(crate) fn has_form(request: &Request) -> bool {
    body::media_type(request).is_some_and(|media_type| media_type.eq_ignore_ascii_case(FORM))
}

impl<T> Deref for Form<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
