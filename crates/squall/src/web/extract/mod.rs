//! Extractors: what a handler's parameters are made from.
//!
//! Each is one type that is [`FromRequest`]. What a client got wrong is a 4xx that
//! names the field; what the application lacks is reported before it runs.

mod body;
mod form;
mod json;
mod multipart;
mod parts;
mod path;
mod path_de;
mod query;
mod state;

use std::fmt;

use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

pub(crate) use body::{collect, utf8};
pub use form::Form;
pub(crate) use form::has_form;
pub use json::Json;
pub use multipart::{Multipart, Part};
pub use parts::RemoteAddr;
pub use path::Path;
pub use query::Query;
pub(crate) use query::pairs;
pub use state::State;

/// A type that a handler's parameter can be made of.
///
/// Extractors run in the order of the parameters; the first error is the answer.
///
/// ```
/// use squall::{Error, FromRequest, Request, Result};
///
/// struct ApiKey(String);
///
/// impl FromRequest for ApiKey {
///     async fn from_request(request: &mut Request) -> Result<Self> {
///         match request.headers().get("x-api-key") {
///             Some(key) => Ok(Self(key.to_owned())),
///             None => Err(Error::unauthorized("the header X-Api-Key is missing")),
///         }
///     }
/// }
///
/// async fn handler(ApiKey(key): ApiKey) -> String { key }
/// # let _ = squall::get(handler);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor",
    label = "a handler cannot take this",
    note = "take `Path<T>`, `Query<T>`, `Form<T>`, `Json<T>`, `State<T>`, `Multipart`, `String`, `Bytes` and \
            the like, or, as the last parameter, `Request`"
)]
pub trait FromRequest: Sized + Send {
    /// Makes the value from a request.
    ///
    /// # Errors
    /// The answer, when the request does not hold it.
    fn from_request(request: &mut Request) -> impl Future<Output = Result<Self>> + Send;

    /// Says what the application has to have.
    #[doc(hidden)]
    fn needs(needs: &mut Needs) {
        let _ = needs;
    }
}

/// `None` when the extractor fails.
impl<T: FromRequest> FromRequest for Option<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(T::from_request(request).await.ok())
    }
}

/// The extractor's error, for the handler to deal with.
impl<T: FromRequest> FromRequest for Result<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(T::from_request(request).await)
    }

    fn needs(needs: &mut Needs) {
        T::needs(needs);
    }
}

/// The error of data that does not fit its type: names the field, if there is one.
fn misfit(what: &str, path: &serde_path_to_error::Path, error: impl fmt::Display) -> Error {
    let text = error.to_string();
    let mut field = path.to_string();
    if field == "." {
        // Serde names a missing field in its message alone.
        let missing = text.strip_prefix("missing field `");
        field = missing
            .and_then(|rest| rest.split_once('`'))
            .map_or_else(String::new, |(name, _)| name.to_owned());
    }
    if field.is_empty() {
        return Error::bad_request(format!("{what}: {text}"));
    }
    Error::bad_request(format!("{what}, field {field:?}: {text}")).with_field(field)
}
