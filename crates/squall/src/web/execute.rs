//! The life of a request, from its head to its answer.

use std::sync::Arc;

use http::{Method, StatusCode};
use squall_http::Body;
use squall_http::server::{self, Response, ResponseFuture};
use squall_http::wire::target::TargetForm;
use squall_loop::Pressure;

use super::app::App;
use super::cross_origin;
use super::http_error::Prefers;
use super::learned::RunsOn;
use super::middleware::Next;
use super::offload::apart;
use super::request::Request;
use super::routing::{Place, toggled};
use super::shed;
use super::visit::Visit;
use crate::{Error, Result};

/// Answers one request: route, middleware, handler, errors, count and log.
///
/// Without middleware the handler's future is the only allocation: it is boxed
/// together with everything that happens around it (see [`Visit`]).
pub(super) fn execute(app: &Arc<App>, request: server::Request) -> ResponseFuture {
    let host = || {
        let peer = request.exchange().remote_addr();
        let told = app.settings.told(request.headers(), peer);
        told.host.or_else(|| request.host())
    };
    let dots = request.head().may_have_dot_segments();
    let (place, spans) = (app.routes).find(request.method(), request.path(), dots, host);
    let prefers = Prefers::of_head(request.head());
    request.exchange().set_tag(prefers.mark(place.tag()));
    let pressure = app.io_loop.pressure();
    if pressure != Pressure::Easy
        && let Some(setting) = shed::refuses(app, place, pressure)
    {
        return Visit::uncounted(app, place, prefers, &request).shed(setting);
    }
    let visit = Visit::begin(app, place, prefers, &request);
    let request = Request::new(request, app.clone(), place, spans, visit.line());
    if request.head().target_form() == TargetForm::Absolute && is_misdirected(&request) {
        return misdirected(visit);
    }
    if (app.routes.scope(place)).is_none_or(|scope| scope.middleware.is_empty()) {
        return answer(app, visit, request);
    }
    Box::pin(visit.attend(async move { Ok(Next::first().run(request).await) }))
}

/// Whether the target is one of `https`, which the client does not use: what was to be
/// secret came in the open (RFC 9110 section 7.4).
#[cold]
fn is_misdirected(request: &Request) -> bool {
    let scheme = request.head().target().get(..6);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:")) && !request.is_https()
}

#[cold]
fn misdirected(visit: Visit) -> ResponseFuture {
    let error = Error::status(StatusCode::MISDIRECTED_REQUEST)
        .show("a target of https has come over a connection that is not encrypted");
    Box::pin(visit.attend(std::future::ready(Err(error))))
}

/// The innermost step: the handler, in its connection's task or where it belongs.
pub(super) fn answer(app: &Arc<App>, visit: Visit, request: Request) -> ResponseFuture {
    let route = app.routes.route(request.place);
    if let Some(error) = cross_origin::refuses(app, route, &request) {
        return Box::pin(visit.attend(std::future::ready(Err(error))));
    }
    let Some(route) = route else {
        return unrouted(app, visit, request);
    };
    if let Some(limit) = route.policy.timeout {
        request.exchange().set_deadline(limit);
    }
    if route.learned.runs_on() == RunsOn::Lane && !route.policy.completes {
        return route.endpoint.call(visit, request);
    }
    if let Some(setting) = shed::is_full(app, route) {
        route.uncount();
        return visit.shed(setting);
    }
    let (tag, exchange) = (request.place.tag(), request.exchange().clone());
    let handler = route.endpoint.call(visit, request);
    Box::pin(apart(app.clone(), tag, exchange, handler))
}

/// Answers where no route does: OPTIONS, 405, a redirect to the path with the right
/// slash at its end, the router's own 404, or ours.
fn unrouted(app: &Arc<App>, visit: Visit, request: Request) -> ResponseFuture {
    let result = match (request.place, request.method()) {
        (Place::Path(path), method) => allowed(app.routes.allow(path), method),
        (_, &Method::OPTIONS) if request.path() == "*" => {
            Ok(Response::new(StatusCode::NO_CONTENT, Body::empty()))
        }
        (Place::Slash(_), _) => moved(request.path(), request.query()),
        _ => match app
            .routes
            .scope(request.place)
            .and_then(|scope| scope.not_found.clone())
        {
            Some(endpoint) => return endpoint.call(visit, request),
            None => Err(Error::status(StatusCode::NOT_FOUND)),
        },
    };
    Box::pin(visit.attend(std::future::ready(result)))
}

fn moved(path: &str, query: Option<&str>) -> Result<Response> {
    let mut target = toggled(path).unwrap_or_default().into_owned();
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    let mut response = Response::new(StatusCode::PERMANENT_REDIRECT, Body::empty());
    response.headers_mut().set("Location", target)?;
    Ok(response)
}

fn allowed(allow: Option<&str>, method: &Method) -> Result<Response> {
    let allow = allow.unwrap_or_default();
    if method == Method::OPTIONS {
        let mut response = Response::new(StatusCode::NO_CONTENT, Body::empty());
        response.headers_mut().set("Allow", allow)?;
        return Ok(response);
    }
    Err(Error::status(StatusCode::METHOD_NOT_ALLOWED)
        .show(format!("{method} is not allowed here; allowed: {allow}"))
        .with_header("Allow", allow))
}
