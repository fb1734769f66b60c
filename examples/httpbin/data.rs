//! Bytes by number: at random, in pieces, slowly, or a range of them.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use squall::{
    Body, BodyError, BodyStream, Error, Event, Path, Query, Request, Response, Result, Sse,
    StatusCode, sleep,
};

use super::methods::pick;

/// `/bytes`, `/stream-bytes` and `/range` give no more.
const MAX_BYTES: usize = 100 << 10;
/// `/drip` gives no more.
const MAX_DRIPS: usize = 10 << 20;
/// `/stream` gives no more lines.
const MAX_LINES: usize = 100;
/// How much at once, unless told.
const PIECE: usize = 10 << 10;
/// What `/sse` leaves between two events.
const EVENT_PAUSE: Duration = Duration::from_millis(10);
/// `/drip` and `/range` take no longer than this, in seconds.
const MAX_SECONDS: f64 = 60.0;

const OCTETS: &str = "application/octet-stream";

#[derive(Deserialize)]
pub(super) struct Options {
    seed: Option<u64>,
    chunk_size: Option<usize>,
    duration: Option<f64>,
    delay: Option<f64>,
    numbytes: Option<usize>,
    code: Option<u16>,
}

/// Random bytes; the same ones for the same seed.
pub(super) async fn bytes(Path(n): Path<usize>, Query(options): Query<Options>) -> Vec<u8> {
    random_bytes(options.seed, n)
}

/// As [`bytes`], in chunks.
pub(super) async fn stream_bytes(Path(n): Path<usize>, Query(options): Query<Options>) -> Body {
    let whole = Bytes::from(random_bytes(options.seed, n));
    let mut pieces = pieces(whole, options.chunk_size);
    Body::from_fn(move || std::future::ready(pieces.pop_front().map(Ok))).with_content_type(OCTETS)
}

/// Lines of JSON, each in a chunk of its own.
pub(super) async fn stream(Path(n): Path<usize>, mut request: Request) -> Result<Body> {
    let line = pick(&mut request, &["args", "headers", "origin", "url"]).await?;
    let mut ids = 0..n.min(MAX_LINES);
    let body = Body::from_fn(move || {
        let next = ids.next().map(|id| {
            let mut line = line.clone();
            line["id"] = id.into();
            Ok(Bytes::from(format!("{line}\n")))
        });
        std::future::ready(next)
    });
    Ok(body.with_content_type("application/json"))
}

/// So many events, one every ten milliseconds.
pub(super) async fn sse(Path(n): Path<u64>) -> Sse {
    let mut sent = 0;
    Sse::from_fn(move || {
        let number = sent;
        sent += 1;
        async move {
            if number >= n {
                return None;
            }
            sleep(EVENT_PAUSE).await;
            Some(Event::data(number.to_string()).id(&number.to_string()))
        }
    })
}

/// So many bytes over so many seconds.
pub(super) async fn drip(Query(options): Query<Options>) -> Result<Response> {
    let count = options.numbytes.unwrap_or(10).min(MAX_DRIPS);
    if count == 0 {
        return Err(Error::bad_request("number of bytes must be positive"));
    }
    let status = StatusCode::from_u16(options.code.unwrap_or(200))
        .ok()
        .filter(|status| !status.is_informational());
    let status = status.ok_or_else(|| Error::invalid_argument("code", "200 to 999"))?;
    sleep(seconds("delay", options.delay.unwrap_or(0.0))?).await;
    let duration = seconds("duration", options.duration.unwrap_or(2.0))?;
    // Timers of less than a millisecond are worth nothing: bytes share one then.
    let steps = usize::try_from(duration.as_millis()).unwrap_or(count);
    let size = count.div_ceil(steps.clamp(1, count));
    let body = Paced::new(Bytes::from(vec![b'*'; count]), size, duration);
    Ok(Response::new(
        status,
        Body::stream(body).with_content_type(OCTETS),
    ))
}

/// The alphabet again and again, or a range of it.
pub(super) async fn range(
    Path(n): Path<usize>,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response> {
    let mut response = Response::default();
    let headers = response.headers_mut();
    headers.set("ETag", format!("range{n}"))?;
    headers.set("Accept-Ranges", "bytes")?;
    if n == 0 || n > MAX_BYTES {
        response.set_status(StatusCode::NOT_FOUND);
        *response.body_mut() =
            format!("number of bytes must be in the range (0, {MAX_BYTES}]").into();
        return Ok(response);
    }
    let asked = request.headers().get("range").and_then(parse_range);
    let (first, last) = match asked.unwrap_or((None, None)) {
        (None, None) => (0, n - 1),
        (None, Some(suffix)) => (n.saturating_sub(suffix), n - 1),
        (Some(first), last) => (first, last.unwrap_or(n - 1)),
    };
    if first > last || last >= n {
        response.set_status(StatusCode::RANGE_NOT_SATISFIABLE);
        (response.headers_mut()).set("Content-Range", format!("bytes */{n}"))?;
        return Ok(response);
    }
    if last - first + 1 < n {
        response.set_status(StatusCode::PARTIAL_CONTENT);
    }
    (response.headers_mut()).set("Content-Range", format!("bytes {first}-{last}/{n}"))?;
    let whole: Bytes = (first..=last).map(|i| b'a' + (i % 26) as u8).collect();
    let share = whole.len() as f64 / n as f64;
    let duration = seconds("duration", options.duration.unwrap_or(0.0))?.mul_f64(share);
    let size = options.chunk_size.unwrap_or(PIECE).max(1);
    *response.body_mut() =
        Body::stream(Paced::new(whole, size, duration)).with_content_type(OCTETS);
    Ok(response)
}

/// The ends in `bytes=FIRST-LAST`, as far as they are numbers.
fn parse_range(value: &str) -> Option<(Option<usize>, Option<usize>)> {
    let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
    Some((first.trim().parse().ok(), last.trim().parse().ok()))
}

fn seconds(name: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds.min(MAX_SECONDS))
        .map_err(|error| Error::invalid_argument(name, error))
}

fn pieces(mut whole: Bytes, size: Option<usize>) -> VecDeque<Bytes> {
    let size = size.unwrap_or(PIECE).max(1);
    let mut pieces = VecDeque::new();
    while !whole.is_empty() {
        pieces.push_back(whole.split_to(size.min(whole.len())));
    }
    pieces
}

/// Bytes of a known number, a piece at a time with pauses between.
struct Paced {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    sleep: Option<Pin<Box<squall::Sleep>>>,
}

impl Paced {
    fn new(whole: Bytes, size: usize, duration: Duration) -> Self {
        let pieces = pieces(whole, Some(size));
        let count = u32::try_from(pieces.len().max(1)).unwrap_or(u32::MAX);
        Self {
            pieces,
            pause: duration / count,
            sleep: None,
        }
    }
}

impl BodyStream for Paced {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        let piece = self.pieces.pop_front();
        if piece.is_some() && !self.pause.is_zero() {
            self.sleep = Some(Box::pin(sleep(self.pause)));
        }
        Poll::Ready(piece.map(Ok))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.pieces.iter().map(|piece| piece.len() as u64).sum())
    }
}

fn random_bytes(seed: Option<u64>, n: usize) -> Vec<u8> {
    let mut state = seed
        .unwrap_or_else(random)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        | 1;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    next.flatten().take(n.min(MAX_BYTES)).collect()
}

/// Good enough for a test's bytes; never for a secret.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
