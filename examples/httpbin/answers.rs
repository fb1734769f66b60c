//! Answers of every kind: by status, late, with any header, as text.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, Value, json};
use squall::{
    Body, Error, Html, IntoResponse, Path, Query, Redirect, Request, Response, Result, StatusCode,
    sleep,
};

use super::data::random;
use super::methods::pick;

/// `/delay` waits no longer than this, in seconds.
const MAX_DELAY: f64 = 10.0;
/// `/links` shows no more.
const MAX_LINKS: u32 = 200;

const JSON: &str = "application/json";

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
    status_of(*status)
}

/// An answer of that status, with what usually goes with it.
pub(super) fn status_of(status: StatusCode) -> Result<Response> {
    let mut response = (status, body_of(status)).into_response()?;
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
        402 => "Pay me first!".into(),
        406 => not_acceptable(),
        418 => TEAPOT.into(),
        _ => Body::empty(),
    }
}

/// `/image` has nothing for the client.
fn not_acceptable() -> Body {
    let told = json!({
        "message": "Client did not request a supported media type.",
        "accept": ["image/webp", "image/svg+xml", "image/jpeg", "image/png", "image/*"],
    });
    Body::from(told.to_string().into_bytes()).with_content_type(JSON)
}

const TEAPOT: &str = r#"
    -=[ teapot ]=-

       _...._
     .'  _ _ `.
    | ."` ^ `". _,
    \_;`"---"`|//
      |       ;/
      \_     _/
        `"""`
"#;

/// Waits, at most ten seconds.
pub(super) async fn delay(Path(seconds): Path<f64>, mut request: Request) -> Result<Value> {
    let wait = Duration::try_from_secs_f64(seconds.min(MAX_DELAY))
        .map_err(|error| Error::invalid_argument("seconds", error))?;
    sleep(wait).await;
    let told = ["args", "data", "files", "form", "headers", "origin", "url"];
    pick(&mut request, &told).await
}

/// The header fields that were asked for, and all that are sent as JSON.
pub(super) async fn response_headers(
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response> {
    let mut response = Response::default();
    for (name, value) in &asked {
        response.headers_mut().append(name, value)?;
    }
    // Its own length is told, too: say it until it fits.
    let mut told = String::new();
    loop {
        let mut fields = Map::new();
        let own = [
            ("Content-Type", "application/json".to_owned()),
            ("Content-Length", told.len().to_string()),
        ];
        let own = own.iter().map(|(name, value)| (*name, value.as_bytes()));
        for (name, value) in own.chain(response.headers().iter()) {
            add(&mut fields, name, &String::from_utf8_lossy(value));
        }
        let next = Value::from(fields).to_string();
        if next.len() == told.len() {
            *response.body_mut() = Body::from(next.into_bytes()).with_content_type(JSON);
            return Ok(response);
        }
        told = next;
    }
}

/// A field that comes more than once has a list.
fn add(fields: &mut Map<String, Value>, name: &str, value: &str) {
    match fields.get_mut(name) {
        None => {
            fields.insert(name.to_owned(), value.into());
        }
        Some(Value::Array(values)) => values.push(value.into()),
        Some(first) => *first = json!([first.take(), value]),
    }
}

/// What was encoded; anything else gets a hint.
pub(super) async fn base64(Path(value): Path<String>) -> String {
    let decoded = (URL_SAFE.decode(value).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or_else(|| "Incorrect Base64 data try: SFRUUEJJTiBpcyBhd2Vzb21l".to_owned())
}

pub(super) async fn uuid() -> Value {
    json!({ "uuid": uuid::Uuid::new_v4().to_string() })
}

/// A page with links to its sisters.
pub(super) async fn links(Path((n, offset)): Path<(u32, u32)>) -> Html<String> {
    let n = n.clamp(1, MAX_LINKS);
    let mut page = "<html><head><title>Links</title></head><body>".to_owned();
    for i in 0..n {
        if i == offset {
            page += &format!("{i} ");
        } else {
            page += &format!("<a href='/links/{n}/{i}'>{i}</a> ");
        }
    }
    Html(page + "</body></html>")
}

pub(super) async fn first_link(Path(n): Path<u32>) -> Redirect {
    Redirect::to(format!("/links/{n}/0")).with_status(StatusCode::FOUND)
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from(u32::try_from(random() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
