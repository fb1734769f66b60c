//! The extractors: `Cookies`, `SignedCookies`, `EncryptedCookies`.

use std::sync::Arc;
use std::time::Duration;

use squall_http::Headers;
use squall_http::wire::cookie::{self, SetCookie};

use super::keys::Keys;
use super::{MAX_AGE, clock, encrypted, signed};
use crate::web::extract::FromRequest;
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::web::respond::IntoHeaders;
use crate::{Error, Result};

/// The cookies of a request, in order, and those that its answer sets.
///
/// Values are as they were sent, without the quotes around them (RFC 6265 section
/// 4.2.1). A name may come more than once; which one is meant is not known. At most 256
/// are read.
///
/// Returned beside an answer, as `(cookies, answer)`, it sets what was [`set`](Self::set);
/// see [`web::cookies`](crate::web::cookies).
#[derive(Debug, Clone, Default)]
pub struct Cookies {
    pairs: Vec<(String, String)>,
    secure: bool,
    /// `Set-Cookie` lines.
    set: Headers,
}

impl Cookies {
    /// The first cookie of that name.
    #[doc(alias = "get_cookie")]
    pub fn get(&self, name: &str) -> Option<&str> {
        (self.iter()).find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.pairs.iter()).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a cookie, in place of one with the same name, path and domain that was set
    /// before. Over TLS it is `Secure`, whatever it says.
    ///
    /// # Errors
    /// When name, value or attributes hold what a cookie may not.
    #[doc(alias = "set_cookie")]
    pub fn set(&mut self, cookie: SetCookie) -> Result<()> {
        put(&mut self.set, cookie, self.secure)
    }

    /// Deletes a cookie that was set with path `/` and no domain. Others need a
    /// [`SetCookie::removal`] with their path and domain.
    ///
    /// # Errors
    /// When the name is none.
    #[doc(alias = "clear_cookie")]
    pub fn remove(&mut self, name: &str) -> Result<()> {
        self.set(removal(name))
    }
}

/// Deletes a cookie; one with a prefix is not deleted by one that breaks its promise.
pub(super) fn removal(name: &str) -> SetCookie {
    let prefixed = name.get(..2) == Some("__");
    SetCookie::removal(name).secure(prefixed)
}

/// Whether nobody between the client and this program can read along.
pub(crate) fn is_secure(request: &Request) -> bool {
    request.is_https()
}

/// Writes a cookie into the headers of an answer, in place of the same one.
pub(crate) fn put(headers: &mut Headers, mut cookie: SetCookie, secure: bool) -> Result<()> {
    cookie.secure |= secure;
    let line = cookie.to_header()?;
    let same = identity(&line);
    headers.retain(|name, value| {
        !name.eq_ignore_ascii_case(b"set-cookie")
            || std::str::from_utf8(value).is_ok_and(|value| identity(value) != same)
    });
    headers.append("Set-Cookie", line)?;
    Ok(())
}

/// What makes two cookies the same one: name, domain and path (RFC 6265 section 5.3).
fn identity(line: &str) -> (&str, Option<&str>, Option<&str>) {
    let attribute = |name: &str| {
        let mut attributes = line.split("; ").skip(1);
        attributes.find_map(|attribute| attribute.strip_prefix(name))
    };
    let name = line.split('=').next().unwrap_or_default();
    (name, attribute("Domain="), attribute("Path="))
}

impl FromRequest for Cookies {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let pairs = cookie::all(request.headers())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Self {
            pairs,
            secure: is_secure(request),
            set: Headers::new(),
        })
    }
}

impl IntoHeaders for Cookies {
    fn append_to(self, headers: &mut Headers) -> Result<()> {
        self.set.append_to(headers)
    }
}

/// Cookies that the client can read, but not change.
///
/// The values are Tornado's signed ones, version 2: either reads what the other has set,
/// when both have the same secret. The signature holds for the name, too, and the time is
/// signed with it.
///
/// The application needs [`keys`](crate::Application::keys). See
/// [`web::cookies`](crate::web::cookies) for an example.
#[derive(Debug, Clone)]
#[doc(alias = "get_secure_cookie")]
pub struct SignedCookies {
    cookies: Cookies,
    keys: Arc<Keys>,
}

impl SignedCookies {
    /// The value of that name, if it is genuine and at most 31 days old.
    #[doc(alias = "get_signed_cookie")]
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_within(name, MAX_AGE)
    }

    /// The value of that name, if it is genuine and at most `max_age` old.
    pub fn get_within(&self, name: &str, max_age: Duration) -> Option<String> {
        verified(&self.keys, name, self.cookies.get(name)?, max_age)
    }

    /// Signs the cookie's value, which may be any text, and sets it; see
    /// [`Cookies::set`].
    ///
    /// # Errors
    /// As [`Cookies::set`], also when it is longer than 4096 bytes once it is signed.
    #[doc(alias = "set_signed_cookie")]
    #[doc(alias = "set_secure_cookie")]
    pub fn set(&mut self, cookie: SetCookie) -> Result<()> {
        self.cookies.set(signed(&self.keys, cookie))
    }

    /// Deletes a cookie; see [`Cookies::remove`].
    ///
    /// # Errors
    /// When the name is none.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        self.cookies.remove(name)
    }
}

pub(super) fn verified(keys: &Keys, name: &str, text: &str, max_age: Duration) -> Option<String> {
    let value = signed::verify(keys, name, text, max_age, clock::now())?;
    String::from_utf8(value).ok()
}

pub(super) fn signed(keys: &Keys, mut cookie: SetCookie) -> SetCookie {
    cookie.value = signed::sign(keys, &cookie.name, cookie.value.as_bytes(), clock::now());
    cookie
}

/// Cookies that the client can neither read nor change.
///
/// ChaCha20-Poly1305; the name and the time are bound to the value. The application needs
/// [`keys`](crate::Application::keys).
///
/// ```
/// use squall::{EncryptedCookies, IntoResponse, Result, SetCookie};
///
/// async fn remember(mut cookies: EncryptedCookies, body: String) -> Result<impl IntoResponse> {
///     cookies.set(SetCookie::new("draft", body))?;
///     Ok((cookies, "kept"))
/// }
/// # let _ = squall::post(remember);
/// ```
#[derive(Debug, Clone)]
pub struct EncryptedCookies {
    cookies: Cookies,
    keys: Arc<Keys>,
}

impl EncryptedCookies {
    /// The value of that name, if it is genuine and at most 31 days old.
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_within(name, MAX_AGE)
    }

    /// The value of that name, if it is genuine and at most `max_age` old.
    pub fn get_within(&self, name: &str, max_age: Duration) -> Option<String> {
        opened(&self.keys, name, self.cookies.get(name)?, max_age)
    }

    /// Encrypts the cookie's value, which may be any text, and sets it; see
    /// [`Cookies::set`].
    ///
    /// # Errors
    /// As [`Cookies::set`], also when it is longer than 4096 bytes once it is encrypted.
    pub fn set(&mut self, cookie: SetCookie) -> Result<()> {
        self.cookies.set(sealed(&self.keys, cookie)?)
    }

    /// Deletes a cookie; see [`Cookies::remove`].
    ///
    /// # Errors
    /// When the name is none.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        self.cookies.remove(name)
    }
}

pub(super) fn opened(keys: &Keys, name: &str, text: &str, max_age: Duration) -> Option<String> {
    let value = encrypted::open(keys, name, text, max_age, clock::now())?;
    String::from_utf8(value).ok()
}

pub(super) fn sealed(keys: &Keys, mut cookie: SetCookie) -> Result<SetCookie> {
    cookie.value = encrypted::seal(keys, &cookie.name, cookie.value.as_bytes(), clock::now())?;
    Ok(cookie)
}

/// The application's keys.
pub(crate) fn keys_of(request: &Request) -> Result<Arc<Keys>> {
    let keys = request.state();
    keys.ok_or_else(|| Error::internal("there are no keys: give them with Application::keys"))
}

/// Both extractors with keys are alike but for what they do with a value.
macro_rules! with_keys {
    ($($type:ident)*) => {$(
        impl FromRequest for $type {
            async fn from_request(request: &mut Request) -> Result<Self> {
                Ok(Self {
                    cookies: Cookies::from_request(request).await?,
                    keys: keys_of(request)?,
                })
            }

            fn needs(needs: &mut Needs) {
                needs.keys();
            }
        }

        impl IntoHeaders for $type {
            fn append_to(self, headers: &mut Headers) -> Result<()> {
                self.cookies.append_to(headers)
            }
        }
    )*};
}

with_keys!(SignedCookies EncryptedCookies);
