//! Bodies: as a stream (`Body`), or collected (`Bytes`, `String`).

use bytes::Bytes;
use squall_http::{Body, BodyError};

use super::FromRequest;
use crate::web::request::Request;
use crate::{Error, Result};

/// The body as it comes, bounded by `max_body_size` alone.
impl FromRequest for Body {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(request.take_body())
    }
}

/// The whole body, up to `max_collected_body`.
impl FromRequest for Bytes {
    async fn from_request(request: &mut Request) -> Result<Self> {
        collect(request).await
    }
}

/// The whole body as text, up to `max_collected_body`.
impl FromRequest for String {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let body = collect(request).await?;
        utf8(&body).map(str::to_owned)
    }
}

/// Collects the body of a request, up to `max_collected_body`.
pub(crate) async fn collect(request: &mut Request) -> Result<Bytes> {
    let limit = request.shared().settings.max_collected_body;
    match request.body_mut().collect(limit).await {
        Ok(body) => Ok(body),
        Err(BodyError::TooLarge { limit: passed }) if passed == limit => Err(Error::too_large(
            format!("the body is larger than {limit} bytes (setting: max_collected_body)"),
        )),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn utf8(body: &[u8]) -> Result<&str> {
    std::str::from_utf8(body).map_err(|_| Error::bad_request("the body is not UTF-8"))
}

/// What the body is said to be, without parameters.
pub(super) fn media_type(request: &Request) -> Option<&str> {
    let value = request.headers().get("content-type")?;
    value.split(';').next().map(str::trim)
}
