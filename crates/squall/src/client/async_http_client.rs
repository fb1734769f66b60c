//! `AsyncHttpClient`: the handle, and the settings behind it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ClientConfig;
use squall_http::Headers;
use squall_http::tls::{ClientTls, TlsConfigError, client_config};
use squall_loop::{IoLoop, say};

use super::address::Address;
use super::connect::Dial;
use super::cookie_jar::CookieJar;
use super::digests::Digests;
use super::error::FetchError;
use super::pool::{Pool, PoolLimits, PoolStats};
use super::proxy::{Proxy, Via};
use super::request::{HttpRequest, is_generated};
use super::resolver::{Names, Resolver};
use super::response::HttpResponse;
use super::retry::{Budget, Retry};
use super::route::Route;
use super::unreachable::Unreachable;
use super::{fetch, trace};

/// TLS configurations kept: one per set of `ca_certs` that was used.
const TLS_CONFIGS: usize = 64;
/// Hosts remembered as warned about.
const WARNED_HOSTS: usize = 1024;

/// Fetches addresses. Cloning gives another handle to the same pool.
///
/// Make one and share it, for instance as the state of an application: connections are
/// reused only within one client. It belongs to the loop that it is used on.
#[derive(Clone, Debug)]
#[doc(alias = "AsyncHTTPClient")]
pub struct AsyncHttpClient {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) pool: Arc<Pool>,
    pub(super) defaults: Defaults,
    pub(super) budget: Budget,
    pub(super) unreachable: Unreachable,
    pub(super) digests: Digests,
    tls_configs: Mutex<HashMap<ClientTls, Arc<ClientConfig>>>,
    warned: Mutex<HashSet<String>>,
}

/// What a request has unless it says otherwise. A duration of zero is no limit.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) pool_timeout: Duration,
    pub(super) max_redirects: usize,
    pub(super) max_body_size: u64,
    pub(super) user_agent: String,
    pub(super) headers: Headers,
    pub(super) route: Arc<Route>,
    /// The same through each proxy of `proxy`.
    proxied: Vec<Arc<Route>>,
    pub(super) https_only: bool,
    pub(super) tcp_keepalive: Duration,
    pub(super) raise_error: bool,
    pub(super) retry: Option<Retry>,
    pub(super) cookie_jar: Option<CookieJar>,
    pub(super) names: Names,
    pub(super) public_only: bool,
    pub(super) proxy: Option<Proxy>,
    /// Makes the connections, if they are not to be made by their addresses.
    pub(super) dialler: Option<Arc<dyn Dial>>,
    /// What is wrong with the settings: every fetch says so.
    pub(super) error: Option<String>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(30),
            pool_timeout: Duration::from_secs(10),
            max_redirects: 10,
            max_body_size: 100 << 20,
            user_agent: concat!("squall/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Headers::new(),
            route: Arc::default(),
            proxied: Vec::new(),
            https_only: false,
            tcp_keepalive: Duration::from_secs(15),
            raise_error: false,
            retry: None,
            cookie_jar: None,
            names: Names::default(),
            public_only: false,
            proxy: None,
            dialler: None,
            error: None,
        }
    }
}

impl Defaults {
    /// By which way `url` is reached, for whoever says nothing about it.
    pub(super) fn route_to(&self, url: &Address) -> Arc<Route> {
        let via = (self.proxy.as_ref()).and_then(|proxy| self.via(proxy, url));
        let route = via.and_then(|via| {
            let leads = |route: &&Arc<Route>| {
                (route.via.as_ref()).is_some_and(|known| Arc::ptr_eq(known, via))
            };
            self.proxied.iter().find(leads)
        });
        route.unwrap_or(&self.route).clone()
    }

    /// The proxy on the way, unless somebody else makes the connections.
    pub(super) fn via<'a>(&self, proxy: &'a Proxy, url: &Address) -> Option<&'a Arc<Via>> {
        proxy.via(url.url()).filter(|_| self.dialler.is_none())
    }
}

impl AsyncHttpClient {
    /// A client with the default settings; see [`ClientBuilder`] for what they are.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings for a new client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    fn of(limits: PoolLimits, defaults: Defaults) -> Self {
        let shared = Shared {
            pool: Pool::new(limits),
            defaults,
            budget: Budget::new(),
            unreachable: Unreachable::default(),
            digests: Digests::default(),
            tls_configs: Mutex::default(),
            warned: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A client with the same settings whose connections are its own.
    pub(crate) fn with_own_pool(&self) -> Self {
        Self::of(self.shared.pool.limits(), self.shared.defaults.clone())
    }

    /// Fetches an address and waits for the head of the answer.
    ///
    /// Any status is `Ok`, also 404 and 500: [`HttpResponse::rethrow`] makes those an
    /// error, which Tornado does by default. The body is still on its way; read it with
    /// [`bytes`](HttpResponse::bytes), [`text`](HttpResponse::text),
    /// [`json`](HttpResponse::json) or [`chunk`](HttpResponse::chunk).
    ///
    /// A request on a connection that had been idle is repeated, transparently, if the
    /// server closed it just then and repeating is safe: three times at most, where the
    /// others that came free were closed, too.
    ///
    /// # Errors
    /// [`FetchError`] when there is no answer: it knows the phase and the cause.
    ///
    /// # Panics
    /// When polled outside of a loop, such as under `#[tokio::main]`; where the host is an
    /// address, that is an error. Run it with [`IoLoop::run`], or take an
    /// [`HttpClient`](super::HttpClient).
    ///
    /// # Cancel safety
    /// Dropping the future cancels the fetch and closes its connection. Whether the
    /// server has acted on the request is then unknown.
    pub async fn fetch(&self, request: impl Into<HttpRequest>) -> Result<HttpResponse, FetchError> {
        let mut request = request.into();
        fetch::fetch(&self.shared, &mut request).await
    }

    /// Fetches in the background and gives the result to a callback; returns at once.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn fetch_with<F, Fut>(&self, request: impl Into<HttpRequest>, callback: F)
    where
        F: FnOnce(Result<HttpResponse, FetchError>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (shared, mut request) = (self.shared.clone(), request.into());
        IoLoop::current().spawn_callback(move || async move {
            callback(fetch::fetch(&shared, &mut request).await).await;
        });
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How many connections are open, idle and being made, and how many fetches wait for one,
    /// or for their turn to make one.
    pub fn stats(&self) -> PoolStats {
        self.shared.pool.stats()
    }
}

impl Default for AsyncHttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    /// What is wrong with the settings.
    pub(super) fn check(&self) -> Result<(), String> {
        self.defaults.error.clone().map_or(Ok(()), Err)
    }

    pub(super) fn tls_config(
        &self,
        trust: &ClientTls,
    ) -> Result<Arc<ClientConfig>, TlsConfigError> {
        if let Some(config) = self.tls_configs.lock().get(trust) {
            return Ok(config.clone());
        }
        let config = client_config(trust)?;
        let mut configs = self.tls_configs.lock();
        if configs.len() >= TLS_CONFIGS {
            configs.clear();
        }
        configs.insert(trust.clone(), config.clone());
        Ok(config)
    }

    /// Says once per host that anybody may read and change what is exchanged with it.
    pub(super) fn warn_unchecked(&self, host: &str) {
        let mut warned = self.warned.lock();
        if !warned.contains(host) && warned.len() < WARNED_HOSTS {
            warned.insert(host.to_owned());
            say(|| {
                tracing::warn!(target: "squall::client", host,
                    "validate_cert(false): the certificate of this host is not checked");
            });
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// Settings of a client. Those of a request win where both exist.
///
/// ```
/// use squall::client::AsyncHttpClient;
/// let client = AsyncHttpClient::builder().max_per_origin(8).user_agent("mine/1.0").build();
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClientBuilder {
    limits: PoolLimits,
    defaults: Defaults,
}

impl ClientBuilder {
    fn tls(&mut self) -> &mut ClientTls {
        &mut Arc::make_mut(&mut self.defaults.route).tls
    }

    /// Connections in use at a time, per origin: default 64. More fetches wait. Zero counts
    /// as one.
    pub fn max_per_origin(mut self, connections: usize) -> Self {
        self.limits.per_origin = connections.max(1);
        self
    }

    /// Connections in use at a time, over all origins: default 512. More fetches wait. Zero
    /// counts as one.
    #[doc(alias = "max_clients")]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.total = connections.max(1);
        self
    }

    /// Fetches that may wait for a connection: default 4,096. More fail at once.
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.limits.waiters = waiters;
        self
    }

    /// Idle connections kept per origin: default 32. Zero: every fetch connects anew.
    pub fn max_idle_per_origin(mut self, connections: usize) -> Self {
        self.limits.idle_per_origin = connections;
        self
    }

    /// Idle connections kept over all origins: default 512. Zero: every fetch connects anew.
    pub fn max_idle_connections(mut self, connections: usize) -> Self {
        self.limits.idle_total = connections;
        self
    }

    /// How long a connection is kept idle: default 15 s. A server that says it itself with
    /// `Keep-Alive: timeout=N` is believed but for the last second, up to 90 s, or up to
    /// this time where it is longer. Zero: kept only where the server says so.
    pub fn keep_idle(mut self, time: Duration) -> Self {
        self.limits.idle_timeout = time;
        self
    }

    /// How old a connection gets: default 5 minutes, a tenth more or less, so that a
    /// change of a name's address is noticed. Zero: none is used twice.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.limits.max_age = age;
        self
    }

    /// How long a fetch waits for a connection that the limits allow: default 10 s. Zero: no
    /// limit.
    pub fn pool_timeout(mut self, limit: Duration) -> Self {
        self.defaults.pool_timeout = limit;
        self
    }

    /// How long the turn to dial, name, connection and handshake may take together: default
    /// 10 s. Zero: no limit.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.defaults.connect_timeout = limit;
        self
    }

    /// How long a whole fetch may take: default 20 s. Zero: no limit.
    ///
    /// See [`HttpRequest::request_timeout`].
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.defaults.request_timeout = limit;
        self
    }

    /// How long nothing may move in either direction: default 30 s. Zero: no limit.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.defaults.idle_timeout = limit;
        self
    }

    /// Whether an address that is not `https` is an error: default false.
    pub fn https_only(mut self, https_only: bool) -> Self {
        self.defaults.https_only = https_only;
        self
    }

    /// How many redirects are followed: default 10. One more is an error, so that with zero
    /// any is; [`HttpRequest::follow_redirects`] gives the redirect as the answer.
    pub fn max_redirects(mut self, redirects: usize) -> Self {
        self.defaults.max_redirects = redirects;
        self
    }

    /// How large an answer may be that is read as a whole: default 100 MiB.
    pub fn max_body_size(mut self, bytes: u64) -> Self {
        self.defaults.max_body_size = bytes;
        self
    }

    /// The `User-Agent`: default `squall/VERSION`. Empty: none is sent.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.defaults.user_agent = name.into();
        let checked = Headers::new().append("User-Agent", &self.defaults.user_agent);
        if let Err(error) = checked {
            self.fail(error.to_string());
        }
        self
    }

    /// A field that every request has that does not bring its own: the `Authorization` of a
    /// service that the client is for, say. Given again, it is replaced.
    ///
    /// It goes to whoever is asked. Where a redirect leads to another origin, `Authorization`,
    /// `Cookie` and `Proxy-Authorization` stay behind as always; a field of any other name,
    /// such as an `X-Api-Key`, goes along. Give that one to each request, by
    /// [`HttpRequest::secret_header`].
    #[doc(alias = "default_headers")]
    pub fn default_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match is_generated(name) || name.eq_ignore_ascii_case("host") {
            true => self.fail(format!("default_header: {name} is not for all requests")),
            false => {
                if let Err(error) = self.defaults.headers.set(name, value.as_ref()) {
                    self.fail(format!("default_header: {error}"));
                }
            }
        }
        self
    }

    /// The first thing that is wrong is told.
    fn fail(&mut self, what: String) {
        self.defaults.error.get_or_insert(what);
    }

    /// Whether servers' certificates have to be valid: default true.
    pub fn validate_cert(mut self, validate: bool) -> Self {
        self.tls().validate_cert = validate;
        self
    }

    /// Certificates in PEM to trust instead of the public authorities: default none.
    ///
    /// Authorities, or a server's own self-signed certificate. Text without a certificate
    /// fails every fetch; [`try_build`](Self::try_build) says so at once.
    pub fn ca_certs(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.tls().ca_certs = Some(pem.as_ref().into());
        self
    }

    /// The client's own certificate chain and its private key, both in PEM, for servers
    /// that ask for one: default none.
    ///
    /// It is shown to every server that asks. Use
    /// [`HttpRequest::client_cert`] for one server's.
    pub fn client_cert(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.tls().identity = Some((chain.as_ref().into(), key.as_ref().into()));
        self
    }

    /// Whether the secrets of TLS connections are appended to the file that the environment
    /// calls `SSLKEYLOGFILE`: default false.
    ///
    /// For a look at one's own traffic with a program such as Wireshark. Whoever has that
    /// file can read everything. Without the variable nothing is written.
    #[doc(alias = "SSLKEYLOGFILE")]
    pub fn key_log(mut self, key_log: bool) -> Self {
        self.tls().key_log = key_log;
        self
    }

    /// After how much silence the system asks a peer whether it is still there: default
    /// 15 s, given up after three more. Zero: never.
    pub fn tcp_keepalive(mut self, idle: Duration) -> Self {
        self.defaults.tcp_keepalive = idle;
        self
    }

    /// Whether a status of 400 and more is an error: default false. Tornado's is true.
    pub fn raise_error(mut self, raise: bool) -> Self {
        self.defaults.raise_error = raise;
        self
    }

    /// When fetches are repeated: default never.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.defaults.retry = Some(retry);
        self
    }

    /// Keeps the cookies that servers set, and sends them back: default none are kept.
    ///
    /// A request with a `Cookie` field of its own is sent with that one only.
    pub fn cookie_jar(mut self, jar: CookieJar) -> Self {
        self.defaults.cookie_jar = Some(jar);
        self
    }

    /// Who finds the addresses of names: default the system, whose answers are believed
    /// for 30 seconds.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.defaults.names.ask(resolver);
        self
    }

    /// The addresses of one host, which no resolver is asked for then: default none.
    pub fn host(mut self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let addresses = addresses.into_iter().collect();
        self.defaults.names.map(name, addresses);
        self
    }

    /// Whether only addresses of the public internet are connected to: default false.
    ///
    /// For services that fetch what their users name. Loopback, private, link-local and
    /// other special addresses are refused, also where a name or a redirect leads to them,
    /// with an error of [`Phase::Dns`](super::Phase::Dns); so are Unix sockets. A proxy may
    /// be inside; what it is asked for may not, as far as this end resolves the name. A
    /// proxy that resolves it again may find another address: it has to have rules of its
    /// own.
    pub fn public_only(mut self, public_only: bool) -> Self {
        self.defaults.public_only = public_only;
        self
    }

    /// The proxy that requests go through: default none.
    ///
    /// [`Proxy::from_env`] reads what the environment says.
    #[doc(alias = "proxy_host")]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.defaults.proxy = Some(proxy);
        self
    }

    /// Connections that are being made at a time, per origin: default 8. More fetches wait
    /// for one of them, or for a connection that comes free. Zero counts as one.
    pub fn max_dials_per_origin(mut self, dials: usize) -> Self {
        self.limits.dials = dials.max(1);
        self
    }

    pub(crate) fn dial_with(mut self, dialler: impl Dial) -> Self {
        self.defaults.dialler = Some(Arc::new(dialler));
        self
    }

    /// Makes the client, if its settings can be used.
    ///
    /// # Errors
    /// [`FetchError`] of [`Phase::Request`](super::Phase::Request) that names the setting,
    /// for instance `ca_certs` without a certificate.
    pub fn try_build(self) -> Result<AsyncHttpClient, FetchError> {
        let client = self.build();
        match client.shared.check() {
            Ok(()) => Ok(client),
            Err(what) => Err(trace::refused(what)),
        }
    }

    /// Makes the client. Nothing is opened before the first fetch.
    ///
    /// Settings that cannot be used fail every fetch; [`try_build`](Self::try_build) says
    /// so at once.
    pub fn build(mut self) -> AsyncHttpClient {
        let tls = &self.defaults.route.tls;
        let given = tls.ca_certs.is_some() || tls.identity.is_some();
        if self.defaults.error.is_none() && given {
            let made = client_config(tls);
            self.defaults.error = made.err().map(|error| error.to_string());
        }
        // Its own one: whoever keeps what was made of it knows the client by it.
        self.defaults.route = Arc::new(Route::clone(&self.defaults.route));
        self.defaults.proxied = (self.defaults.proxy.iter().flat_map(Proxy::all))
            .map(|via| {
                let mut route = Route::clone(&self.defaults.route);
                route.via = Some(via.clone());
                Arc::new(route)
            })
            .collect();
        AsyncHttpClient::of(self.limits, self.defaults)
    }
}
