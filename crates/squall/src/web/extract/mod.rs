//! Extractors: what a handler's parameters are made from.
//!
//! Each is one type that is [`FromRequest`]. What a client got wrong is a 4xx that
//! names the field; what the application lacks is reported before it runs.

mod args;
mod body;
mod extension;
mod form;
mod header;
mod json;
mod multipart;
mod params;
mod parts;
mod path;
mod query;
mod rejection;
mod state;
mod values;

use crate::Result;
use crate::web::handler::Needs;
use crate::web::request::Request;

pub(crate) use args::{pairs, read};
pub(crate) use body::collect;
pub use extension::Extension;
pub use form::Form;
pub(crate) use form::{has_form, has_upload};
pub use header::{Basic, Bearer, Header, LastEventId, TypedHeader, UserAgent};
pub use json::Json;
pub use multipart::{Multipart, Part};
pub use parts::{Host, RemoteAddr};
pub use path::Path;
pub use query::Query;
pub use rejection::{Rejection, RequestPart};
pub use state::State;
pub(crate) use values::Pair;

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

    /// Whether the request holds nothing of it at all, so that `Option<Self>` is `None`.
    ///
    /// Default: false, so that an `Option` fails where the type alone does.
    fn is_absent(request: &Request) -> bool {
        let _ = request;
        false
    }

    /// What `Option<Self>` is, for a type that has to be looked up to know.
    #[doc(hidden)]
    fn optional(request: &mut Request) -> impl Future<Output = Result<Option<Self>>> + Send {
        async move {
            match Self::is_absent(request) {
                true => Ok(None),
                false => Self::from_request(request).await.map(Some),
            }
        }
    }

    /// Says what the application has to have.
    #[doc(hidden)]
    fn needs(needs: &mut Needs) {
        let _ = needs;
    }
}

/// `None` when the request does not have it. What is there and wrong is still refused.
impl<T: FromRequest> FromRequest for Option<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        T::optional(request).await
    }
}

/// The extractor's error, for the handler to deal with: [`Error::rejection`] tells what
/// was wrong.
///
/// [`Error::rejection`]: crate::Error::rejection
impl<T: FromRequest> FromRequest for Result<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(T::from_request(request).await)
    }

    fn needs(needs: &mut Needs) {
        T::needs(needs);
    }
}
