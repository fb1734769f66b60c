//! `Query<T>`: the arguments behind the `?`.

use std::ops::Deref;

use serde::de::DeserializeOwned;

use super::{FromRequest, misfit};
use crate::web::request::Request;
use crate::{Error, Result};

/// The query's arguments as a struct; a repeated name fills a list.
///
/// ```
/// use squall::Query;
///
/// #[derive(serde::Deserialize)]
/// struct Page { number: u32, #[serde(default)] tag: Vec<String> }
///
/// async fn list(Query(page): Query<Page>) -> String {
///     format!("page {} of {:?}", page.number, page.tag)
/// }
/// # let _ = squall::get(list);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "get_query_argument")]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest for Query<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        form("query", request.query().unwrap_or_default().as_bytes()).map(Self)
    }
}

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Reads `application/x-www-form-urlencoded`.
pub(super) fn form<T: DeserializeOwned>(what: &str, encoded: &[u8]) -> Result<T> {
    let deserializer = serde_html_form::Deserializer::from_bytes(encoded);
    serde_path_to_error::deserialize(deserializer)
        .map_err(|error| misfit(what, &error.path().clone(), error.inner()))
}

/// Names and values of `application/x-www-form-urlencoded`, in order.
pub(crate) fn pairs(encoded: &str) -> Result<Vec<(String, String)>> {
    serde_html_form::from_str(encoded)
        .map_err(|error| Error::bad_request(format!("the arguments cannot be read: {error}")))
}
