//! For tests of the wire: what was received, told or sent back.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use squall::{Cookies, Json, Multipart, Next, Request, Response, Result, StatusCode};

use super::LONG_EXCHANGE;

/// Of longer bodies only length and digest are told.
const MAX_TOLD: usize = 8 << 20;
/// Of longer parts only the length is told.
const MAX_VALUE: usize = 4 << 10;

/// A request as it was received.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    body_len: u64,
    body_sha256: String,
    /// As latin-1.
    body: Option<String>,
}

/// Answers everything as `/seen` does.
pub(super) async fn everything(request: Request, _: Next) -> Result<Json<Seen>> {
    seen(request).await
}

pub(super) async fn seen(mut request: Request) -> Result<Json<Seen>> {
    request.exchange().set_deadline(LONG_EXCHANGE);
    let (mut len, mut digest, mut told) = (0, Sha256::new(), Some(String::new()));
    while let Some(chunk) = request.body_mut().chunk().await {
        let chunk = chunk?;
        len += chunk.len() as u64;
        digest.update(&chunk);
        if len > MAX_TOLD as u64 {
            told = None;
        }
        if let Some(told) = &mut told {
            told.extend(chunk.iter().map(|byte| char::from(*byte)));
        }
    }
    let digest = digest.finalize();
    let headers = request.headers().iter();
    Ok(Json(Seen {
        method: request.method().to_string(),
        target: request.target().to_owned(),
        version: request.version().as_str(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), latin1(value)))
            .collect(),
        body_len: len,
        body_sha256: digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
        body: told,
    }))
}

/// Sends the body back while it arrives.
pub(super) async fn echo(mut request: Request) -> Result<Response> {
    request.exchange().set_deadline(LONG_EXCHANGE);
    let mut answer = Response::new(StatusCode::OK, request.take_body());
    if let Some(kind) = request.headers().get_bytes("content-type") {
        answer.headers_mut().set("Content-Type", kind)?;
    }
    Ok(answer)
}

pub(super) async fn multipart(mut form: Multipart) -> Result<Value> {
    let mut parts = Vec::new();
    while let Some(mut part) = form.next_part().await? {
        let (mut len, mut value) = (0, Some(String::new()));
        while let Some(chunk) = part.chunk().await? {
            len += chunk.len();
            value = value.filter(|_| len <= MAX_VALUE);
            if let Some(value) = &mut value {
                *value += &latin1(&chunk);
            }
        }
        parts.push(json!({
            "name": part.name(),
            "filename": part.filename(),
            "content_type": part.content_type(),
            "len": len,
            "value": value,
        }));
    }
    Ok(json!({ "parts": parts }))
}

pub(super) async fn cookies(cookies: Cookies) -> Value {
    cookies
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
