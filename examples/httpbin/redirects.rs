//! Answers that lead elsewhere.

use std::collections::HashMap;

use serde::Deserialize;
use squall::{Error, IntoResponse, Path, Query, Redirect, Request, Response, Result, StatusCode};

use super::methods::origin;

/// `/redirect` leads no further.
const MAX_REDIRECTS: u32 = 1000;

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

pub(super) async fn relative(Path(n): Path<u32>) -> Result<Redirect> {
    further(n, "/relative-redirect", None)
}

pub(super) async fn absolute(Path(n): Path<u32>, request: Request) -> Result<Redirect> {
    further(n, "/absolute-redirect", Some(&request))
}

/// To the last but one, and so on; the last one leads to `/get`.
fn further(n: u32, path: &str, here: Option<&Request>) -> Result<Redirect> {
    if n == 0 || n > MAX_REDIRECTS {
        let range = format!("1 to {MAX_REDIRECTS}");
        return Err(Error::invalid_argument("n", range));
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

/// Wherever the client likes. Elsewhere that would be an open redirect.
pub(super) async fn to(Query(given): Query<HashMap<String, String>>) -> Result<Response> {
    let given = |name: &str| {
        (given.iter())
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value.as_str()))
    };
    let url = given("url").ok_or_else(|| Error::missing_argument("url"))?;
    let status = match given("status_code") {
        None => None,
        Some(code) => {
            let code: u16 = code
                .parse()
                .map_err(|error| Error::invalid_argument("status_code", error))?;
            StatusCode::from_u16(code).ok()
        }
    };
    let status = status.filter(|status| status.is_redirection());
    Redirect::external(url)
        .with_status(status.unwrap_or(StatusCode::FOUND))
        .into_response()
}
