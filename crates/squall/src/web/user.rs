//! Who is asking: looked up once per request, for functions and handler types alike.

use std::ops::Deref;
use std::sync::Arc;

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::extract::FromRequest;
use super::http_error::Prefers;
use super::request::Request;
use crate::{Error, Result};

/// A type of user, and how the one who sent a request is found.
///
/// It is looked up when it is asked for, once per request, with
/// [`Context::current_user`](crate::Context::current_user),
/// [`Context::authenticated`](crate::Context::authenticated) or [`CurrentUser`].
///
/// ```
/// use squall::{Application, CurrentUser, Request, Result, User};
///
/// struct Account { name: String }
///
/// impl User for Account {
///     async fn current_user(request: &mut Request) -> Result<Option<Self>> {
///         let name = request.headers().get("x-user");
///         Ok(name.map(|name| Self { name: name.to_owned() }))
///     }
/// }
///
/// async fn mine(user: CurrentUser<Account>) -> String { format!("{}'s", user.name) }
/// async fn page(user: Option<CurrentUser<Account>>) -> &'static str {
///     if user.is_some() { "welcome back" } else { "welcome" }
/// }
///
/// let application = Application::new().route("/mine", mine).route("/", page);
/// ```
#[doc(alias = "get_current_user")]
pub trait User: Sized + Send + Sync + 'static {
    /// Who has sent the request; `None` when nobody is known to have.
    ///
    /// # Errors
    /// What stands in the way of an answer, such as a database that fails.
    fn current_user(request: &mut Request) -> impl Future<Output = Result<Option<Self>>> + Send;
}

/// Who is asking, as a parameter. Without it, a browser's GET or HEAD is redirected to
/// [`Settings::login_url`](crate::Settings::login_url), with the page it asked for as the
/// argument `next`; everything else is answered with 401.
#[derive(Debug)]
#[doc(alias = "authenticated")]
pub struct CurrentUser<U>(pub Arc<U>);

impl<U: User> FromRequest for CurrentUser<U> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        authenticated(request).await.map(Self)
    }

    async fn optional(request: &mut Request) -> Result<Option<Self>> {
        Ok(current(request).await?.map(Self))
    }
}

impl<U> Deref for CurrentUser<U> {
    type Target = U;

    fn deref(&self) -> &U {
        &self.0
    }
}

/// What was found before.
struct Known<U>(Option<Arc<U>>);

impl<U> Clone for Known<U> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

pub(super) async fn current<U: User>(request: &mut Request) -> Result<Option<Arc<U>>> {
    if let Some(Known(user)) = request.extensions().get::<Known<U>>() {
        return Ok(user.clone());
    }
    let user = U::current_user(request).await?.map(Arc::new);
    request.extensions_mut().insert(Known(user.clone()));
    Ok(user)
}

pub(super) async fn authenticated<U: User>(request: &mut Request) -> Result<Arc<U>> {
    match current(request).await? {
        Some(user) => Ok(user),
        None => Err(unknown(request)),
    }
}

fn unknown(request: &Request) -> Error {
    let browses = matches!(*request.method(), Method::GET | Method::HEAD)
        && Prefers::of(request.headers()) == Prefers::Html;
    match &request.shared().settings.login_url {
        Some(login) if browses => {
            let mut next = request.path().to_owned();
            if let Some(query) = request.query() {
                next = format!("{next}?{query}");
            }
            let next = utf8_percent_encode(&next, NON_ALPHANUMERIC);
            let separator = if login.contains('?') { '&' } else { '?' };
            Error::status(StatusCode::SEE_OTHER)
                .with_header("Location", format!("{login}{separator}next={next}"))
        }
        _ => Error::unauthorized("it has to be known who is asking"),
    }
}
