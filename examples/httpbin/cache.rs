//! Validators and freshness.

use std::time::SystemTime;

use squall::{IntoResponse, Path, Request, Response, Result, StatusCode};

use super::methods;

/// Whoever asks conditionally has it already.
pub(super) async fn cache(request: Request) -> Result<Response> {
    let headers = request.headers();
    if headers.contains("if-modified-since") || headers.contains("if-none-match") {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let mut response = methods::get(request).await.into_response()?;
    let headers = response.headers_mut();
    headers.set("Last-Modified", httpdate::fmt_http_date(SystemTime::now()))?;
    headers.set("ETag", uuid::Uuid::new_v4().simple().to_string())?;
    Ok(response)
}

pub(super) async fn max_age(Path(seconds): Path<u64>, request: Request) -> Result<Response> {
    let mut response = methods::get(request).await.into_response()?;
    let value = format!("public, max-age={seconds}");
    response.headers_mut().set("Cache-Control", value)?;
    Ok(response)
}

pub(super) async fn etag(Path(etag): Path<String>, request: Request) -> Result<Response> {
    let none_match = tags(&request, "if-none-match");
    let any_of = |tags: &[String]| tags.iter().any(|tag| *tag == etag || tag == "*");
    let if_match = tags(&request, "if-match");
    let mut response = if any_of(&none_match) {
        StatusCode::NOT_MODIFIED.into_response()?
    } else if none_match.is_empty() && !if_match.is_empty() && !any_of(&if_match) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    } else {
        methods::get(request).await.into_response()?
    };
    response.headers_mut().set("ETag", etag)?;
    Ok(response)
}

/// The tags in a list, strong and weak ones alike, without their quotes.
fn tags(request: &Request, name: &str) -> Vec<String> {
    let fields = request.headers().get_all(name);
    let lists = fields.map(|field| String::from_utf8_lossy(field).into_owned());
    lists
        .flat_map(|list| {
            let tags = list.split(',').map(|tag| {
                let tag = tag.trim();
                tag.trim_start_matches("W/").trim_matches('"').to_owned()
            });
            tags.collect::<Vec<_>>()
        })
        .collect()
}
