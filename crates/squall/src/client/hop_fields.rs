//! `HopFields`: what the client adds to a request for one hop only.
//!
//! The jar's cookies are for one address, the proxy's credentials for one proxy. They are
//! taken off as soon as the answer's head is there, so that no redirect carries them on.

use super::address::Address;
use super::async_http_client::Shared;
use super::error::Cause;
use super::request::HttpRequest;
use super::route::Route;

const COOKIE: &str = "Cookie";
const PROXY_AUTHORIZATION: &str = "Proxy-Authorization";

/// Which fields were added.
#[derive(Default)]
pub(super) struct HopFields {
    cookie: bool,
    proxy: bool,
}

impl HopFields {
    /// Adds what the request does not say itself.
    pub(super) fn add(
        request: &mut HttpRequest,
        shared: &Shared,
        url: &Address,
        route: &Route,
    ) -> Result<Self, Cause> {
        let mut added = Self::default();
        let mut add = |name, value: Option<&str>| match value {
            Some(value) if !request.headers.contains(name) => {
                let set = request.headers.set(name, value);
                set.map_err(|error| Cause::Invalid(error.to_string()))?;
                Ok(true)
            }
            _ => Ok(false),
        };
        if let Some(jar) = &shared.defaults.cookie_jar {
            added.cookie = add(COOKIE, jar.header(url.url()).as_deref())?;
        }
        if let Some(via) = route.relay(url) {
            added.proxy = add(PROXY_AUTHORIZATION, via.authorization())?;
        }
        Ok(added)
    }

    /// Takes them off again.
    pub(super) fn remove(self, request: &mut HttpRequest) {
        for (added, name) in [(self.cookie, COOKIE), (self.proxy, PROXY_AUTHORIZATION)] {
            if added {
                request.headers.remove(name);
            }
        }
    }
}
