//! The life of a fetch, from the request to the head of its answer.

use std::pin::pin;
use std::time::Duration;

use http::StatusCode;
use squall_http::Body;
use squall_http::client::{Answer, EXPECT_TIMEOUT, ExchangeLimits, Outgoing, exchange};
use squall_http::wire::head::ResponseHead;
use squall_loop::time::now;
use squall_loop::with_timeout;

use super::address::Address;
use super::async_http_client::Shared;
use super::error::{Cause, FetchError, Phase};
use super::hop_fields::HopFields;
use super::permit::{guard, in_line, open, place};
use super::pool::Acquired;
use super::repeat::{SAFE_REPEATS, harmless_twice, is_late, may_repeat};
use super::request::{HttpRequest, Rare};
use super::response::{self, Hop, HttpResponse};
use super::retry::{self, Retry};
use super::total::Total;
use super::trace::Trace;
use super::{digest, netrc, redirect};

/// A redirect's body up to this size is read, so that its connection can be used again.
const REDIRECT_BODY: u64 = 64 << 10;

/// How long that may take.
const REDIRECT_TIME: Duration = Duration::from_millis(50);

/// Fetches: a place in the pool, a connection, one exchange; again for each redirect, for
/// a challenge, and where an idle connection turned out to be closed.
async fn run(
    shared: &Shared,
    request: &mut HttpRequest,
    url: &mut Address,
    trace: &mut Trace,
) -> Result<(Answer, bool), Cause> {
    let defaults = &shared.defaults;
    let limits = limits(request, shared);
    let mut since = trace.marks.begun;
    let mut redirects_left = request.redirects(defaults);
    let mut challenges = 0;
    let mut stale = 0;
    if request.said().is_some_and(Rare::logs_in) {
        Box::pin(log_in(shared, request, url)).await?;
    }
    loop {
        let replay = request.body.try_clone();
        let mut body = std::mem::take(&mut request.body);
        let repeatable = replay.is_some() && harmless_twice(&request.method, &request.headers);

        trace.enter(Phase::Queue);
        let route = request.route(defaults, url);
        if defaults.public_only && route.relay(url).is_some() {
            let waits = request.waits(defaults);
            Box::pin(guard(shared, &waits, url, trace)).await?;
            trace.enter(Phase::Queue);
            since = now();
        }
        let (lease, queued) = match place(shared, url, &route)? {
            Acquired::Now(lease) => (lease, since),
            Acquired::Later(waiting) => {
                let limit = request.waits(defaults).pool;
                // On the heap, so that a fetch that finds room stays small.
                Box::pin(in_line(waiting, limit)).await?
            }
        };
        trace.marks.queued(queued);

        // A request that could not be repeated asks the system whether the line is up.
        let idle = match stale {
            0 => lease.idle(queued, !repeatable).await,
            _ => None,
        };
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let waits = request.waits(defaults);
                // On the heap, so that a fetch that needs no new connection stays small.
                Box::pin(open(shared, &waits, url, &route, &lease, trace)).await?
            }
        };
        let reused = connection.is_used();

        trace.enter(Phase::Write);
        let added = HopFields::add(request, shared, url, &route)?;
        // A proxy is told the whole address (RFC 9112 section 3.2.2).
        let target = match route.relay(url) {
            Some(_) => url.absolute(),
            None => url.target(),
        };
        let host = request.host.as_deref();
        let said = request.said();
        let outgoing = Outgoing {
            method: &request.method,
            target,
            host: host.unwrap_or(url.authority()),
            headers: &request.headers,
            user_agent: request.default_agent(defaults),
            accept_encoding: request.accepted_codings(),
            close: request.close,
            takes_trailers: request.takes_trailers,
            expect_continue: request.expect_continue.then_some(EXPECT_TIMEOUT),
            first_byte: (said.and_then(|said| said.first_byte_timeout))
                .filter(|limit| !limit.is_zero()),
            upgrade: said.and_then(|said| said.upgrade.as_deref()),
            on_informational: said.and_then(|said| said.on_informational.as_deref()),
            on_head: said.and_then(|said| said.on_head.as_deref()),
        };
        let progress = &mut trace.progress;
        let answer = exchange(connection, lease, &outgoing, &mut body, &limits, progress).await;
        if let (Some(jar), Ok(answer)) = (&defaults.cookie_jar, &answer) {
            jar.store(url.url(), &answer.head.headers);
        }
        added.remove(request);
        let answer = match answer {
            Err(error)
                if reused
                    && stale < SAFE_REPEATS
                    && may_repeat(&error, &trace.progress, repeatable, replay.is_some()) =>
            {
                request.body = replay.unwrap_or_default();
                stale += 1;
                trace.repeats += 1;
                since = trace.again();
                continue;
            }
            // A server that was tired of waiting has not seen this request.
            Ok(answer) if reused && stale < SAFE_REPEATS && repeatable && is_late(&answer.head) => {
                request.body = replay.unwrap_or_default();
                stale += 1;
                trace.repeats += 1;
                since = trace.again();
                continue;
            }
            answer => answer.map_err(Cause::Exchange)?,
        };
        stale = 0;

        // Who cannot wait for a 100 may still want the body (RFC 9110 section 10.1.1).
        if request.expect_continue
            && answer.head.status == StatusCode::EXPECTATION_FAILED
            && let Some(body) = replay.as_ref().filter(|body| !body.is_empty())
            && let Some(body) = body.try_clone()
        {
            request.body = body;
            request.expect_continue = false;
            since = trace.again();
            continue;
        }

        if let Some(proof) = meet_challenge(shared, request, url, &answer.head, challenges)
            && let Some(body) = &replay
            && let Some(body) = body.try_clone()
        {
            prove(request, &proof)?;
            request.body = body;
            challenges += 1;
            Box::pin(drain(answer)).await;
            since = trace.again();
            continue;
        }

        let leads_to = match request.follow_redirects {
            true => redirect::target(&answer.head, url, request)
                .inspect_err(|_| trace.enter(Phase::Redirect))?,
            false => None,
        };
        let Some(next) = leads_to else {
            return Ok((answer, reused));
        };
        trace.enter(Phase::Redirect);
        let Some(left) = redirects_left.checked_sub(1) else {
            let limit = request.redirects(defaults);
            return Err(Cause::TooManyRedirects { limit });
        };
        redirects_left = left;
        let status = answer.head.status;
        if redirect::rewrite(request, status, url, &next) {
            request.body = replay.ok_or_else(|| not_replayable(&next))?;
        }
        Box::pin(drain(answer)).await;
        let url = std::mem::replace(url, next).into_url();
        trace.history.push(Hop { url, status });
        since = trace.again();
        challenges = 0;
    }
}

/// Fetches, with the repeats and the errors that the request or the client ask for.
pub(super) async fn fetch(
    shared: &Shared,
    request: &mut HttpRequest,
) -> Result<HttpResponse, FetchError> {
    let raise = request.raise_error.unwrap_or(shared.defaults.raise_error);
    let outcome = match request.policy().or(shared.defaults.retry.as_ref()).cloned() {
        Some(retry) => Box::pin(retry::attempts(shared, request, &retry)).await,
        None if request.hedge_delay().is_some() => {
            Box::pin(retry::attempts(shared, request, &Retry::times(0))).await
        }
        None => once(shared, request).await,
    };
    match raise {
        true => outcome?.rethrow(),
        false => outcome,
    }
}

/// Fetches within the request's time, and tells the whole story if that fails.
pub(super) async fn once(
    shared: &Shared,
    request: &mut HttpRequest,
) -> Result<HttpResponse, FetchError> {
    let defaults = &shared.defaults;
    let begun = now();
    let mut trace = Trace::begin(begun);
    let mut total = Total::of(request, defaults.request_timeout, begun);
    let invalid = shared.check();
    let mut url = match invalid.and_then(|()| request.complete(defaults)) {
        Ok(url) => url,
        Err(what) => return Err(trace.error(Cause::Invalid(what), String::new())),
    };
    let fetched = {
        // Pinned here: moving it would copy it as a whole.
        let fetched = pin!(run(shared, request, &mut url, &mut trace));
        match &mut total {
            Some(total) => total.bound(fetched).await,
            None => fetched.await,
        }
    };
    let (answer, reused) = fetched.map_err(|cause| trace.error(cause, url.shown().to_owned()))?;
    let headed = trace.progress.last_byte.unwrap_or_else(now);
    let (head, body) = plain(request, answer.head, answer.body).map_err(|cause| {
        trace.enter(Phase::Body);
        trace.error(cause, url.shown().to_owned())
    })?;
    Ok(HttpResponse::new(response::Inner {
        marks: trace.marks.finish(&trace.progress, headed),
        remote_addr: answer.peer,
        reused,
        retries: trace.repeats,
        history: trace.history,
        upgraded: answer.upgraded,
        head,
        body,
        trailers: None,
        url,
        max_body_size: request.body_limit(defaults),
        total,
    }))
}

/// The answer without content codings, unless the request wants it as it comes.
fn plain(
    request: &HttpRequest,
    head: ResponseHead,
    body: Body,
) -> Result<(ResponseHead, Body), Cause> {
    #[cfg(feature = "compression")]
    if request.decompress != Some(false) {
        let mut head = head;
        let body = super::decode::decoded(&mut head, body)?;
        return Ok((head, body));
    }
    let _ = request;
    Ok((head, body))
}

/// Puts on what is known before anybody asks: the credentials of a `.netrc` file, the proof
/// for a challenge that was met before.
async fn log_in(shared: &Shared, request: &mut HttpRequest, url: &Address) -> Result<(), Cause> {
    let Some(said) = request
        .said()
        .filter(|_| !request.headers.contains("authorization"))
    else {
        return Ok(());
    };
    let known = |credentials| shared.digests.proof(url, credentials, &request.method);
    let proof = said.digest.as_ref().and_then(known);
    let is_digest = said.digest.is_some();
    if let Some(path) = said.netrc.clone() {
        let host = url.url().host_str().unwrap_or_default();
        let found = netrc::look_up(path, host).await;
        let refuse = |why| Cause::Invalid(format!("netrc: {why}"));
        if let Some((login, password)) = found.map_err(refuse)? {
            let put = request.put_basic(login.as_bytes(), password.as_bytes());
            put.map_err(refuse)?;
        }
    }
    if let Some(proof) = proof {
        prove(request, &proof)?;
    } else if !is_digest
        && !request.headers.contains("authorization")
        && let Some(default) = shared.defaults.headers.get_all("authorization").next()
    {
        prove(request, default)?;
    }
    Ok(())
}

fn prove(request: &mut HttpRequest, proof: &[u8]) -> Result<(), Cause> {
    let set = request.headers.set("Authorization", proof);
    set.map_err(|error| Cause::Invalid(error.to_string()))
}

/// The proof that a 401 asks for. A second one only where the first was late, not wrong.
fn meet_challenge(
    shared: &Shared,
    request: &HttpRequest,
    url: &Address,
    head: &ResponseHead,
    met: u32,
) -> Option<Vec<u8>> {
    let credentials = request.said()?.digest.as_ref()?;
    let digests = &shared.digests;
    if head.status != StatusCode::UNAUTHORIZED {
        digests.note(url, credentials, &head.headers);
        return None;
    }
    digests.forget(url, credentials);
    let challenge = digest::challenge(&head.headers)?;
    if met > 1 || (met > 0 && !challenge.stale) {
        return None;
    }
    digests.meet(url, credentials, &request.method, challenge)
}

fn limits(request: &HttpRequest, shared: &Shared) -> ExchangeLimits {
    let idle = request.idle_timeout.unwrap_or(shared.defaults.idle_timeout);
    let total = (request.request_timeout).unwrap_or(shared.defaults.request_timeout);
    ExchangeLimits {
        idle: (!idle.is_zero()).then_some(idle),
        bounded: !total.is_zero() && total <= idle,
        ..ExchangeLimits::default()
    }
}

fn not_replayable(next: &Address) -> Cause {
    let next = next.shown();
    Cause::Redirect(format!(
        "{next:?}: the request's body was streamed and cannot be sent again"
    ))
}

/// Reads a small body to its end, so that the connection is free for the next hop.
async fn drain(mut answer: Answer) {
    if answer.body.len().is_some_and(|len| len <= REDIRECT_BODY) {
        // What is wrong with it does not matter: the connection is closed then.
        let _ = with_timeout(REDIRECT_TIME, answer.body.collect(REDIRECT_BODY)).await;
    }
}
