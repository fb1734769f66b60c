//! `Application`: routes, settings, middleware and shared state.

use std::net::ToSocketAddrs;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_http::server::Response;
use squall_http::tls::Tls;
use squall_loop::{Executor, IoLoop};

use super::app::{App, Renderer};
use super::cookies::Keys;
use super::cross_origin;
use super::handler::{Handler, IntoRoute};
use super::http_error::Problem;
use super::listener::Listener;
use super::middleware::Middleware;
use super::routing::{Router, Routes};
use crate::{Error, Result, Settings};

/// What a server serves: routes, settings, middleware and shared state.
///
/// ```no_run
/// use squall::{Application, Path, Result};
///
/// // Blocks for a second. Nobody else notices.
/// async fn ping(Path(host): Path<String>) -> Result<String> {
///     let out = std::process::Command::new("ping").args(["-c", "2", &host]).output()?;
///     Ok(String::from_utf8_lossy(&out.stdout).into_owned())
/// }
///
/// fn main() -> Result<()> {
///     Application::new().route("/ping/{host}", ping).listen("127.0.0.1:5000")?.run()
/// }
/// ```
#[must_use = "an application does nothing until it runs"]
#[derive(Default)]
pub struct Application {
    router: Router,
    renderer: Option<Renderer>,
    settings: Settings,
    pub(super) listening: Vec<Listener>,
    pub(super) io_loop: Option<IoLoop>,
}

impl Application {
    /// An application without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers a path: with an async function (GET and HEAD), with [`get`](crate::get),
    /// [`post`](crate::post) and so on, or with a [`RequestHandler`](crate::RequestHandler).
    ///
    /// `{name}` stands for one segment of the path, `{name:[0-9]+}` for one that the whole
    /// expression matches, `{*name}` for the rest of the path. A literal goes before a
    /// constraint, a constraint before a plain parameter, and that before the rest.
    /// Literals match however the request percent-encodes them; `%2F` never ends a
    /// segment. Conflicts are reported by [`listen`](Self::listen).
    #[track_caller]
    #[doc(alias = "add_handlers")]
    pub fn route<M>(mut self, path: &str, handler: impl IntoRoute<M>) -> Self {
        self.router = self.router.route(path, handler);
        self
    }

    /// Mounts a router below a path, which may have parameters.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, router: Router) -> Self {
        self.router = self.router.nest(prefix, router);
        self
    }

    /// Adds a router's routes, each with the router's own middleware and state.
    pub fn merge(mut self, router: Router) -> Self {
        self.router = self.router.merge(router);
        self
    }

    /// Answers a host with a router of its own: `api.example.com`, or with parameters
    /// `{sub}.example.com` (one label) and `{*sub}.example.com` (one or more).
    ///
    /// The port and upper case do not matter. The strictest pattern that fits is asked
    /// first; what it does not answer goes on to the next one, and at last to the routes
    /// for every host. A router with [`not_found`](Router::not_found) answers everything.
    ///
    /// The host is what [`Request::host`](crate::Request::host) says: the one the client
    /// named, which may be any, or the one a trusted proxy has been asked for.
    ///
    /// ```
    /// use squall::{Application, Path, Router};
    ///
    /// async fn site() -> &'static str { "the site" }
    /// async fn user(Path((user, page)): Path<(String, String)>) -> String {
    ///     format!("{page} of {user}")
    /// }
    ///
    /// let application = Application::new()
    ///     .route("/", site)
    ///     .host("{user}.example.com", Router::new().route("/{page}", user));
    /// ```
    #[track_caller]
    #[doc(alias = "HostMatches")]
    pub fn host(mut self, host: &str, router: Router) -> Self {
        self.router = self.router.host(host, Location::caller(), router);
        self
    }

    /// Puts a function around every handler; the first one is the outermost.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.router = self.router.middleware(middleware);
        self
    }

    /// The keys of signed and encrypted cookies. A handler that needs them while there
    /// are none is reported by [`listen`](Self::listen).
    #[track_caller]
    #[doc(alias = "cookie_secret")]
    pub fn keys(self, keys: Keys) -> Self {
        self.state(keys)
    }

    /// Shares a value with the handlers: [`State<T>`](crate::State) extracts it.
    ///
    /// Two values of one type are reported by [`listen`](Self::listen).
    #[track_caller]
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.router = self.router.state(value);
        self
    }

    /// Replaces all settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Shows the cause of a 5xx to the client. For development only.
    pub fn debug(mut self, debug: bool) -> Self {
        self.settings.debug = debug;
        self
    }

    /// How long a shutdown waits for requests that are being answered: default 10 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Answers what no route fits.
    #[track_caller]
    #[doc(alias = "default_handler_class")]
    #[doc(alias = "fallback")]
    pub fn not_found<M: 'static>(mut self, handler: impl Handler<M>) -> Self {
        self.router = self.router.not_found(handler);
        self
    }

    /// Renders every error, also the engine's, in place of problem+json and the page.
    #[doc(alias = "write_error")]
    pub fn error_renderer<F>(mut self, renderer: F) -> Self
    where
        F: Fn(&Problem<'_>) -> Response + Send + Sync + 'static,
    {
        self.renderer = Some(Box::new(renderer));
        self
    }

    /// Runs on this loop instead of one of its own.
    pub fn io_loop(mut self, io_loop: IoLoop) -> Self {
        self.io_loop = Some(io_loop);
        self
    }

    /// Binds an address at once; port 0 takes a free one. May be called several times.
    ///
    /// # Errors
    /// When the address cannot be bound, when routes conflict, or when a handler needs
    /// a state that is not there. So it comes after all of those.
    pub fn listen(self, address: impl ToSocketAddrs + std::fmt::Debug) -> Result<Self> {
        self.routes()?;
        let listener = Listener::tcp(address)?;
        self.listen_on(listener)
    }

    /// Binds an address for TLS at once. Otherwise as [`listen`](Self::listen).
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// ```no_run
    /// use squall::{Application, Result, tls::Tls};
    ///
    /// fn main() -> Result<()> {
    ///     let tls = Tls::from_pem_files("cert.pem", "key.pem")?;
    ///     Application::new()
    ///         .route("/", async || "hello")
    ///         .listen_tls("0.0.0.0:443", tls)?
    ///         .redirect_to_https("0.0.0.0:80", 443)?
    ///         .run()
    /// }
    /// ```
    pub fn listen_tls(
        self,
        address: impl ToSocketAddrs + std::fmt::Debug,
        tls: impl Into<Tls>,
    ) -> Result<Self> {
        self.routes()?;
        let listener = Listener::tcp(address)?.tls(tls);
        self.listen_on(listener)
    }

    /// Binds a Unix socket at once; see [`Listener::unix`]. Otherwise as
    /// [`listen`](Self::listen).
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    #[cfg(unix)]
    pub fn listen_unix(self, path: impl AsRef<std::path::Path>, mode: u32) -> Result<Self> {
        self.routes()?;
        let listener = Listener::unix(path, mode)?;
        self.listen_on(listener)
    }

    /// Binds an address at once whose requests are all sent to `https` on the same host,
    /// on this port. Otherwise as [`listen`](Self::listen).
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn redirect_to_https(
        self,
        address: impl ToSocketAddrs + std::fmt::Debug,
        port: u16,
    ) -> Result<Self> {
        self.routes()?;
        let listener = Listener::tcp(address)?.redirect_to_https(port);
        self.listen_on(listener)
    }

    /// Takes a socket that is bound already.
    ///
    /// # Errors
    /// As [`listen`](Self::listen), but for the binding.
    pub fn listen_on(mut self, listener: impl Into<Listener>) -> Result<Self> {
        self.routes()?;
        self.listening.push(listener.into());
        Ok(self)
    }

    /// The table of the routes, or what is wrong with the application.
    fn routes(&self) -> Result<Routes> {
        let (offload, slash) = (self.settings.offload, self.settings.trailing_slash);
        let routes = Routes::of(&self.router, offload, slash);
        let others: Vec<_> = cross_origin::faults(&self.settings).collect();
        let faults = match routes {
            Ok(routes) if others.is_empty() => return Ok(routes),
            Ok(_) => others,
            Err(faults) => [faults, others].concat(),
        };
        Err(Error::internal(faults.join("; ")).show("the application is not complete"))
    }

    /// # Panics
    /// Outside of a loop.
    pub(super) fn freeze(self) -> Result<(Arc<App>, Vec<Listener>)> {
        let routes = self.routes()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = Executor::bounded(cores, self.settings.executor_queue);
        let redirects = (self.listening.iter().map(Listener::redirect)).collect();
        let app = App {
            redirects,
            routes,
            renderer: self.renderer,
            settings: self.settings,
            cores,
            io_loop: IoLoop::current(),
            unrouted: 0.into(),
            late: 0.into(),
            shed: 0.into(),
            shed_said: 0.into(),
            started: Instant::now(),
            draining: false.into(),
        };
        Ok((Arc::new(app), self.listening))
    }

    pub(super) fn settings_ref(&self) -> &Settings {
        &self.settings
    }
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application")
            .field("routes", &self.router)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
