//! `HttpRequest`: what to fetch and how, in Tornado's words.

mod auth;
mod body;
mod options;
mod timeouts;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use squall_http::client::{OnHead, OnInformational};
use squall_http::{Body, Headers};
use url::Url;

use super::address::Address;
use super::async_http_client::Defaults;
use super::digest::Credentials;
use super::retry::Retry;
use super::route::{Detour, Route};
pub(super) use timeouts::{Waits, unless_zero};

/// A request to be fetched.
///
/// Whatever is wrong with it (an address that is none, a header that cannot be sent) is
/// reported by the fetch, as an error of `Phase::Request`.
///
/// ```
/// use squall::client::HttpRequest;
/// let request = HttpRequest::post("http://a.test/items?kind=b")
///     .header("X-Trace", "1")
///     .json(&serde_json::json!({"name": "rsj217"}))
///     .request_timeout(std::time::Duration::from_secs(5));
/// ```
#[derive(Debug)]
#[doc(alias = "HTTPRequest")]
pub struct HttpRequest {
    pub(super) method: Method,
    /// The address, or what is wrong with the request.
    pub(super) url: Result<Address, String>,
    pub(super) host: Option<String>,
    pub(super) headers: Headers,
    pub(super) body: Body,
    pub(super) close: bool,
    pub(super) takes_trailers: bool,
    pub(super) expect_continue: bool,
    pub(super) follow_redirects: bool,
    pub(super) request_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) inherit_deadline: bool,
    pub(super) raise_error: Option<bool>,
    pub(super) decompress: Option<bool>,
    user_agent: bool,
    /// Apart, so that the other requests stay small.
    rare: Option<Box<Rare>>,
}

/// What few requests say.
#[derive(Clone, Default)]
pub(super) struct Rare {
    pub(super) detour: Option<Detour>,
    pub(super) digest: Option<Credentials>,
    /// `Some(None)`: the file is where it usually is.
    pub(super) netrc: Option<Option<PathBuf>>,
    pub(super) on_informational: Option<Arc<OnInformational<'static>>>,
    pub(super) on_head: Option<Arc<OnHead>>,
    pub(super) upgrade: Option<String>,
    /// The names of fields that are for one origin only.
    pub(super) secrets: Vec<String>,
    pub(super) https_only: Option<bool>,
    pub(super) allow_downgrade: bool,
    pub(super) max_redirects: Option<usize>,
    pub(super) max_body_size: Option<u64>,
    pub(super) retry: Option<Retry>,
    pub(super) hedge_after: Option<Duration>,
    pub(super) pool_timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) dns_timeout: Option<Duration>,
    pub(super) tls_timeout: Option<Duration>,
    pub(super) first_byte_timeout: Option<Duration>,
}

impl Rare {
    /// Whether it may know who it is before anybody asks.
    pub(super) fn logs_in(&self) -> bool {
        self.netrc.is_some() || self.digest.is_some()
    }
}

impl fmt::Debug for Rare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rare")
            .field("detour", &self.detour)
            .finish_non_exhaustive()
    }
}

impl HttpRequest {
    /// A GET request. The scheme is `http` or `https`.
    ///
    /// A user and a password in the address become basic authentication.
    pub fn new(url: impl AsRef<str>) -> Self {
        Self::to(Address::parse(url.as_ref()))
    }

    fn to(url: Result<Address, String>) -> Self {
        let mut request = Self {
            method: Method::GET,
            url,
            host: None,
            headers: Headers::new(),
            body: Body::empty(),
            close: false,
            takes_trailers: false,
            expect_continue: false,
            follow_redirects: true,
            request_timeout: None,
            idle_timeout: None,
            inherit_deadline: true,
            raise_error: None,
            decompress: None,
            user_agent: true,
            rare: None,
        };
        request.take_credentials();
        request
    }

    /// A GET request.
    pub fn get(url: impl AsRef<str>) -> Self {
        Self::new(url)
    }

    /// A HEAD request.
    pub fn head(url: impl AsRef<str>) -> Self {
        Self::new(url).method(Method::HEAD)
    }

    /// A POST request.
    pub fn post(url: impl AsRef<str>) -> Self {
        Self::new(url).method(Method::POST)
    }

    /// A PUT request.
    pub fn put(url: impl AsRef<str>) -> Self {
        Self::new(url).method(Method::PUT)
    }

    /// A PATCH request.
    pub fn patch(url: impl AsRef<str>) -> Self {
        Self::new(url).method(Method::PATCH)
    }

    /// A DELETE request.
    pub fn delete(url: impl AsRef<str>) -> Self {
        Self::new(url).method(Method::DELETE)
    }

    /// The method. Any token but CONNECT; with TRACE there must be no body.
    pub fn method(mut self, method: Method) -> Self {
        if method == Method::CONNECT {
            self.fail("CONNECT makes a tunnel, which a fetch cannot".to_owned());
        }
        self.method = method;
        self
    }

    /// Adds a header field after the others.
    ///
    /// `Host` replaces the address's, and `Content-Type` the one that there was. The fields
    /// that frame a message or belong to one connection (`Content-Length`,
    /// `Transfer-Encoding`, `Keep-Alive`, `Upgrade` and so on) are generated where they are
    /// needed, and what is given here is not sent; `Connection: close`, `TE: trailers` and
    /// `Expect: 100-continue` do what they say.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.put_header(name, value.as_ref());
        self
    }

    /// Adds a header field that is for the origin of the address alone, such as an
    /// `X-Api-Key`: a redirect to another origin leaves it behind, as it leaves
    /// `Authorization` and `Cookie`.
    pub fn secret_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.put_header(name, value.as_ref());
        self.rare().secrets.push(name.to_owned());
        self
    }

    /// Asks for the answer only if it has changed since `time` (`If-Modified-Since`); 304
    /// says that it has not.
    pub fn if_modified_since(mut self, time: SystemTime) -> Self {
        self.put_header("If-Modified-Since", &squall_http::wire::date::format(time));
        self
    }

    /// Adds the fields of another message, such as a request that was received.
    ///
    /// Its `Host`, what it says to or as a proxy, and the fields that its `Connection`
    /// names, stay behind: they were meant for the hop they came over.
    pub fn headers(mut self, headers: &Headers) -> Self {
        const OF_ONE_HOP: [&str; 6] = [
            "connection",
            "expect",
            "host",
            "proxy-authenticate",
            "proxy-authorization",
            "te",
        ];
        for (name, value) in headers.iter() {
            let is = |other: &&str| name.eq_ignore_ascii_case(other);
            if !OF_ONE_HOP.iter().any(is) && !headers.has_token("connection", name) {
                self.put_header(name, value);
            }
        }
        self
    }

    /// Sets a field unless the request has it already.
    pub(super) fn default_header(mut self, name: &str, value: &str) -> Self {
        if !self.headers.contains(name) {
            self.put_header(name, value.as_bytes());
        }
        self
    }

    fn put_header(&mut self, name: &str, value: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let has = |token: &[u8]| {
            (value.split(|byte| *byte == b','))
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
        };
        if is("host") {
            match std::str::from_utf8(value) {
                Ok(host) if squall_http::wire::target::is_authority(value) && !host.is_empty() => {
                    self.host = Some(host.to_owned());
                }
                _ => {
                    let said = String::from_utf8_lossy(value);
                    self.fail(format!("the Host header is no host: {said:?}"));
                }
            }
        } else if is_generated(name) {
            self.close |= is("connection") && has(b"close");
            self.takes_trailers |= is("te") && has(b"trailers");
            self.expect_continue |= is("expect") && has(b"100-continue");
        } else {
            let put = match is("content-type") {
                true => self.headers.set(name, value),
                false => self.headers.append(name, value),
            };
            if let Err(error) = put {
                self.fail(error.to_string());
            }
        }
    }

    /// Adds pairs to the address's query.
    pub fn query<N: AsRef<str>, V: AsRef<str>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.url = self.url.and_then(|address| {
            let mut url = address.into_url();
            let mut query = url.query_pairs_mut();
            for (name, value) in pairs {
                query.append_pair(name.as_ref(), value.as_ref());
            }
            drop(query);
            Address::of(url)
        });
        self
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn detour(&mut self) -> &mut Detour {
        self.rare().detour.get_or_insert_default()
    }

    /// The same request once more; `None` when its body cannot be had twice.
    pub fn try_clone(&self) -> Option<Self> {
        Some(Self {
            method: self.method.clone(),
            url: self.url.clone(),
            host: self.host.clone(),
            headers: self.headers.clone(),
            body: self.body.try_clone()?,
            rare: self.rare.clone(),
            ..*self
        })
    }

    fn fail(&mut self, what: String) {
        if self.url.is_ok() {
            self.url = Err(what);
        }
    }

    /// Takes the address, or what was wrong with the request.
    pub(super) fn complete(&mut self, defaults: &Defaults) -> Result<Address, String> {
        let url = std::mem::replace(&mut self.url, Err(String::new()))?;
        if self.method == Method::TRACE && !self.body.is_empty() {
            return Err("a TRACE has no body (RFC 9110 section 9.3.8)".to_owned());
        }
        let https_only = self.said().and_then(|said| said.https_only);
        if https_only.unwrap_or(defaults.https_only) {
            if !url.is_https() {
                return Err(format!("{:?} is not https (https_only)", url.shown()));
            }
            if let Some(rare) = &mut self.rare {
                rare.allow_downgrade = false;
            }
        }
        if let Some(kind) = self.body.content_type()
            && !self.headers.contains("content-type")
        {
            (self.headers.append("Content-Type", kind)).map_err(|error| error.to_string())?;
        }
        for (name, value) in defaults.headers.iter() {
            if !self.does_without(name) && !self.headers.contains(name) {
                let put = self.headers.append(name, value);
                put.map_err(|error| error.to_string())?;
            }
        }
        Ok(url)
    }

    /// Whether this request brings no such field on purpose, or will find out its value.
    fn does_without(&self, name: &str) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        (!self.user_agent && is("user-agent"))
            || (is("authorization") && self.said().is_some_and(Rare::logs_in))
    }

    /// The client's name, unless the request has its own.
    pub(super) fn default_agent<'a>(&self, defaults: &'a Defaults) -> Option<&'a str> {
        let wanted = self.user_agent && !self.headers.contains("user-agent");
        Some(defaults.user_agent.as_str()).filter(|name| wanted && !name.is_empty())
    }

    /// By which way `url` is reached.
    pub(super) fn route(&self, defaults: &Defaults, url: &Address) -> Arc<Route> {
        let Some(detour) = self.said().and_then(|rare| rare.detour.as_ref()) else {
            return defaults.route_to(url);
        };
        let mut route = detour.apply(&defaults.route, url);
        if let Some(proxy) = detour.proxy.as_ref().or(defaults.proxy.as_ref())
            && route.unix_socket.is_none()
        {
            route.via = defaults.via(proxy, url).cloned();
        }
        Arc::new(route)
    }

    /// What few requests say, if this one says any of it.
    pub(super) fn said(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    pub(super) fn policy(&self) -> Option<&Retry> {
        self.said()?.retry.as_ref()
    }

    pub(super) fn hedge_delay(&self) -> Option<Duration> {
        self.said()?.hedge_after
    }

    pub(super) fn redirects(&self, defaults: &Defaults) -> usize {
        let own = self.said().and_then(|said| said.max_redirects);
        own.unwrap_or(defaults.max_redirects)
    }

    pub(super) fn body_limit(&self, defaults: &Defaults) -> u64 {
        let own = self.said().and_then(|said| said.max_body_size);
        own.unwrap_or(defaults.max_body_size)
    }

    /// Forgets what is for one origin only.
    pub(super) fn leave_origin(&mut self) {
        self.host = None;
        if let Some(rare) = &mut self.rare {
            for name in rare.secrets.drain(..) {
                self.headers.remove(&name);
            }
            rare.digest = None;
            rare.netrc = None;
            if let Some(detour) = &mut rare.detour {
                detour.leave_origin();
            }
        }
    }

    /// The `Accept-Encoding`, unless the request has one or wants none.
    pub(super) fn accepted_codings(&self) -> Option<&'static str> {
        #[cfg(feature = "compression")]
        if self.decompress != Some(false)
            && !self.headers.contains("accept-encoding")
            && !self.headers.contains("range")
        {
            return super::decode::ACCEPTED;
        }
        None
    }
}

/// Whether a field is the connection's matter, which the client sees to.
pub(super) fn is_generated(name: &str) -> bool {
    const GENERATED: [&str; 9] = [
        "content-length",
        "transfer-encoding",
        "connection",
        "proxy-connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
    ];
    (GENERATED.iter()).any(|other| name.eq_ignore_ascii_case(other))
}

impl From<&str> for HttpRequest {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for HttpRequest {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl From<&String> for HttpRequest {
    fn from(url: &String) -> Self {
        Self::new(url)
    }
}

impl From<Url> for HttpRequest {
    fn from(url: Url) -> Self {
        Self::to(Address::of(url))
    }
}

impl From<&Url> for HttpRequest {
    fn from(url: &Url) -> Self {
        url.clone().into()
    }
}
