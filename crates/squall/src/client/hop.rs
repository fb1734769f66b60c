//! One hop: a request that is passed on to an origin as it is, for whoever relays.
//!
//! A fetch follows, decodes, remembers and collects; a relay must do none of that. What
//! is left is a place in the pool, a connection, and one exchange, again where an idle
//! connection turned out to be closed.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use squall_http::client::{Answer, Connection, ExchangeLimits, Outgoing, Progress, exchange};
use squall_http::{Body, Headers};
use squall_loop::coarse_remaining;
use squall_loop::time::{coarse_now, now};

use super::address::{Address, strip_credentials};
use super::async_http_client::{AsyncHttpClient, Defaults, Shared};
use super::error::{Cause, FetchError, Phase};
use super::fetch::{
    SAFE_REPEATS, Trace, guard, in_line, is_late, may_repeat, open, place, unless_zero,
};
use super::pool::{Acquired, Lease};
use super::proxy::Via;
use super::request::Waits;
use super::route::Route;
use super::total::leave_time_to_answer;

/// What the address of a Unix socket begins with.
const UNIX: &str = "unix:";

/// Where hops go to.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    url: Address,
    /// What is asked for in `Host`, with the port where it is not the scheme's own.
    authority: String,
    /// The address with the name that it was looked up for, where it has none itself.
    named: Option<Box<Address>>,
    /// The Unix socket that it listens on, as it was written.
    socket: Option<String>,
    /// The way there, as the client that was here first goes.
    way: OnceLock<Way>,
}

/// The way to an origin.
#[derive(Debug, Clone)]
struct Way {
    /// By what the client's own way is.
    from: Arc<Route>,
    route: Arc<Route>,
}

impl Origin {
    /// Reads `http://host:port`, `https://…`, where a path is not looked at, or a Unix
    /// socket's `unix:/path`.
    pub(crate) fn parse(address: &str) -> Result<Self, String> {
        if let Some(path) = address.strip_prefix(UNIX) {
            return Self::on_socket(address, path);
        }
        let mut url = Address::parse(address)?.into_url();
        strip_credentials(&mut url);
        let url = Address::of(url)?;
        Ok(Self {
            authority: url.authority().to_owned(),
            url,
            named: None,
            socket: None,
            way: OnceLock::new(),
        })
    }

    /// Whoever listens there is asked for `localhost`, as by nginx and curl.
    fn on_socket(address: &str, path: &str) -> Result<Self, String> {
        if path.is_empty() || cfg!(not(unix)) {
            return Err(format!("{address:?} is no Unix socket of this system"));
        }
        Ok(Self {
            socket: Some(address.to_owned()),
            ..Self::parse("http://localhost")?
        })
    }

    /// The same origin under one of its addresses: nobody is asked for it any more.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<Self> {
        let mut url = self.url.url().clone();
        url.set_ip_host(address.ip()).ok()?;
        Some(Self {
            url: Address::of(url).ok()?,
            authority: self.authority.clone(),
            named: Some(Box::new(self.url.clone())),
            socket: None,
            way: OnceLock::new(),
        })
    }

    /// The path of the address, without a slash at its end.
    pub(crate) fn path(&self) -> &str {
        self.url.url().path().trim_end_matches('/')
    }

    /// Host and port, as they stand in `Host`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Scheme, host and port, or the socket, for people.
    pub(crate) fn as_str(&self) -> &str {
        self.socket.as_deref().unwrap_or(self.url.origin())
    }

    /// Whether it is a socket, which has no name to look up.
    pub(crate) fn is_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// Its addresses at present, within `connect_timeout`.
    pub(crate) async fn addresses(&self, client: &AsyncHttpClient) -> io::Result<Vec<SocketAddr>> {
        let defaults = &client.shared().defaults;
        let host = self.url.url().host_str().unwrap_or_default();
        let port = self.url.url().port_or_known_default().unwrap_or(80);
        let found = async {
            let found = defaults.names.look_up(host, port).await;
            found.map_err(Cause::Io)
        };
        let found = unless_zero(Waits::of(defaults).connect, "connect_timeout", found).await;
        found.map_err(|cause| match cause {
            Cause::Io(error) => error,
            cause => io::Error::new(io::ErrorKind::TimedOut, cause.to_string()),
        })
    }

    /// The way there: worked out once, for all hops go with the same client.
    fn route(&self, defaults: &Defaults) -> Arc<Route> {
        let way = self.way.get_or_init(|| Way {
            from: defaults.route.clone(),
            route: self.work_out(defaults),
        });
        match Arc::ptr_eq(&way.from, &defaults.route) {
            true => way.route.clone(),
            false => self.work_out(defaults),
        }
    }

    fn work_out(&self, defaults: &Defaults) -> Arc<Route> {
        let mut route = defaults.route.clone();
        if let Some(socket) = &self.socket {
            let path = socket.strip_prefix(UNIX).unwrap_or_default();
            Arc::make_mut(&mut route).unix_socket = Some(path.into());
            return route;
        }
        let named = self.named.as_deref();
        if let Some(name) = named.and_then(|named| named.url().host_str())
            && self.url.is_https()
        {
            Arc::make_mut(&mut route).server_name = Some(name.to_owned());
        }
        if let Some(proxy) = &defaults.proxy
            && let Some(via) = defaults.via(proxy, named.unwrap_or(&self.url))
        {
            Arc::make_mut(&mut route).via = Some(via.clone());
        }
        route
    }
}

/// The body of a request that may have to be sent again.
pub(crate) trait Replayable: Send {
    /// The body from its start; an empty one where that is gone.
    fn play(&mut self) -> Body;

    /// Whether it can be had from its start now.
    fn can_play(&self) -> bool;

    /// Whether it can be had so now and, unless it is long, once more after that.
    fn can_play_twice(&self) -> bool;
}

/// No body.
impl Replayable for () {
    fn play(&mut self) -> Body {
        Body::empty()
    }

    fn can_play(&self) -> bool {
        true
    }

    fn can_play_twice(&self) -> bool {
        true
    }
}

/// Sends a request on and waits for the head of its answer.
///
/// `outgoing` is sent as it is, to the `origin`. It is sent again when the connection had
/// been idle and was closed just then, if the body can be had once more, and if nothing had
/// been sent, or if sending it twice does no harm: `idempotent`.
///
/// # Cancel safety
/// Dropping it closes the connection.
pub(crate) fn hop<'a>(
    client: &'a AsyncHttpClient,
    origin: &'a Origin,
    outgoing: &'a Outgoing<'a>,
    body: &'a mut impl Replayable,
    limits: &'a ExchangeLimits,
    idempotent: bool,
) -> impl Future<Output = Result<Answer, FetchError>> + Send + 'a {
    let shared = client.shared();
    let hop = Hop {
        shared,
        to: origin,
        route: origin.route(&shared.defaults),
    };
    async move {
        let mut course = Course::begin();
        let defaults = &hop.shared.defaults;
        let checked = hop.shared.check().map_err(Cause::Invalid);
        checked.map_err(|cause| course.failed(&hop, outgoing, cause))?;
        let relayed = match hop.route.relay(&hop.to.url) {
            None => None,
            Some(via) => {
                let relayed = Box::pin(hop.by_proxy(via, outgoing, &mut course)).await;
                Some(relayed.map_err(|cause| course.failed(&hop, outgoing, cause))?)
            }
        };
        let changed = (relayed.as_ref()).map(|relayed| Box::new(relayed.outgoing(outgoing)));
        let mut stale = 0;
        loop {
            course.enter(Phase::Queue);
            let since = match stale {
                0 if !defaults.public_only => course.begun,
                _ => now(),
            };
            let placed = match place(hop.shared, &hop.to.url, &hop.route) {
                Ok(Acquired::Now(lease)) => Ok((lease, since)),
                Ok(Acquired::Later(waiting)) => {
                    Box::pin(in_line(waiting, Waits::of(defaults).pool)).await
                }
                Err(cause) => Err(cause),
            };
            let (lease, queued) = placed.map_err(|cause| course.failed(&hop, outgoing, cause))?;
            // A request that could not be repeated asks the system whether the line is up.
            let repeatable = idempotent && body.can_play_twice();
            let idle = match stale {
                0 => lease.idle(queued, !repeatable).await,
                _ => None,
            };
            let connection = match idle {
                Some(connection) => connection,
                None => {
                    let opened = Box::pin(hop.open(&lease, &mut course)).await;
                    opened.map_err(|cause| course.failed(&hop, outgoing, cause))?
                }
            };
            let reused = connection.is_used();
            course.enter(Phase::Write);
            let sent = changed.as_deref().unwrap_or(outgoing);
            let progress = &mut course.progress;
            // Only now: whoever finds no connection has not touched it.
            let mut played = body.play();
            match exchange(connection, lease, sent, &mut played, limits, progress).await {
                Ok(answer)
                    if reused
                        && stale < SAFE_REPEATS
                        && idempotent
                        && is_late(&answer.head)
                        && body.can_play() =>
                {
                    stale += 1;
                }
                Ok(answer) => return Ok(answer),
                Err(error)
                    if reused
                        && stale < SAFE_REPEATS
                        && may_repeat(&error, &course.progress, idempotent, body.can_play()) =>
                {
                    stale += 1;
                }
                Err(error) => return Err(course.failed(&hop, outgoing, Cause::Exchange(error))),
            }
        }
    }
}

/// Where a hop goes, and how.
struct Hop<'a> {
    shared: &'a Shared,
    to: &'a Origin,
    route: Arc<Route>,
}

impl Hop<'_> {
    /// What the proxy on the way is sent, if it may be asked for the host.
    async fn by_proxy(
        &self,
        via: &Via,
        outgoing: &Outgoing<'_>,
        course: &mut Course,
    ) -> Result<Box<Relayed>, Cause> {
        let waits = Waits::of(&self.shared.defaults);
        let relayed = Relayed::by(via, self.to, outgoing)?;
        if self.shared.defaults.public_only {
            let trace = course.trace();
            let guarded = guard(self.shared, &waits, &self.to.url, trace).await;
            course.phase = trace.phase;
            guarded?;
        }
        Ok(Box::new(relayed))
    }

    async fn open(&self, lease: &Lease, course: &mut Course) -> Result<Box<Connection>, Cause> {
        let waits = Waits::of(&self.shared.defaults);
        let trace = course.trace();
        let opened = open(self.shared, &waits, &self.to.url, &self.route, lease, trace).await;
        course.phase = trace.phase;
        opened
    }
}

/// How far a hop has come. Most need no more than that: what tells of a new connection is
/// made when one is opened.
struct Course {
    begun: Instant,
    phase: Phase,
    progress: Progress,
    trace: Option<Box<Trace>>,
}

impl Course {
    fn begin() -> Self {
        Self {
            begun: coarse_now(),
            phase: Phase::Request,
            progress: Progress::default(),
            trace: None,
        }
    }

    fn enter(&mut self, phase: Phase) {
        if phase == Phase::Queue {
            self.progress = Progress::default();
        }
        self.phase = phase;
    }

    fn trace(&mut self) -> &mut Trace {
        let begun = self.begun;
        let trace = (self.trace).get_or_insert_with(|| Box::new(Trace::begin(begun)));
        trace.enter(self.phase);
        trace
    }

    #[cold]
    fn failed(&mut self, hop: &Hop<'_>, outgoing: &Outgoing<'_>, cause: Cause) -> FetchError {
        let progress = self.progress;
        let trace = self.trace();
        trace.progress = progress;
        let path = outgoing.target.split('?').next().unwrap_or_default();
        trace.error(cause, format!("{}{path}", hop.to.as_str()))
    }
}

/// How long an answer's head may take so that the handler can still say that it has not
/// come, where that is less than the limit on silence.
pub(crate) fn first_byte_limit(idle: Option<Duration>) -> Option<Duration> {
    let left = leave_time_to_answer(coarse_remaining()?);
    idle.is_none_or(|idle| left < idle).then_some(left)
}

/// What is different where a proxy gets the request as it is (RFC 9112 section 3.2.2).
struct Relayed {
    target: String,
    headers: Headers,
}

impl Relayed {
    fn by(via: &Via, to: &Origin, outgoing: &Outgoing<'_>) -> Result<Self, Cause> {
        let mut headers = outgoing.headers.clone();
        if let Some(credentials) = via.authorization() {
            let set = headers.set("Proxy-Authorization", credentials);
            set.map_err(|error| Cause::Invalid(error.to_string()))?;
        }
        Ok(Self {
            target: format!("{}{}", to.url.origin(), outgoing.target),
            headers,
        })
    }

    fn outgoing<'a>(&'a self, outgoing: &Outgoing<'a>) -> Outgoing<'a> {
        Outgoing {
            target: &self.target,
            headers: &self.headers,
            ..*outgoing
        }
    }
}
