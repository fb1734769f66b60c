//! `Compression`: answers compressed as the client likes it, requests decompressed.
//!
//! A middleware, so that it sees every answer, errors included. It negotiates by the
//! weights of `Accept-Encoding` (RFC 9110 section 12.5.3) and keeps caches right: what
//! could have been compressed varies by `Accept-Encoding`, and a strong `ETag` becomes a
//! weak one, since the bytes are others. Streams are compressed as they come, each
//! chunk flushed when the next one has to be awaited.

use http::{Method, StatusCode};
use squall_http::server::{Response, ResponseFuture};
use squall_http::{Body, Headers};

use super::middleware::{Middleware, Next};
use super::request::Request;
use super::visit::Visit;
use crate::coding::{Coding, DecodeLimits, Level, content_codings, decode, encode, prefer};
use crate::{Error, Result};

/// Bodies in memory up to this size are compressed at once, and sent with their length.
const AT_ONCE: u64 = 64 << 10;

/// Compresses answers, and decompresses requests if it is told to.
///
/// ```
/// use squall::{Application, Compression};
///
/// let application = Application::new().middleware(Compression::default());
/// ```
///
/// Not compressed are answers that are compressed already, partial (206), short, of a type
/// that does not get smaller, or marked `Cache-Control: no-transform`.
///
/// A secret that is compressed together with what an attacker can choose may be guessed by
/// the answer's length (BREACH). Keep such answers out with `no-transform`.
#[doc(alias = "compress_response")]
#[doc(alias = "GZipContentEncoding")]
#[derive(Debug, Clone)]
pub struct Compression {
    codings: Vec<Coding>,
    level: Level,
    min_size: u64,
    compressible: fn(&str) -> bool,
    requests: Option<DecodeLimits>,
}

/// zstd, br and gzip, from 1024 bytes on, text and its like; requests are left as they are.
impl Default for Compression {
    fn default() -> Self {
        Self {
            codings: vec![Coding::Zstd, Coding::Br, Coding::Gzip],
            level: Level::Default,
            min_size: 1024,
            compressible,
            requests: None,
        }
    }
}

impl Compression {
    /// What clients may choose from, best first: default zstd, br, gzip.
    #[must_use]
    pub fn codings(mut self, codings: &[Coding]) -> Self {
        self.codings = codings.to_vec();
        self
    }

    /// How much work it puts in.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Answers of fewer bytes are sent as they are: default 1024. Streams of unknown
    /// length are compressed.
    #[must_use]
    pub fn min_size(mut self, bytes: u64) -> Self {
        self.min_size = bytes;
        self
    }

    /// Which content types are worth it; the function is given the type without its
    /// parameters. Default: [`compressible`].
    #[must_use]
    pub fn types(mut self, compressible: fn(&str) -> bool) -> Self {
        self.compressible = compressible;
        self
    }

    /// Decompresses the bodies of requests, within these limits: by default they are not
    /// touched. An unknown coding is answered with 415 and the known ones in
    /// `Accept-Encoding` (RFC 9110 section 15.5.16), a body beyond the limits with 413.
    #[must_use]
    #[doc(alias = "decompress_request")]
    pub fn decompress_requests(mut self, limits: DecodeLimits) -> Self {
        self.requests = Some(limits);
        self
    }
}

impl Middleware for Compression {
    fn call(&self, mut request: Request, next: Next) -> ResponseFuture {
        let this = self.clone();
        let visit = Visit::inner(request.shared(), request.place, &request);
        Box::pin(visit.attend(async move {
            if let Some(limits) = &this.requests {
                decompress(&mut request, limits)?;
            }
            let asked = Asked::of(&request, &this.codings);
            let response = next.run(request).await;
            this.compress(&asked, response).await
        }))
    }
}

/// What is left of the request when its answer is there.
struct Asked {
    head: bool,
    coding: Option<Coding>,
    identity: bool,
    if_none_match: Option<String>,
}

impl Asked {
    fn of(request: &Request, codings: &[Coding]) -> Self {
        let headers = request.headers();
        let preference = prefer(headers, codings);
        Self {
            head: request.method() == Method::HEAD,
            coding: preference.coding,
            identity: preference.identity,
            if_none_match: headers.get("if-none-match").map(str::to_owned),
        }
    }
}

impl Compression {
    async fn compress(&self, asked: &Asked, mut response: Response) -> Result<Response> {
        if response.status() == StatusCode::NOT_MODIFIED {
            keep_weak(asked, response.headers_mut())?;
            return Ok(response);
        }
        if !may_transform(&response) || (asked.identity && !self.is_worth_it(&response)) {
            return Ok(response);
        }
        vary(response.headers_mut())?;
        let Some(coding) = asked.coding else {
            return Ok(response);
        };
        let (status, mut headers, body) = response.into_parts();
        let content_type = body.content_type();
        // `None` for a stream, too.
        let plain = (!asked.head && body.len().is_some_and(|len| len <= AT_ONCE))
            .then(|| body.try_clone())
            .flatten();
        let mut coded = encode(body, coding, self.level);
        if let Some(plain) = plain {
            let bytes = coded.collect(u64::MAX).await?;
            if asked.identity && plain.len() <= Some(bytes.len() as u64) {
                return Ok(Response::from_parts(status, headers, plain));
            }
            coded = bytes.into();
            if let Some(content_type) = content_type {
                coded = coded.with_content_type(content_type);
            }
        }
        headers.set("Content-Encoding", coding.name())?;
        headers.remove("Content-Length");
        // Ranges are of the plain bytes.
        headers.remove("Accept-Ranges");
        weaken(&mut headers)?;
        Ok(Response::from_parts(status, headers, coded))
    }

    fn is_worth_it(&self, response: &Response) -> bool {
        let content_type = (response.headers().get("content-type"))
            .or(response.body().content_type())
            .unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        response.body().len().is_none_or(|len| len >= self.min_size) && (self.compressible)(essence)
    }
}

/// Whether the answer is a whole one without a coding, whose bytes may be changed.
fn may_transform(response: &Response) -> bool {
    let headers = response.headers();
    let is_whole = !response.status().is_informational()
        && response.status() != StatusCode::NO_CONTENT
        && response.status() != StatusCode::PARTIAL_CONTENT;
    is_whole
        && !response.body().is_empty()
        && !headers.contains("content-encoding")
        && !headers.contains("content-range")
        && !headers.contains("content-digest")
        && !headers.has_token("cache-control", "no-transform")
}

/// Tells caches that the answer depends on `Accept-Encoding` (RFC 9110 section 12.5.5).
fn vary(headers: &mut Headers) -> Result<()> {
    if !headers.has_token("vary", "*") && !headers.has_token("vary", "accept-encoding") {
        headers.append("Vary", "Accept-Encoding")?;
    }
    Ok(())
}

/// A strong validator names bytes, and those are others now (RFC 9110 section 8.8.1).
fn weaken(headers: &mut Headers) -> Result<()> {
    if let Some(tag) = headers.get("etag").filter(|tag| tag.starts_with('"')) {
        let weak = format!("W/{tag}");
        headers.set("ETag", weak)?;
    }
    Ok(())
}

/// A 304 names what the client has; else caches would not find it (RFC 9111 section 4.3.4).
fn keep_weak(asked: &Asked, headers: &mut Headers) -> Result<()> {
    let weak = headers.get("etag").map(|tag| format!("W/{tag}"));
    let has_weak = (asked.if_none_match.as_deref())
        .zip(weak)
        .is_some_and(|(asked, weak)| asked.split(',').any(|tag| tag.trim() == weak));
    if has_weak { weaken(headers) } else { Ok(()) }
}

/// Takes the codings off a request's body.
fn decompress(request: &mut Request, limits: &DecodeLimits) -> Result<()> {
    let refuse = |error| {
        let names = Coding::ALL.map(Coding::name).join(", ");
        Error::from(error).with_header("Accept-Encoding", &names)
    };
    let codings = content_codings(request.headers(), limits.max_codings).map_err(refuse)?;
    if codings.is_empty() {
        return Ok(());
    }
    let body: Body = request.take_body();
    *request.body_mut() = decode(body, &codings, limits).map_err(refuse)?;
    let headers = request.headers_mut();
    headers.remove("Content-Encoding");
    headers.remove("Content-Length");
    Ok(())
}

/// Whether content of this type gets smaller: text, and what is written like text.
///
/// ```
/// use squall::web::compressible;
///
/// assert!(compressible("text/html") && compressible("application/problem+json"));
/// assert!(!compressible("image/png") && !compressible("application/octet-stream"));
/// ```
pub fn compressible(content_type: &str) -> bool {
    const TYPES: [&str; 13] = [
        "application/javascript",
        "application/json",
        "application/ndjson",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/xml",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
        "image/x-icon",
    ];
    let name = content_type.to_ascii_lowercase();
    name.starts_with("text/")
        || ["+json", "+xml", "+text"]
            .iter()
            .any(|end| name.ends_with(end))
        || TYPES.contains(&name.as_str())
}
