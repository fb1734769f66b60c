//! Bodies: as a stream (`Body`), or collected (`Bytes`, `String`).

use bytes::Bytes;
use squall_http::{Body, BodyError};

use super::{FromRequest, Rejection, RequestPart};
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// The body as it comes, bounded by `max_body_size` alone.
impl FromRequest for Body {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(request.take_body())
    }

    fn is_absent(request: &Request) -> bool {
        is_absent(request)
    }

    fn needs(needs: &mut Needs) {
        needs.body::<Self>();
    }
}

/// The whole body, up to `max_collected_body`.
impl FromRequest for Bytes {
    async fn from_request(request: &mut Request) -> Result<Self> {
        collect(request).await
    }

    fn is_absent(request: &Request) -> bool {
        is_absent(request)
    }

    fn needs(needs: &mut Needs) {
        needs.body::<Self>();
    }
}

/// The whole body as text in UTF-8, up to `max_collected_body`. A byte order mark is
/// skipped.
impl FromRequest for String {
    async fn from_request(request: &mut Request) -> Result<Self> {
        refuse_other_charsets(request, RequestPart::Body)?;
        let body = collect(request).await?;
        utf8(RequestPart::Body, &body).map(str::to_owned)
    }

    fn is_absent(request: &Request) -> bool {
        is_absent(request)
    }

    fn needs(needs: &mut Needs) {
        needs.body::<Self>();
    }
}

/// Collects the body of a request, up to `max_collected_body`.
pub(crate) async fn collect(request: &mut Request) -> Result<Bytes> {
    let limit = request.max_collected_body();
    match request.body_mut().collect(limit).await {
        Ok(body) => Ok(body),
        Err(BodyError::TooLarge { limit: passed }) if passed == limit => Err(Error::rejected(
            RequestPart::Body,
            Rejection::TooLarge,
            format!("the body is larger than {limit} bytes (setting: max_collected_body)"),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Text, without a byte order mark before it.
pub(super) fn utf8(part: RequestPart, body: &[u8]) -> Result<&str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        let shown = format!("the body is not UTF-8 at byte {at}");
        Error::rejected(part, Rejection::NotUtf8, shown)
    })
}

/// Whether the request has no body: none is to come, or the empty one is no kind of it.
pub(super) fn is_absent(request: &Request) -> bool {
    request.body().is_empty()
}

/// What the body is said to be, without parameters.
pub(super) fn media_type(request: &Request) -> Option<&str> {
    let value = request.headers().get("content-type")?;
    value.split(';').next().map(str::trim)
}

/// 415: the body is said to be something else than `wanted`, or nothing.
pub(super) fn wrong_type(request: &Request, part: RequestPart, wanted: &str) -> Error {
    let said = match request.headers().get("content-type") {
        Some(said) => format!("is said to be {said:?}"),
        None => "has no Content-Type".to_owned(),
    };
    let shown = format!("the body {said}, and has to be {wanted}");
    Error::rejected(part, Rejection::MediaType, shown)
        .with_field("Content-Type")
        .with_header(accept_field(request), wanted)
}

/// Which field tells what would have been taken (RFC 9110 section 15.5.16, RFC 5789).
fn accept_field(request: &Request) -> &'static str {
    match request.method().as_str() {
        "PATCH" => "Accept-Patch",
        "POST" => "Accept-Post",
        _ => "Accept",
    }
}

/// 415 for a charset that is not UTF-8: nothing is guessed or converted.
pub(super) fn refuse_other_charsets(request: &Request, part: RequestPart) -> Result<()> {
    let value = request.headers().get("content-type").unwrap_or_default();
    for param in value.split(';').skip(1) {
        let Some((name, charset)) = param.split_once('=') else {
            continue;
        };
        let charset = charset.trim().trim_matches('"');
        let is_utf8 = ["utf-8", "utf8", "us-ascii"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(charset));
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8 {
            let shown = format!("the charset {charset:?} is not read here, only UTF-8 is");
            return Err(
                Error::rejected(part, Rejection::MediaType, shown).with_field("Content-Type")
            );
        }
    }
    Ok(())
}
