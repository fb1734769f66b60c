//! Cookies in a `RequestHandler`, by Tornado's names.

use squall_http::wire::cookie;

use super::jar::{is_secure, keys_of, opened, put, removal, sealed, signed, verified};
use super::{MAX_AGE, SetCookie};
use crate::Result;
use crate::web::handler::Context;

impl Context {
    /// The first cookie of that name which the client sent.
    #[doc(alias = "get_cookie")]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        cookie::get(self.request().headers(), name)
    }

    /// Sets a cookie, in place of one with the same name, path and domain that was set
    /// before. Over TLS it is `Secure`, whatever it says.
    ///
    /// # Errors
    /// When name, value or attributes hold what a cookie may not.
    pub fn set_cookie(&mut self, cookie: SetCookie) -> Result<()> {
        let secure = is_secure(self.request());
        put(self.headers_mut(), cookie, secure)
    }

    /// Deletes a cookie that was set with path `/` and no domain. Others need a
    /// [`SetCookie::removal`] with their path and domain.
    ///
    /// # Errors
    /// When the name is none.
    pub fn clear_cookie(&mut self, name: &str) -> Result<()> {
        self.set_cookie(removal(name))
    }

    /// The signed cookie of that name, if it is genuine and at most 31 days old; see
    /// [`SignedCookies`](crate::SignedCookies).
    ///
    /// # Errors
    /// 500 when the application has no [`keys`](crate::Application::keys).
    #[doc(alias = "get_signed_cookie")]
    #[doc(alias = "get_secure_cookie")]
    pub fn signed_cookie(&self, name: &str) -> Result<Option<String>> {
        let keys = keys_of(self.request())?;
        let text = self.cookie(name);
        Ok(text.and_then(|text| verified(&keys, name, text, MAX_AGE)))
    }

    /// Signs a cookie's value and sets it. It lives until the browser closes, unless it
    /// has a [`max_age`](SetCookie::max_age); Tornado's default is 30 days.
    ///
    /// # Errors
    /// As [`set_cookie`](Self::set_cookie) and [`signed_cookie`](Self::signed_cookie).
    #[doc(alias = "set_secure_cookie")]
    pub fn set_signed_cookie(&mut self, cookie: SetCookie) -> Result<()> {
        let keys = keys_of(self.request())?;
        self.set_cookie(signed(&keys, cookie))
    }

    /// The encrypted cookie of that name, if it is genuine and at most 31 days old; see
    /// [`EncryptedCookies`](crate::EncryptedCookies).
    ///
    /// # Errors
    /// As [`signed_cookie`](Self::signed_cookie).
    pub fn encrypted_cookie(&self, name: &str) -> Result<Option<String>> {
        let keys = keys_of(self.request())?;
        let text = self.cookie(name);
        Ok(text.and_then(|text| opened(&keys, name, text, MAX_AGE)))
    }

    /// Encrypts a cookie's value and sets it.
    ///
    /// # Errors
    /// As [`set_cookie`](Self::set_cookie) and [`signed_cookie`](Self::signed_cookie).
    pub fn set_encrypted_cookie(&mut self, cookie: SetCookie) -> Result<()> {
        let keys = keys_of(self.request())?;
        self.set_cookie(sealed(&keys, cookie)?)
    }
}
