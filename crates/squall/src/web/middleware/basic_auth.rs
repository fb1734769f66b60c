//! `BasicAuth`: a name and a password in front of everything (RFC 7617).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use squall_http::Headers;
use squall_http::server::ResponseFuture;

use super::{Middleware, Next, visit};
use crate::Error;
use crate::web::cookies::random;
use crate::web::request::Request;

type Check = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// Asks for a name and a password: 401 with `WWW-Authenticate` until they are right.
///
/// They are sent in the clear: use it over TLS. For a person or two, a tool, a page of
/// figures; for users there are [`session`](crate::session)s.
///
/// ```
/// use squall::Application;
/// use squall::middleware::BasicAuth;
///
/// let application = Application::new().middleware(BasicAuth::user("figures", "ada", "secret"));
/// ```
#[derive(Clone)]
pub struct BasicAuth {
    challenge: Arc<str>,
    check: Check,
}

impl BasicAuth {
    /// One user. Both are compared in constant time.
    pub fn user(realm: &str, name: impl Into<String>, password: impl Into<String>) -> Self {
        let (name, password) = (name.into(), password.into());
        Self::new(realm, move |sent, guess| {
            // Both, always: the time must not tell which was wrong.
            same_secret(sent, &name) & same_secret(guess, &password)
        })
    }

    /// Whoever `check` knows, by name and password. It may block, as handlers may; see
    /// [`same_secret`].
    pub fn new(realm: &str, check: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        let realm: String = realm.chars().filter(|char| is_plain(*char)).collect();
        Self {
            challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\"").into(),
            check: Arc::new(check),
        }
    }

    fn knows(&self, headers: &Headers) -> bool {
        credentials(headers).is_some_and(|(name, password)| (self.check)(&name, &password))
    }
}

/// What needs no escape in a quoted string.
fn is_plain(char: char) -> bool {
    (char.is_ascii_graphic() || char == ' ') && !matches!(char, '"' | '\\')
}

fn credentials(headers: &Headers) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Whether two secrets are the same, in a time that tells nothing of where they differ.
///
/// ```
/// use squall::middleware::same_secret;
///
/// assert!(same_secret("token", "token"));
/// assert!(!same_secret("token", "taken"));
/// ```
pub fn same_secret(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    // Both are hashed with a key that nobody knows, so that what is compared depends on
    // neither in a way that could be guessed.
    let Ok(key) = random::<32>() else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, one.as_ref());
    hmac::verify(&key, other.as_ref(), tag.as_ref()).is_ok()
}

impl Middleware for BasicAuth {
    fn call(&self, request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let this = self.clone();
        Box::pin(visit.attend(async move {
            if this.knows(request.headers()) {
                return Ok(next.run(request).await);
            }
            let error = Error::unauthorized("a name and a password are needed");
            Err(error.with_header("WWW-Authenticate", this.challenge.as_bytes()))
        }))
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth")
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}
