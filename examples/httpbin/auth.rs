//! Who is asking: basic and bearer authentication.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use squall::{Error, Path, Request, Result, StatusCode};

pub(super) async fn basic(Path(known): Path<(String, String)>, request: Request) -> Result<Value> {
    authenticated(&request, known).ok_or_else(|| {
        Error::status(StatusCode::UNAUTHORIZED)
            .with_header("WWW-Authenticate", "Basic realm=\"Fake Realm\"")
    })
}

/// As [`basic`], but a stranger does not learn that there is something.
pub(super) async fn hidden_basic(
    Path(known): Path<(String, String)>,
    request: Request,
) -> Result<Value> {
    authenticated(&request, known).ok_or_else(|| Error::status(StatusCode::NOT_FOUND))
}

fn authenticated(request: &Request, (user, password): (String, String)) -> Option<Value> {
    let given = credentials(request, "Basic")?;
    let given = STANDARD.decode(given).ok()?;
    (given == format!("{user}:{password}").into_bytes())
        .then(|| json!({ "authenticated": true, "user": user }))
}

pub(super) async fn bearer(request: Request) -> Result<Value> {
    let token = credentials(&request, "Bearer").ok_or_else(|| {
        Error::status(StatusCode::UNAUTHORIZED).with_header("WWW-Authenticate", "Bearer")
    })?;
    Ok(json!({ "authenticated": true, "token": token }))
}

/// What follows the scheme in `Authorization`.
pub(super) fn credentials<'a>(request: &'a Request, scheme: &str) -> Option<&'a str> {
    let (given, rest) = request.headers().get("authorization")?.split_once(' ')?;
    given
        .eq_ignore_ascii_case(scheme)
        .then(|| rest.trim_start())
}
