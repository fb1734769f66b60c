//! Content codings taken off an answer, as its body is read.
//!
//! A coding that is not known stays: the caller gets the bytes and the header as they
//! came. What is taken off is said in `X-Consumed-Content-Encoding`, Tornado's name;
//! `Content-Encoding` and `Content-Length` described other bytes and go with it.

use http::StatusCode;
use squall_http::wire::coding::{CodingError, content_codings};
use squall_http::wire::head::ResponseHead;
use squall_http::{Body, BodyError};

use super::error::Cause;
use crate::coding::{DecodeLimits, decode};

/// What a request says it accepts, best first.
pub(super) const ACCEPTED: Option<&str> = Some("zstd, br, gzip, deflate");

/// Takes the codings off that the head names: at most two, and a piece at a time.
pub(super) fn decoded(head: &mut ResponseHead, body: Body) -> Result<Body, Cause> {
    if body.is_empty()
        || head.status == StatusCode::PARTIAL_CONTENT
        || !head.headers.contains("content-encoding")
    {
        return Ok(body);
    }
    let limits = DecodeLimits {
        // Whoever reads it as a whole says how large it may be, and whoever does not sees
        // it pass: the ratio is what is left to watch.
        max_decoded_size: u64::MAX,
        ..DecodeLimits::default()
    };
    let failed = |error| Cause::Body(BodyError::other(error));
    let codings = match content_codings(&head.headers, limits.max_codings) {
        Err(CodingError::Unsupported { .. }) => return Ok(body),
        codings => codings.map_err(failed)?,
    };
    if codings.is_empty() {
        return Ok(body);
    }
    let body = decode(body, &codings, &limits).map_err(failed)?;
    let lines: Vec<_> = (head.headers.get_all("content-encoding"))
        .map(<[u8]>::to_vec)
        .collect();
    head.headers.remove("content-encoding");
    head.headers.remove("content-length");
    for line in lines {
        // It was a field's value before.
        let _ = head.headers.append("X-Consumed-Content-Encoding", line);
    }
    Ok(body)
}
