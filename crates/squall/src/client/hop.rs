//! One hop: a request that is passed on to an origin as it is, for whoever relays.
//!
//! A fetch follows, decodes, remembers and collects; a relay must do none of that. What
//! is left is a place in the pool, a connection, and one exchange, again where an idle
//! connection turned out to be closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_http::client::{Answer, Connection, ExchangeLimits, Outgoing, Progress, exchange};
use squall_http::{Body, Headers};
use squall_loop::coarse_remaining;
use squall_loop::time::{coarse_now, now};

use super::async_http_client::{AsyncHttpClient, Shared};
use super::error::{Cause, FetchError, Phase, RequestSent};
use super::origin::Origin;
use super::permit::{guard, in_line, open, place};
use super::pool::{Acquired, Lease};
use super::proxy::Via;
use super::repeat::{SAFE_REPEATS, is_late, may_repeat};
use super::request::Waits;
use super::route::Route;
use super::total::leave_time_to_answer;
use super::trace::{Trace, sent_by};

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
    let hop = Passing {
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
                    course.again();
                }
                Ok(answer) => return Ok(answer),
                Err(error)
                    if reused
                        && stale < SAFE_REPEATS
                        && may_repeat(&error, &course.progress, idempotent, body.can_play()) =>
                {
                    stale += 1;
                    course.again();
                }
                Err(error) => return Err(course.failed(&hop, outgoing, Cause::Exchange(error))),
            }
        }
    }
}

/// Where a hop goes, and how.
struct Passing<'a> {
    shared: &'a Shared,
    to: &'a Origin,
    route: Arc<Route>,
}

impl Passing<'_> {
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
    /// How much was sent before, on a connection that was closed.
    before: RequestSent,
    trace: Option<Box<Trace>>,
}

impl Course {
    fn begin() -> Self {
        Self {
            begun: coarse_now(),
            phase: Phase::Request,
            progress: Progress::default(),
            before: RequestSent::No,
            trace: None,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// It is sent once more.
    fn again(&mut self) {
        self.before = self.before.max(sent_by(&self.progress));
        self.progress = Progress::default();
    }

    fn trace(&mut self) -> &mut Trace {
        let begun = self.begun;
        let trace = (self.trace).get_or_insert_with(|| Box::new(Trace::begin(begun)));
        trace.enter(self.phase);
        trace
    }

    #[cold]
    fn failed(&mut self, hop: &Passing<'_>, outgoing: &Outgoing<'_>, cause: Cause) -> FetchError {
        let (progress, before) = (self.progress, self.before);
        let trace = self.trace();
        trace.progress = progress;
        trace.before = before;
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
        // The proxy takes the host from here (RFC 9112 section 3.2.2), and looks it up itself.
        let asked = to.asked();
        Ok(Self {
            target: format!("{}{}", asked.origin(), outgoing.target),
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
