//! `encode` and `decode`: from a body to a body.

use squall_http::Body;
use squall_http::wire::coding::{Coding, CodingError};

use super::decoding::{Decoding, Wire};
use super::encoding::Encoding;

/// What a decoder may be made to do.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// The most bytes that may come out: default 100 MiB.
    pub max_decoded_size: u64,
    /// How many times as large as the coded body the decoded one may be, whatever the
    /// number of its codings: default 1000, which data that people compress does not reach.
    /// It is looked at once [`ratio_free_size`](Self::ratio_free_size) is passed.
    pub max_ratio: u64,
    /// Bytes that may come out whatever went in: default 1 MiB.
    pub ratio_free_size: u64,
    /// How many codings may be around one body: default 2.
    pub max_codings: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_decoded_size: 100 << 20,
            max_ratio: 1000,
            ratio_free_size: 1 << 20,
            max_codings: 2,
        }
    }
}

/// How much work an encoder puts in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    /// The least: gzip 1, br 1, zstd 1.
    Fast,
    /// For answers that are made on request: gzip 6, br 4, zstd 3.
    #[default]
    Default,
    /// For what is compressed once and sent often: gzip 9, br 9, zstd 12.
    Best,
}

/// Takes codings off a body. They are given in the order in which they were applied, as
/// [`content_codings`](super::content_codings) lists them.
///
/// gzip may have several members and zstd several frames; data behind the end is an error.
/// deflate is read with and without zlib's header, because both are sent. zstd's window is
/// bounded to 8 MiB (RFC 9659). An empty body stays empty.
///
/// # Errors
/// [`CodingError::TooMany`] beyond [`max_codings`](DecodeLimits::max_codings). Everything
/// else is found when the body is read.
pub fn decode(body: Body, codings: &[Coding], limits: &DecodeLimits) -> Result<Body, CodingError> {
    if codings.len() > limits.max_codings {
        return Err(CodingError::TooMany {
            limit: limits.max_codings,
        });
    }
    let mut wire = Wire::default();
    Ok((codings.iter().rev()).fold(body, |body, coding| {
        let content_type = body.content_type();
        let layer = Decoding::new(body, *coding, *limits, wire.layer());
        of_type(Body::stream(layer), content_type)
    }))
}

/// Puts a coding around a body.
///
/// What the body has given is flushed whenever the body makes it wait, so that events and
/// other slow streams arrive at once; a body that never waits is compressed in one go.
pub fn encode(body: Body, coding: Coding, level: Level) -> Body {
    let content_type = body.content_type();
    of_type(
        Body::stream(Encoding::new(body, coding, level)),
        content_type,
    )
}

fn of_type(body: Body, content_type: Option<&'static str>) -> Body {
    match content_type {
        Some(content_type) => body.with_content_type(content_type),
        None => body,
    }
}
