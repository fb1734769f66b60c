//! `HttpRequest`: what to fetch and how, in Tornado's words.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde::Serialize;
use squall_http::tls::ClientTls;
use squall_http::{Body, Headers};
use url::{Position, Url};

use super::async_http_client::Defaults;
use super::multipart::Multipart;

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
    pub(super) url: Result<Url, String>,
    /// Sent instead of the address's own path and query, byte for byte.
    pub(super) raw_target: Option<String>,
    pub(super) host: Option<String>,
    pub(super) headers: Headers,
    pub(super) body: Body,
    pub(super) close: bool,
    pub(super) expect_continue: bool,
    pub(super) follow_redirects: bool,
    pub(super) max_redirects: Option<usize>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) request_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) inherit_deadline: bool,
    pub(super) max_body_size: Option<u64>,
    validate_cert: Option<bool>,
    ca_certs: Option<std::sync::Arc<[u8]>>,
    user_agent: bool,
    error: Option<String>,
}

impl HttpRequest {
    /// A GET request. The scheme is `http` or `https`.
    ///
    /// A user and a password in the address become basic authentication.
    pub fn new(url: impl AsRef<str>) -> Self {
        Self::to(parse(url.as_ref()))
    }

    fn to(url: Result<Url, String>) -> Self {
        let mut request = Self {
            method: Method::GET,
            url,
            raw_target: None,
            host: None,
            headers: Headers::new(),
            body: Body::empty(),
            close: false,
            expect_continue: false,
            follow_redirects: true,
            max_redirects: None,
            connect_timeout: None,
            request_timeout: None,
            idle_timeout: None,
            inherit_deadline: true,
            max_body_size: None,
            validate_cert: None,
            ca_certs: None,
            user_agent: true,
            error: None,
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

    /// The method. Any token but CONNECT.
    pub fn method(mut self, method: Method) -> Self {
        if method == Method::CONNECT {
            self.fail("CONNECT makes a tunnel, which a fetch cannot".to_owned());
        }
        self.method = method;
        self
    }

    /// Adds a header field after the others.
    ///
    /// `Host` replaces the address's. The fields that frame a message or belong to one
    /// connection (`Content-Length`, `Transfer-Encoding`, `Keep-Alive`, `TE`, `Upgrade`
    /// and so on) are generated and what is given here is not sent; `Connection: close`
    /// and `Expect: 100-continue` do what they say.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.put_header(name, value.as_ref());
        self
    }

    /// Adds the fields of another message, such as a request that was received.
    ///
    /// Its `Host`, and the fields that its `Connection` names, stay behind: they were
    /// meant for the hop they came over.
    pub fn headers(mut self, headers: &Headers) -> Self {
        for (name, value) in headers.iter() {
            if !name.eq_ignore_ascii_case("host")
                && !name.eq_ignore_ascii_case("connection")
                && !name.eq_ignore_ascii_case("expect")
                && !headers.has_token("connection", name)
            {
                self.put_header(name, value);
            }
        }
        self
    }

    fn put_header(&mut self, name: &str, value: &[u8]) {
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
                _ => self.fail("the Host header is no host".to_owned()),
            }
        } else if GENERATED.iter().any(|other| is(other)) {
            self.close |= is("connection") && has(b"close");
            self.expect_continue |= is("expect") && has(b"100-continue");
        } else if let Err(error) = self.headers.append(name, value) {
            self.fail(error.to_string());
        }
    }

    /// Adds pairs to the address's query.
    pub fn query<N: AsRef<str>, V: AsRef<str>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        if let Ok(url) = &mut self.url {
            let mut query = url.query_pairs_mut();
            for (name, value) in pairs {
                query.append_pair(name.as_ref(), value.as_ref());
            }
        }
        self
    }

    /// The body: bytes, text, or a [`Body`] that streams.
    ///
    /// A body of unknown length goes in chunks. One that streams cannot be sent twice, so
    /// a redirect that would have to is an error.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// A JSON body, with its `Content-Type`.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.typed_body(json.into(), "application/json"),
            Err(error) => {
                self.fail(format!("the body cannot be JSON: {error}"));
                self
            }
        }
    }

    /// A form body, as browsers send it, with its `Content-Type`.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(
        self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let form = squall_http::wire::form::encode(pairs);
        self.typed_body(
            form.into_bytes().into(),
            "application/x-www-form-urlencoded",
        )
    }

    /// A form with files, with its `Content-Type`. It streams: see [`Multipart`].
    pub fn multipart(self, form: Multipart) -> Self {
        let content_type = form.content_type();
        self.typed_body(form.into_body(), &content_type)
    }

    fn typed_body(mut self, body: Body, content_type: &str) -> Self {
        if let Err(error) = self.headers.set("Content-Type", content_type) {
            self.fail(error.to_string());
        }
        self.body = body;
        self
    }

    /// Basic authentication (RFC 7617).
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        if user.contains(':') {
            self.fail("a user name with a colon cannot be sent".to_owned());
        }
        let token = STANDARD.encode(format!("{user}:{password}"));
        self.authorize(&format!("Basic {token}"));
        self
    }

    /// Authentication with a bearer token (RFC 6750).
    pub fn bearer(mut self, token: &str) -> Self {
        self.authorize(&format!("Bearer {token}"));
        self
    }

    fn authorize(&mut self, value: &str) {
        if let Err(error) = self.headers.set("Authorization", value) {
            self.fail(error.to_string());
        }
    }

    /// The `User-Agent` instead of the client's. Empty: none is sent.
    pub fn user_agent(mut self, name: &str) -> Self {
        self.headers.remove("user-agent");
        self.user_agent = false;
        if !name.is_empty() {
            self.put_header("User-Agent", name.as_bytes());
        }
        self
    }

    /// Whether the server's certificate has to be valid: default true.
    ///
    /// Without it anybody on the way can read and change everything. Said once per host
    /// in the log.
    pub fn validate_cert(mut self, validate: bool) -> Self {
        self.validate_cert = Some(validate);
        self
    }

    /// Certificates in PEM to trust instead of the public authorities.
    ///
    /// Authorities, or the server's own self-signed certificate. Text without a certificate
    /// is an error of [`Phase::Request`](super::Phase::Request).
    pub fn ca_certs(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.ca_certs = Some(pem.as_ref().into());
        self
    }

    /// How long name, connection and handshake may take: default 10 s. Zero: no limit.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = Some(limit);
        self
    }

    /// How long the whole fetch may take: default 20 s. Zero: no limit.
    ///
    /// Counts everything until the head of the answer, the request's body and redirects
    /// included, and for `bytes`, `text` and `json` the answer's body. Reading chunk by
    /// chunk has no such limit, only [`idle_timeout`](Self::idle_timeout).
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = Some(limit);
        self
    }

    /// How long nothing may move in either direction: default 30 s. Zero: no limit.
    ///
    /// Waiting for a request's body that streams does not count.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// Whether a fetch inside of a handler ends with the handler's deadline: default true.
    ///
    /// It gives up a little before it (a tenth of what is left, at most 100 ms), so that
    /// the handler can still answer; the error says that the deadline ruled. What runs
    /// in a task of its own, such as [`fetch_with`](super::AsyncHttpClient::fetch_with)
    /// or inside of `spawn`, has no deadline to inherit.
    pub fn inherit_deadline(mut self, inherit: bool) -> Self {
        self.inherit_deadline = inherit;
        self
    }

    /// Whether redirects are followed: default true.
    ///
    /// Credentials are left behind when a redirect leads to another origin; one from
    /// `https` to `http` is an error.
    pub fn follow_redirects(mut self, follow: bool) -> Self {
        self.follow_redirects = follow;
        self
    }

    /// How many redirects are followed: default 10.
    pub fn max_redirects(mut self, redirects: usize) -> Self {
        self.max_redirects = Some(redirects);
        self
    }

    /// Whether the server is asked before the body is sent: default false.
    ///
    /// Without an answer the body is sent after 1 s; a refusal costs no body.
    #[doc(alias = "expect_100_continue")]
    pub fn expect_continue(mut self, expect: bool) -> Self {
        self.expect_continue = expect;
        self
    }

    /// How large an answer may be that is read as a whole: default 100 MiB.
    pub fn max_body_size(mut self, bytes: u64) -> Self {
        self.max_body_size = Some(bytes);
        self
    }

    /// Sends this path and query byte for byte, whatever the address says.
    pub(crate) fn raw_target(mut self, target: String) -> Self {
        self.raw_target = Some(target);
        self
    }

    fn fail(&mut self, what: String) {
        self.error.get_or_insert(what);
    }

    fn take_credentials(&mut self) {
        let Ok(url) = &mut self.url else { return };
        if url.username().is_empty() && url.password().is_none() {
            return;
        }
        let decode = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
        let user = decode(url.username());
        let password = decode(url.password().unwrap_or_default());
        strip_credentials(url);
        let token = STANDARD.encode([user.as_slice(), b":", password.as_slice()].concat());
        self.authorize(&format!("Basic {token}"));
    }

    /// Takes the address, or what was wrong with the request.
    pub(super) fn complete(&mut self) -> Result<Url, String> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let url = std::mem::replace(&mut self.url, Err(String::new()))?;
        if let Some(kind) = self.body.content_type()
            && !self.headers.contains("content-type")
        {
            (self.headers.append("Content-Type", kind)).map_err(|error| error.to_string())?;
        }
        Ok(url)
    }

    /// The client's name, unless the request has its own.
    pub(super) fn default_agent<'a>(&self, defaults: &'a Defaults) -> Option<&'a str> {
        let wanted = self.user_agent && !self.headers.contains("user-agent");
        Some(defaults.user_agent.as_str()).filter(|name| wanted && !name.is_empty())
    }

    pub(super) fn trust<'a>(&self, defaults: &'a Defaults) -> Cow<'a, ClientTls> {
        if self.validate_cert.is_none() && self.ca_certs.is_none() {
            return Cow::Borrowed(&defaults.tls);
        }
        Cow::Owned(ClientTls {
            validate_cert: self.validate_cert.unwrap_or(defaults.tls.validate_cert),
            ca_certs: self
                .ca_certs
                .clone()
                .or_else(|| defaults.tls.ca_certs.clone()),
        })
    }

    /// What goes onto the request line.
    pub(super) fn target<'a>(&'a self, url: &'a Url) -> Cow<'a, str> {
        if let Some(raw) = &self.raw_target {
            return Cow::Borrowed(raw);
        }
        let target = &url[Position::BeforePath..Position::AfterQuery];
        if target.contains('\\') {
            // Allowed in a query by the URL standard, but not in a request.
            return Cow::Owned(target.replace('\\', "%5C"));
        }
        Cow::Borrowed(target)
    }
}

/// Reads an address of the web.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is no address: {error}"))?;
    check(&url)?;
    Ok(url)
}

/// Only `http` and `https` are spoken here.
pub(super) fn check(url: &Url) -> Result<(), String> {
    match url.scheme() {
        "http" | "https" => Ok(()),
        other => Err(format!("the scheme {other:?} is neither http nor https")),
    }
}

/// Scheme, host and port, as the pool and the origin rules know them.
pub(super) fn origin(url: &Url) -> &str {
    &url[..Position::BeforePath]
}

pub(super) fn strip_credentials(url: &mut Url) {
    // These fail only for addresses without a host, which `check` refuses.
    let _ = url.set_username("");
    let _ = url.set_password(None);
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
        let checked = check(&url).map(|()| url);
        Self::to(checked)
    }
}
