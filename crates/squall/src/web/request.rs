//! `Request`: the engine's request, and where it was routed to.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use http::Extensions;
use percent_encoding::percent_decode_str;
use squall_http::Peer;
use squall_http::server;
use squall_http::wire::forwarded::Told;

use super::app::{App, AppHandle};
use super::extract::{self, FromRequest, Rejection, RequestPart};
use super::routing::{Place, Spans};
use super::upload::{Upload, UploadedFile};
use crate::log::AccessLine;
use crate::{Error, Result, Settings};

/// A request on its way through the application.
///
/// It dereferences to the engine's [`server::Request`]: method, path, query, headers,
/// body and exchange are there. What is added are the parameters of the route and the
/// application.
#[doc(alias = "HTTPServerRequest")]
pub struct Request {
    inner: server::Request,
    app: Arc<App>,
    pub(super) place: Place,
    spans: Spans,
    extensions: Extensions,
    line: Option<Arc<AccessLine>>,
}

impl Request {
    pub(super) fn new(
        inner: server::Request,
        app: Arc<App>,
        place: Place,
        spans: Spans,
        line: Option<Arc<AccessLine>>,
    ) -> Self {
        Self {
            inner,
            app,
            place,
            spans,
            extensions: Extensions::new(),
            line,
        }
    }

    /// Gives the request's line in the access log an id.
    pub(super) fn name_in_log(&self, id: &str) {
        if let Some(line) = &self.line {
            line.name(id);
        }
    }

    /// What middleware has attached to it: at most one value of each type.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The same, for a middleware that attaches something. Costs nothing while empty.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// The application that answers it.
    pub fn app(&self) -> AppHandle {
        AppHandle::new(self.app.clone())
    }

    pub(super) fn shared(&self) -> &Arc<App> {
        &self.app
    }

    /// The route's name, such as `GET /block/{ms}`; `None` where no route fits.
    pub fn route(&self) -> Option<&str> {
        self.app.routes.route(self.place).map(|route| &*route.label)
    }

    /// The client, as the peer or the proxies before us tell it: the address that a
    /// trusted proxy was connected from ([`Settings::trusted_proxies`]), or else the
    /// peer itself, which may be a proxy that is not trusted.
    ///
    /// [`Settings::trusted_proxies`]: crate::Settings::trusted_proxies
    #[doc(alias = "remote_ip")]
    pub fn remote_addr(&self) -> Peer {
        self.told().client
    }

    /// Whether the client uses `https`: with us, or with a trusted proxy before us.
    #[doc(alias = "protocol")]
    pub fn is_https(&self) -> bool {
        (self.told().https).unwrap_or_else(|| self.inner.exchange().is_tls())
    }

    /// The host, with its port if it has one, that the client has asked for: from the
    /// absolute target or `Host`, or as a trusted proxy before us has received it.
    pub fn host(&self) -> Option<&str> {
        self.told().host.or_else(|| self.inner.host())
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.app.settings
    }

    /// What the peer says about the client, where it is a trusted proxy.
    pub(crate) fn told(&self) -> Told<'_> {
        let peer = self.inner.exchange().remote_addr();
        self.app.settings.told(self.inner.headers(), peer)
    }

    /// A parameter of the route's host or path, percent-decoded.
    ///
    /// # Errors
    /// 400 when it is not UTF-8; 500 when the route has no
    /// such parameter.
    #[doc(alias = "path_kwargs")]
    pub fn param(&self, name: &str) -> Result<Cow<'_, str>> {
        let (_, raw) = (self.raw_params())
            .find(|(known, _)| *known == name)
            .ok_or_else(|| Error::internal(format!("the route has no parameter {name:?}")))?;
        decode(name, raw)
    }

    /// The parameters of the route's host and path in order, still percent-encoded.
    pub fn raw_params(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let route = self.app.routes.route(self.place);
        let (names, in_host) = route.map_or((&[][..], 0), |route| (&route.names, route.in_host));
        let path = self.inner.path();
        let values = (self.spans.iter().enumerate()).map(move |(at, span)| match at < in_host {
            true => span.of(self.host().unwrap_or_default()),
            false => span.of(path),
        });
        names.iter().map(|name| &**name).zip(values)
    }

    /// The shared value of type `T`: the router's, or the application's.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.app.routes.scope(self.place)?.states.get()
    }

    /// Runs an extractor by hand.
    ///
    /// # Errors
    /// The extractor's.
    pub async fn extract<T: FromRequest>(&mut self) -> Result<T> {
        T::from_request(self).await
    }

    /// The last value of a query argument; the first part of Tornado's `get_argument`.
    ///
    /// # Errors
    /// 400 that names the argument, when it is missing or not UTF-8.
    #[doc(alias = "get_query_argument")]
    pub fn query_argument(&self, name: &str) -> Result<String> {
        let pairs = self.query_arguments()?;
        (pairs.into_iter().rev())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
            .ok_or_else(|| Error::missing_argument(name).part_of(RequestPart::Query))
    }

    /// The files of a form that has some, Tornado's `request.files`. Reads the body; its
    /// fields are lost: take [`Upload`] for both.
    ///
    /// # Errors
    /// Those of [`Upload`].
    #[doc(alias = "HTTPFile")]
    pub async fn files(&mut self) -> Result<Vec<UploadedFile>> {
        Ok(Upload::from_request(self).await?.into_files())
    }

    /// The query's arguments in order, decoded.
    ///
    /// # Errors
    /// 400 when one is not UTF-8, or when there are more than `max_arguments`.
    pub fn query_arguments(&self) -> Result<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
        let encoded = self.inner.query().unwrap_or_default().as_bytes();
        extract::pairs(RequestPart::Query, encoded, self.app.settings.max_arguments)
    }

    /// The bytes that an extractor may collect: the route's limit, or the application's.
    pub(super) fn max_collected_body(&self) -> u64 {
        let route = self.app.routes.route(self.place);
        (route.and_then(|route| route.policy.max_collected_body))
            .unwrap_or(self.app.settings.max_collected_body)
    }

    /// The engine's request alone.
    pub fn into_inner(self) -> server::Request {
        self.inner
    }
}

/// Percent-decodes one parameter; the engine has refused broken encodings already.
pub(super) fn decode<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    percent_decode_str(raw).decode_utf8().map_err(|_| {
        let shown = format!("argument {name:?}: not UTF-8");
        Error::rejected(RequestPart::Path, Rejection::NotUtf8, shown).with_field(name.to_owned())
    })
}

impl Deref for Request {
    type Target = server::Request;

    fn deref(&self) -> &server::Request {
        &self.inner
    }
}

impl DerefMut for Request {
    fn deref_mut(&mut self) -> &mut server::Request {
        &mut self.inner
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("path", &self.path())
            .field("route", &self.route())
            .finish_non_exhaustive()
    }
}
