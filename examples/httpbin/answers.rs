//! Answers of every kind: by status, late, long, in pieces, elsewhere.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use squall::{Body, Error, Path, Query, Redirect, Request, Response, Result, StatusCode, sleep};

use super::methods::{origin, pick};

/// `/delay` waits no longer than this, in seconds.
const MAX_DELAY: f64 = 10.0;
/// `/bytes` gives no more.
const MAX_BYTES: usize = 100 << 10;
/// `/stream` gives no more lines.
const MAX_LINES: usize = 100;
/// `/redirect` leads no further.
const MAX_REDIRECTS: u32 = 1000;

/// One status, or one of several (`200,500:3`, with weights) by chance.
pub(super) async fn status(Path(codes): Path<String>) -> Result<Response> {
    let invalid = || Error::bad_request("Invalid status code");
    let mut choices = Vec::new();
    for choice in codes.split(',') {
        let (code, weight) = choice.split_once(':').unwrap_or((choice, "1"));
        let code: u16 = code.trim().parse().map_err(|_| invalid())?;
        let weight: f64 = weight.trim().parse().map_err(|_| invalid())?;
        // An interim status is no answer.
        let status = StatusCode::from_u16(code)
            .ok()
            .filter(|status| status.as_u16() >= 200);
        choices.push((status.ok_or_else(invalid)?, weight.max(0.0)));
    }
    let sum: f64 = choices.iter().map(|(_, weight)| weight).sum();
    let mut left = chance() * sum;
    let chosen = choices.iter().find(|(_, weight)| {
        left -= weight;
        left < 0.0
    });
    let (status, _) = chosen.or(choices.last()).ok_or_else(invalid)?;
    let mut response = Response::new(*status, body_of(*status));
    let headers = response.headers_mut();
    match status.as_u16() {
        301 | 302 | 303 | 305 | 307 => headers.set("Location", "/redirect/1")?,
        401 => headers.set("WWW-Authenticate", "Basic realm=\"Fake Realm\"")?,
        402 => headers.set("X-More-Info", "http://vimeo.com/22053820")?,
        407 => headers.set("Proxy-Authenticate", "Basic realm=\"Fake Realm\"")?,
        418 => headers.set("X-More-Info", "http://tools.ietf.org/html/rfc2324")?,
        _ => {}
    }
    Ok(response)
}

fn body_of(status: StatusCode) -> Body {
    match status.as_u16() {
        418 => "\n    -=[ teapot ]=-\n\n       _...._\n     .'  _ _ `.\n    | .\"` ^ `\". _,\n    \
                \\_;`\"---\"`|//\n      |       ;/\n      \\_     _/\n        `\"\"\"`\n"
            .into(),
        _ => Body::empty(),
    }
}

/// Waits, at most ten seconds.
pub(super) async fn delay(Path(seconds): Path<f64>, mut request: Request) -> Result<Value> {
    let wait = Duration::try_from_secs_f64(seconds.min(MAX_DELAY))
        .map_err(|error| Error::invalid_argument("seconds", error))?;
    sleep(wait).await;
    let told = ["args", "data", "files", "form", "headers", "origin", "url"];
    pick(&mut request, &told).await
}

#[derive(Deserialize)]
pub(super) struct Seed {
    seed: Option<u64>,
}

/// Random bytes; the same ones for the same seed.
pub(super) async fn bytes(Path(n): Path<usize>, Query(Seed { seed }): Query<Seed>) -> Vec<u8> {
    let mut state = seed
        .unwrap_or_else(random)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        | 1;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    next.flatten().take(n.min(MAX_BYTES)).collect()
}

/// Lines of JSON, each in a chunk of its own.
pub(super) async fn stream(Path(n): Path<usize>, mut request: Request) -> Result<Response> {
    let line = pick(&mut request, &["args", "headers", "origin", "url"]).await?;
    let mut ids = 0..n.min(MAX_LINES);
    let body = Body::from_fn(move || {
        let next = ids.next().map(|id| {
            let mut line = line.clone();
            line["id"] = id.into();
            Ok(Bytes::from(format!("{line}\n")))
        });
        std::future::ready(next)
    });
    Ok(Response::new(
        StatusCode::OK,
        body.with_content_type("application/json"),
    ))
}

#[derive(Deserialize)]
pub(super) struct Absolute {
    absolute: Option<String>,
}

pub(super) async fn redirect(
    Path(n): Path<u32>,
    Query(Absolute { absolute }): Query<Absolute>,
    request: Request,
) -> Result<Redirect> {
    if absolute.is_some_and(|absolute| absolute.eq_ignore_ascii_case("true")) {
        return further(n, "/absolute-redirect", Some(&request));
    }
    further(n, "/relative-redirect", None)
}

pub(super) async fn relative_redirect(Path(n): Path<u32>) -> Result<Redirect> {
    further(n, "/relative-redirect", None)
}

pub(super) async fn absolute_redirect(Path(n): Path<u32>, request: Request) -> Result<Redirect> {
    further(n, "/absolute-redirect", Some(&request))
}

/// To the last but one, and so on; the last one leads to `/get`.
fn further(n: u32, path: &str, here: Option<&Request>) -> Result<Redirect> {
    if n == 0 || n > MAX_REDIRECTS {
        return Err(Error::invalid_argument(
            "n",
            format!("1 to {MAX_REDIRECTS}"),
        ));
    }
    let target = if n == 1 {
        "/get".to_owned()
    } else {
        format!("{path}/{}", n - 1)
    };
    let redirect = match here {
        None => Redirect::to(target),
        Some(request) => {
            // To ourselves, by the name that the client used for us.
            Redirect::external(origin(request) + &target)
        }
    };
    Ok(redirect.with_status(StatusCode::FOUND))
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from(u32::try_from(random() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

/// Good enough for a test's bytes; never for a secret.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
