//! `Forward`: what is forwarded where, and how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use squall_http::client::ExchangeLimits;
use squall_http::server::Response;

use super::relay;
use super::rewrite::{Onward, Rewrite};
use super::target::Mapping;
use super::upstream::UpstreamStats;
use super::upstreams::{Set, Upstreams};
use super::via::Via;
use crate::client::AsyncHttpClient;
use crate::web::Needs;
use crate::{Request, Result};

/// Connections in use that a client of our own has at most: per upstream, and in all. As
/// many are kept for a while: what was in use a moment ago will be again.
const CONNECTIONS: (usize, usize) = (1024, 4096);

/// Those of an upstream that are made at a time: it is our own, and stands a rush.
const DIALS: usize = 32;

/// How long nothing may move.
const IDLE: Duration = Duration::from_secs(60);
/// How long a head waits for its short body: longer than a server whose packets wait for
/// an acknowledgement that waits itself (40 ms on Linux).
const HOLD: Duration = Duration::from_millis(50);

/// Where requests go, and what they look like there.
///
/// It is a handler: `any(Forward::to("http://127.0.0.1:8080"))` answers a route. A handler
/// of one's own calls [`forward`](super::forward()). Cloning gives another handle to the same upstreams and
/// connections.
#[derive(Clone)]
pub struct Forward {
    pub(super) options: Arc<Options>,
}

/// What a forward is told, behind one pointer: each request clones its handler.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) upstreams: Arc<Set>,
    pub(super) mapping: Mapping,
    pub(super) client: AsyncHttpClient,
    pub(super) preserve_host: bool,
    pub(super) underscores: bool,
    pub(super) forwarded: bool,
    pub(super) via: Via,
    /// What rules an exchange; its `idle` also a tunnel.
    pub(super) limits: ExchangeLimits,
    pub(super) replay_buffer: usize,
    pub(super) upgrades: Vec<String>,
    pub(super) rewrite: Option<Rewrite>,
}

impl Forward {
    /// Forwards to `http://host:port`, `https://…` or `unix:/path/of/the/socket`, or to
    /// [`Upstreams`].
    ///
    /// A path in the address is put before every forwarded one. An address that is none
    /// fails every request with 500.
    ///
    /// Make one and share it, as a route's handler or as the state of an application: each
    /// has connections of its own, and its own health and counts of the upstreams.
    pub fn to(upstreams: impl Into<Upstreams>) -> Self {
        let upstreams = upstreams.into().into_set();
        let (per_upstream, total) = CONNECTIONS;
        let client = AsyncHttpClient::builder()
            .max_per_origin(per_upstream)
            .max_connections(total)
            .max_idle_per_origin(per_upstream)
            .max_idle_connections(total)
            .max_dials_per_origin(DIALS)
            .build();
        let options = Options {
            mapping: Mapping::onto(upstreams.path()),
            upstreams: Arc::new(upstreams),
            client,
            preserve_host: false,
            underscores: false,
            forwarded: false,
            via: Via::default(),
            limits: ExchangeLimits {
                idle: Some(IDLE),
                hold: Some(HOLD),
                ..ExchangeLimits::default()
            },
            replay_buffer: 64 << 10,
            upgrades: Vec::new(),
            rewrite: None,
        };
        Self {
            options: Arc::new(options),
        }
    }

    fn options(&mut self) -> &mut Options {
        Arc::make_mut(&mut self.options)
    }

    /// Takes this off the front of every path that has it, at a segment's border, however
    /// it is percent-encoded.
    pub fn strip_prefix(mut self, prefix: &str) -> Self {
        self.options().mapping.strip(prefix);
        self
    }

    /// Uses this client's connections, shared with whoever else uses it.
    ///
    /// Default: one of its own, with up to 1,024 connections in use per upstream and 4,096
    /// in all, and as many idle ones, for 15 s; at most 32 are made at a time. Another client
    /// brings its own bounds, which are 64, 512 and 8 unless it says otherwise.
    ///
    /// What holds of it: the pool's bounds and times, `connect_timeout`, `pool_timeout`,
    /// `tcp_keepalive`, all of TLS (`ca_certs`, `client_cert`, `validate_cert`, `key_log`),
    /// `proxy`, `resolver`, `host` and `public_only`. What does not: `request_timeout` and
    /// `idle_timeout`, for [this forward's](Self::idle_timeout) rules, `https_only`,
    /// `user_agent`, `default_header`, redirects, decoding, `max_body_size`, cookies and
    /// retries.
    pub fn client(mut self, client: &AsyncHttpClient) -> Self {
        self.options().client = client.clone();
        self
    }

    /// Whether the upstream sees the client's `Host`: default false, it sees its own.
    pub fn preserve_host(mut self, preserve: bool) -> Self {
        self.options().preserve_host = preserve;
        self
    }

    /// Whether `Forwarded` (RFC 7239) is sent beside the `X-Forwarded-*`: default false.
    pub fn forwarded(mut self, forwarded: bool) -> Self {
        self.options().forwarded = forwarded;
        self
    }

    /// Whether fields with an underscore in their name go along: default false.
    ///
    /// Many upstreams take `X_User` for `X-User`, so that a client could say what only this
    /// server may.
    pub fn allow_underscores(mut self, allow: bool) -> Self {
        self.options().underscores = allow;
        self
    }

    /// Whether paths with the segments `.` and `..` go along, in whatever spelling (`%2e`,
    /// `..;a`, `..%2f`): default false, they are answered with 400.
    ///
    /// Many upstreams resolve them, and answer with what lies beside the path that is
    /// forwarded: `/public/..;/admin` is `/admin` for them. Allow it where every path of the
    /// upstream may be asked for.
    pub fn allow_dot_segments(mut self, allow: bool) -> Self {
        self.options().mapping.allows_dots = allow;
        self
    }

    /// How long nothing may move to or from the upstream: default 60 s. Then 504. Zero: no
    /// limit.
    ///
    /// There is no limit on the whole but the deadline of the handler, until its answer
    /// begins: a large body may take as long as it moves. A tunnel in which nothing moves
    /// for so long is closed.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.options().limits.idle = Some(limit).filter(|limit| !limit.is_zero());
        self
    }

    /// Who this proxy is in `Via`: default `squall`, as every Squall. A word of letters,
    /// digits and `-._~`, or a host with its port.
    ///
    /// A request that has come by this name before goes in a circle: 508 (RFC 9110 section
    /// 7.6.3). With the default, which others have too, once it has come by more than eight.
    ///
    /// # Errors
    /// A name that cannot be used fails every request with 500.
    pub fn via(mut self, name: &str) -> Self {
        let options = self.options();
        match Via::named(name) {
            Ok(via) => options.via = via,
            Err(why) => options.upstreams = Arc::new(Upstreams::invalid(why).into_set()),
        }
        self
    }

    /// How many bytes of a request's body are kept until its answer begins, so that it can
    /// be sent again: default 64 KiB. A longer body is sent once. Zero: none is kept.
    pub fn replay_buffer(mut self, bytes: usize) -> Self {
        self.options().replay_buffer = bytes;
        self
    }

    /// To which protocols a client may switch, such as `["websocket"]`: default none.
    ///
    /// Such a connection becomes a tunnel once the upstream has agreed with 101. Nobody
    /// looks into it: the upstream is the one to check `Origin` and the like.
    pub fn upgrades<'a>(mut self, protocols: impl IntoIterator<Item = &'a str>) -> Self {
        self.options().upgrades = protocols.into_iter().map(str::to_owned).collect();
        self
    }

    /// Changes each request before it is sent, after everything that the client may not say
    /// was taken off.
    ///
    /// # Errors
    /// An error of the function is the answer, with its own status; no upstream is asked.
    ///
    /// ```
    /// use squall::forward::Forward;
    ///
    /// let api = Forward::to("http://127.0.0.1:8080").rewrite(|request, onward| {
    ///     let user = request.headers().get("x-session").unwrap_or("nobody");
    ///     onward.headers_mut().set("X-User", user)?;
    ///     onward.headers_mut().remove("cookie");
    ///     Ok(())
    /// });
    /// ```
    pub fn rewrite<F>(mut self, rewrite: F) -> Self
    where
        F: Fn(&Request, &mut Onward) -> Result<()> + Send + Sync + 'static,
    {
        self.options().rewrite = Some(Arc::new(rewrite));
        self
    }

    /// What each upstream does at the moment.
    pub fn stats(&self) -> Vec<UpstreamStats> {
        self.options.upstreams.stats()
    }
}

/// The parameters of a [`Forward`] as a handler.
#[derive(Debug)]
#[doc(hidden)]
pub enum Relayed {}

impl crate::web::Handler<Relayed> for Forward {
    // No async function, as it would hold the request twice.
    fn handle(self, request: Request) -> impl Future<Output = Result<Response>> + Send + 'static {
        let (to, mut request) = (self.options, request);
        async move { Ok(relay(&mut request, &to).await?) }
    }

    fn needs(_: &mut Needs) {}
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("upstreams", &self.options.upstreams)
            .field("mapping", &self.options.mapping)
            .field("upgrades", &self.options.upgrades)
            .finish_non_exhaustive()
    }
}
