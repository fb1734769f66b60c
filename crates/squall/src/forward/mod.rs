//! Forwarding: a request goes to an upstream, and its answer comes back.
//!
//! ```no_run
//! use squall::forward::Forward;
//! use squall::{Application, Result, any};
//!
//! # fn main() -> Result<()> {
//! let api = Forward::to("http://127.0.0.1:8080").strip_prefix("/api");
//! Application::new().route("/api/{*path}", any(api)).listen("127.0.0.1:5000")?.run()
//! # }
//! ```
//! Both bodies stream, and neither side is read faster than the other takes it. What
//! concerns one hop stays on it; framing is generated, never copied. A body that is cut
//! off on one side is cut off on the other. [`Upstreams`] shares requests out among several
//! servers; [`Forward::upgrades`] lets WebSockets through.

mod balance;
mod error;
mod frames;
mod headers;
mod health;
mod max_forwards;
mod names;
mod options;
mod replay;
mod rewrite;
mod target;
mod tunnel;
mod upgrade;
mod upstream;
mod upstreams;
mod via;

pub use balance::Balance;
pub use error::ForwardError;
pub use health::HealthCheck;
pub use options::Forward;
pub use rewrite::Onward;
pub use upstream::{UpstreamState, UpstreamStats};
pub use upstreams::Upstreams;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use squall_http::client::{Answer, EXPECT_TIMEOUT, Outgoing};
use squall_http::memory::give_fields;
use squall_http::server::{Exchange, Response};
use squall_http::wire::framing::told_length;
use squall_http::wire::head::{ResponseHead, Version};
use squall_http::{Body, Headers};

use crate::Request;
use crate::client::{
    FetchError, Phase, Replayable, RequestSent, first_byte_limit, harmless_twice, hop,
};
use headers::TrailerRule;
use options::Options;
use replay::Replay;
use upstream::Upstream;
use via::Via;

/// Sends a request on to an upstream and returns its answer.
///
/// Any status of the upstream is an answer. Redirects are not followed, nothing is
/// decoded, no cookie is kept. An `Expect: 100-continue` is the upstream's to answer: the
/// body is not asked for before it agrees, or 1 s has passed. Interim answers such as 103
/// go to the client as they come.
///
/// ```no_run
/// use squall::forward::{Forward, forward};
/// use squall::{Request, Response, Result, State};
///
/// async fn relay(State(api): State<Forward>, request: Request) -> Result<Response> {
///     let mut response = forward(request, &api).await?;
///     response.headers_mut().remove("server");
///     Ok(response)
/// }
/// # let _ = squall::any(relay);
/// ```
///
/// # Errors
/// [`ForwardError`] when there is no answer of an upstream. It converts into an error with
/// the status 502, 503 or 504 for the upstream's part; 4xx for the client's (a path with dot
/// segments, a body that fails); 500 where the forward or its client cannot be used as it is
/// set; 508 for a circle; or what [`Forward::rewrite`] has said. Once the head has come, a
/// failure is the answer body's.
///
/// # Cancel safety
/// Dropping the future or the answer's body closes the connection to the upstream.
pub async fn forward(mut request: Request, to: &Forward) -> Result<Response, ForwardError> {
    relay(&mut request, &to.options).await
}

async fn relay(request: &mut Request, to: &Options) -> Result<Response, ForwardError> {
    if let Some(answer) = max_forwards::ends_here(request) {
        return Ok(answer);
    }
    let protocol = upgrade::wanted(request, to);
    // HTTP/1.0 has no expectations (RFC 9110 section 10.1.1).
    let expects = request.version() == Version::Http11 && request.head().known().expect();
    let idempotent = harmless_twice(request.method(), request.headers());
    let onward = Onward::of(request, to)?;
    let incoming = request.take_body();
    let rule = || TrailerRule::of(request.headers(), &onward.headers, to.underscores);
    let mut body = Replay::of(incoming, to.replay_buffer, rule);
    let exchange = request.exchange();
    let inform = informs(exchange, request.version(), &to.via);
    let members = to.upstreams.members(&to.client, exchange).await?;
    let mut failures: Option<Box<Failures>> = None;
    loop {
        let tried = failures
            .as_ref()
            .map_or(&[][..], |failures| &failures.tried);
        let in_flight = match to.upstreams.pick(&members, tried, request) {
            Ok(in_flight) => in_flight,
            Err(none) => {
                let last = failures.and_then(|failures| failures.last);
                return Err(last.map_or(none, ForwardError::from_fetch));
            }
        };
        let origin = &in_flight.upstream().origin;
        let target = (onward.target.as_deref()).unwrap_or(request.head().path_and_query());
        let host = (onward.host.as_deref()).unwrap_or(origin.authority());
        let outgoing = Outgoing {
            takes_trailers: onward.takes_trailers,
            expect_continue: (expects && body.is_new()).then_some(EXPECT_TIMEOUT),
            first_byte: first_byte_limit(to.limits.idle),
            upgrade: protocol,
            on_informational: Some(&inform),
            ..Outgoing::new(request.method(), target, host, &onward.headers)
        };
        let (client, limits) = (&to.client, &to.limits);
        let sent = hop(client, origin, &outgoing, &mut body, limits, idempotent);
        let error = match sent.await {
            Ok(answer)
                if to.upstreams.is_declined(answer.head.status)
                    && idempotent
                    && body.can_play()
                    && Failures::leave(&mut failures, in_flight.upstream(), to, &members) =>
            {
                to.upstreams.has_failed(&members, &in_flight);
                continue;
            }
            Ok(Answer {
                head,
                body,
                upgraded,
                ..
            }) => {
                in_flight.has_answered();
                give_fields(onward.headers);
                if let (Some(upgraded), Some(protocol)) = (upgraded, protocol) {
                    let fields = head.headers;
                    return upgrade::switch(request, to, protocol, fields, *upgraded, in_flight);
                }
                if *request.method() == Method::HEAD {
                    return Ok(to_a_head(head, &to.via));
                }
                let mut fields = head.headers;
                headers::to_client(&mut fields, &to.via, head.version);
                let body = in_flight.until_end_of(body);
                return Ok(Response::from_parts(head.status, fields, body));
            }
            Err(error) => error,
        };
        if is_its_fault(&error) && !is_cut_short(&error, outgoing.first_byte, to.limits.idle) {
            to.upstreams.has_failed(&members, &in_flight);
        }
        let failures = failures.get_or_insert_default();
        failures.tried.push(in_flight.upstream().clone());
        if !is_safe_elsewhere(&error, idempotent)
            || !body.can_play()
            || !(to.upstreams).may_retry(failures.tried.len(), members.len())
        {
            return Err(ForwardError::from_fetch(error));
        }
        failures.last = Some(error);
    }
}

/// The answer to a HEAD, which says how long that to a GET would be.
#[cold]
fn to_a_head(head: ResponseHead, via: &Via) -> Response {
    let length = told_length(&head);
    let mut fields = head.headers;
    headers::to_client(&mut fields, via, head.version);
    let body = match length {
        Some(length) => {
            let _ = fields.set("Content-Length", length.to_string());
            Body::empty()
        }
        // Nobody has said it, and no body at all would say 0.
        None => Body::from_fn(async || None),
    };
    Response::from_parts(head.status, fields, body)
}

/// What has failed of a request, if anything has.
#[derive(Default)]
struct Failures {
    tried: Vec<Arc<Upstream>>,
    last: Option<FetchError>,
}

impl Failures {
    /// Notes an upstream; whether another one is to be asked instead.
    fn leave(
        failures: &mut Option<Box<Self>>,
        upstream: &Arc<Upstream>,
        to: &Options,
        members: &[Arc<Upstream>],
    ) -> bool {
        let tried = &mut failures.get_or_insert_default().tried;
        tried.push(upstream.clone());
        to.upstreams.has_another(members, tried)
            && (to.upstreams).may_retry(tried.len(), members.len())
    }
}

/// Passes interim answers on. 100 is not among them: whoever reads the body sends it.
fn informs<'a>(
    exchange: &'a Exchange,
    version: Version,
    via: &'a Via,
) -> impl Fn(StatusCode, &Headers) + Send + Sync + use<'a> {
    let knows = version == Version::Http11;
    move |status, fields| {
        if knows && status != StatusCode::CONTINUE {
            let mut fields = fields.clone();
            headers::to_client(&mut fields, via, Version::Http11);
            exchange.send_informational(status, &fields);
        }
    }
}

/// Whether the upstream has failed, and not we or the client.
fn is_its_fault(error: &FetchError) -> bool {
    is_on_the_way(error) && !error.is_ours()
}

/// Whether our own deadline has cut the wait so short that it says nothing of the upstream: to
/// less than half of the time for which that may be silent.
fn is_cut_short(error: &FetchError, left: Option<Duration>, idle: Option<Duration>) -> bool {
    let is_short = |left| idle.is_none_or(|idle| left < idle / 2);
    error.is_timeout() && error.phase() == Phase::WaitHead && left.is_some_and(is_short)
}

/// Whether it failed between us and the upstream, whoever is to blame.
fn is_on_the_way(error: &FetchError) -> bool {
    let asked = matches!(error.phase(), Phase::Write | Phase::WaitHead);
    error.is_connect() || (asked && error.request_body().is_none())
}

/// Whether another upstream may be asked the same: where this machine has run out of
/// something, there may be a connection to that one already.
fn is_safe_elsewhere(error: &FetchError, idempotent: bool) -> bool {
    let sent = error.request_sent();
    let closed = sent == RequestSent::Maybe && !error.is_timeout();
    is_on_the_way(error) && (sent == RequestSent::No || (idempotent && closed))
}
