//! `Extension<T>`: a value that a middleware attached to the request.

use std::ops::Deref;

use super::FromRequest;
use crate::web::request::Request;
use crate::{Error, Result};

/// The value of type `T` that a middleware attached to this request
/// ([`Request::extensions_mut`]).
///
/// Without one the answer is 500, because a middleware is missing; as an `Option`, it is
/// `None`. For what is the same for every request there is [`State`](super::State).
///
/// ```
/// use squall::{Application, Extension, Next, Request, Response};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// async fn known(mut request: Request, next: Next) -> Response {
///     request.extensions_mut().insert(User("ann".to_owned()));
///     next.run(request).await
/// }
///
/// async fn hello(Extension(User(name)): Extension<User>) -> String { format!("hello, {name}") }
///
/// let application = Application::new().middleware(known).route("/", hello);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromRequest for Extension<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let found = request.extensions().get::<T>().cloned();
        found.map(Self).ok_or_else(|| {
            let name = std::any::type_name::<T>();
            Error::internal(format!("no middleware attached a {name} to the request"))
        })
    }

    fn is_absent(request: &Request) -> bool {
        request.extensions().get::<T>().is_none()
    }
}

impl<T> Deref for Extension<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
