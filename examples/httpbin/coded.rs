//! Answers with a content coding, whether it was asked for or not.

use squall::coding::{Coding, Level, encode};
use squall::{Body, IntoResponse, Request, Response, Result};

use super::methods::pick;

pub(super) async fn gzip(request: Request) -> Result<Response> {
    coded(request, Coding::Gzip, "gzipped").await
}

pub(super) async fn deflate(request: Request) -> Result<Response> {
    coded(request, Coding::Deflate, "deflated").await
}

pub(super) async fn brotli(request: Request) -> Result<Response> {
    coded(request, Coding::Br, "brotli").await
}

async fn coded(mut request: Request, coding: Coding, flag: &str) -> Result<Response> {
    let mut told = pick(&mut request, &["headers", "method", "origin"]).await?;
    told[flag] = true.into();
    let plain = Body::from(told.to_string().into_bytes()).with_content_type("application/json");
    let mut response = encode(plain, coding, Level::Default).into_response()?;
    (response.headers_mut()).set("Content-Encoding", coding.name())?;
    Ok(response)
}
