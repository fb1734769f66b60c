//! `Query<T>`: the arguments behind the `?`.

use std::ops::Deref;

use serde::de::DeserializeOwned;

use super::{FromRequest, RequestPart, args};
use crate::Result;
use crate::web::request::Request;

/// The query's arguments as a struct, a map or a list of pairs.
///
/// A list takes every value of its name; anything else refuses a name that came more
/// than once, because two readers might choose different values. An empty value is
/// `None` for an `Option`; `on` and `1` are true. Names that the type does not know are
/// ignored. At most `max_arguments` (1000) are read. As an `Option`, it is `None`
/// without a query.
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
        let pairs = request.query_arguments()?;
        args::read(RequestPart::Query, &pairs).map(Self)
    }

    fn is_absent(request: &Request) -> bool {
        request.query().is_none_or(str::is_empty)
    }
}

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
