//! Settings: everything an application can be told, with its default and reason.

use std::time::Duration;

pub use squall_http::server::Settings as ServerSettings;
pub use squall_http::wire::forwarded::ForwardedBy;
use squall_http::wire::forwarded::{Told, told};
pub use squall_http::wire::multipart::MultipartLimits;
use squall_http::{Headers, Peer, TrustedPeers};

use crate::web::upload::UploadPolicy;
use crate::web::{Offload, TrailingSlash};

/// What an application may be told. The defaults are the safe ones.
///
/// ```
/// use squall::{Application, Settings};
///
/// let mut settings = Settings::default();
/// settings.server.max_body_size = 64 << 20;
/// settings.debug = true;
/// let application = Application::new().settings(settings);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Limits and timeouts of the connections.
    pub server: ServerSettings,
    /// Bytes that an extractor which needs a whole body may collect: default 2 MiB,
    /// beyond it 413. For `Json`, `Form`, `String` and `Bytes`. A route may have its own
    /// ([`MethodRoutes::max_collected_body`](crate::MethodRoutes::max_collected_body)).
    pub max_collected_body: u64,
    /// Arguments of a query, and of a form: default 1000, beyond it 400.
    pub max_arguments: usize,
    /// What an upload may be, beyond it 413 or 415.
    pub uploads: UploadPolicy,
    /// What is done with a path that only has one slash too many, or too few, at its end:
    /// default [`TrailingSlash::Strict`], 404.
    pub trailing_slash: TrailingSlash,
    /// Where a browser is sent that has to sign in first, such as `/login`; see
    /// [`CurrentUser`](crate::CurrentUser). Default: none, 401 is answered.
    pub login_url: Option<String>,
    /// Where handlers are polled whose route does not say it: default
    /// [`Offload::Auto`], on their lane until they were caught blocking it.
    pub offload: Offload,
    /// The most threads of the loop that [`Application::run`] makes, beside the monitor's:
    /// default 512. One is needed per lane and one per handler that blocks. Near it
    /// requests are shed: 503 with `Retry-After`.
    ///
    /// A loop that is given to the application has its own
    /// ([`Builder::thread_cap`](squall_loop::Builder::thread_cap)).
    ///
    /// [`Application::run`]: crate::Application::run
    pub thread_cap: usize,
    /// How many offloaded handlers may wait for a thread: default 512. Beyond it their
    /// routes are shed, as above.
    pub executor_queue: usize,
    /// Proxies before us whose word on the client is taken: default none. Theirs are the
    /// client's address, scheme and host, as [`Request::remote_addr`],
    /// [`Request::is_https`] and [`Request::host`] tell them.
    ///
    /// List proxies that set every field of [`forwarded_by`](Self::forwarded_by)
    /// themselves: what they leave alone, the client has sent.
    ///
    /// [`Request::remote_addr`]: crate::Request::remote_addr
    /// [`Request::is_https`]: crate::Request::is_https
    /// [`Request::host`]: crate::Request::host
    #[doc(alias = "xheaders")]
    pub trusted_proxies: TrustedPeers,
    /// In which fields they say it: default `X-Forwarded-For`, `-Proto` and `-Host`.
    pub forwarded_by: ForwardedBy,
    /// How long a shutdown goes on as before, while [`readiness`](crate::readiness)
    /// answers 503 already: default zero. Time for a load balancer to look elsewhere.
    pub drain_delay: Duration,
    /// How long a shutdown waits for requests that are being answered: default 10 s.
    pub grace: Duration,
    /// Refuse requests with unsafe methods that pages of other sites send, with 403:
    /// default true. What is no browser passes. A route may allow them
    /// ([`MethodRoutes::allow_cross_origin`](crate::MethodRoutes::allow_cross_origin)).
    pub cross_origin_protection: bool,
    /// Other sites whose pages may send any request, each as a browser's `Origin` has it,
    /// such as `https://app.example`. Default: none.
    pub trusted_origins: Vec<String>,
    /// Show the cause of a 5xx to the client: default false. For development only.
    pub debug: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: ServerSettings::default(),
            max_collected_body: 2 << 20,
            max_arguments: 1000,
            uploads: UploadPolicy::default(),
            trailing_slash: TrailingSlash::Strict,
            login_url: None,
            offload: Offload::Auto,
            thread_cap: 512,
            executor_queue: 512,
            trusted_proxies: TrustedPeers::default(),
            forwarded_by: ForwardedBy::default(),
            drain_delay: Duration::ZERO,
            grace: Duration::from_secs(10),
            cross_origin_protection: true,
            trusted_origins: Vec::new(),
            debug: false,
        }
    }
}

impl Settings {
    /// What trusted proxies say of a request that has come from this peer.
    #[inline]
    pub(crate) fn told<'a>(&self, headers: &'a Headers, peer: Peer) -> Told<'a> {
        told(headers, peer, &self.trusted_proxies, self.forwarded_by)
    }
}
