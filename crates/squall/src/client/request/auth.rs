//! Who a request says it is.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::address::{Address, strip_credentials};
use super::super::digest::Credentials;
use super::HttpRequest;

impl HttpRequest {
    /// Basic authentication (RFC 7617).
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        if let Err(why) = self.put_basic(user.as_bytes(), password.as_bytes()) {
            self.fail(format!("basic_auth: {why}"));
        }
        self
    }

    /// # Errors
    /// In words. The first colon ends the user's name: one within it would make it another.
    pub(in crate::client) fn put_basic(
        &mut self,
        user: &[u8],
        password: &[u8],
    ) -> Result<(), String> {
        if user.contains(&b':') {
            return Err("a user name with a colon cannot be sent".to_owned());
        }
        let token = STANDARD.encode([user, b":", password].concat());
        self.authorize(&format!("Basic {token}"))
    }

    /// Digest authentication (RFC 7616): MD5, SHA-256 or SHA-512/256, `qop=auth`.
    ///
    /// The first request to an origin is sent without it, and again once the server has said
    /// what it wants to be proved. The client remembers that for the requests after it, until
    /// the server asks anew. A body that cannot be sent twice ends with the 401.
    #[doc(alias = "auth_mode")]
    pub fn digest_auth(mut self, user: &str, password: &str) -> Self {
        self.rare().digest = Some(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        });
        self
    }

    /// Basic authentication with what a `.netrc` file says about the host, if it says
    /// anything and the request has no `Authorization`.
    ///
    /// `None`: the file that `$NETRC` names, else `~/.netrc`. A redirect to another origin
    /// leaves the credentials behind, and does not look that host up.
    pub fn netrc(mut self, path: Option<&Path>) -> Self {
        self.rare().netrc = Some(path.map(Path::to_owned));
        self
    }

    /// Authentication with a bearer token (RFC 6750).
    pub fn bearer(mut self, token: &str) -> Self {
        if let Err(why) = self.authorize(&format!("Bearer {token}")) {
            self.fail(format!("bearer: {why}"));
        }
        self
    }

    fn authorize(&mut self, value: &str) -> Result<(), String> {
        let set = self.headers.set("Authorization", value);
        set.map_err(|error| error.to_string())
    }

    pub(super) fn take_credentials(&mut self) {
        let Ok(address) = &mut self.url else { return };
        if !address.has_credentials() {
            return;
        }
        let mut url = address.url().clone();
        let decode = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
        let user = decode(url.username());
        let password = decode(url.password().unwrap_or_default());
        strip_credentials(&mut url);
        self.url = Address::of(url);
        if let Err(why) = self.put_basic(&user, &password) {
            self.fail(format!("the address: {why}"));
        }
    }
}
