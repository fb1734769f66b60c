//! The life of one HTTP/1 connection: heads in, answers out, in order.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode};
use squall_loop::time::coarse_nanos;
use squall_loop::{DeadlineScope, IoLoop, Sleep, sleep_until, with_timeout};

use super::conn::Conn;
use super::encode::{self, Framing};
use super::exchange::Exchange;
use super::incoming::{CONTINUE, Incoming};
use super::message::{Refused, Request, Response};
use super::phase::Phase;
use super::recycle::HeadBox;
use crate::body::{Body, BodyError};
use crate::wire::chunked::{ChunkedDecoder, LAST_CHUNK, encode_chunk_header, encode_trailers};
use crate::wire::framing::{self, BodyLength};
use crate::wire::head::{self, RequestHead, Version};

/// Answers that wait in the buffer before they are written although more
/// requests are there.
const BATCH: usize = 64 << 10;
/// A body in memory up to this size goes out in one write with its head.
const INLINE_BODY: usize = 64 << 10;
/// What is read of an unwanted body to save the connection.
const DRAIN: u64 = 256 << 10;
/// What is read of a connection that closes before it is reset.
const LINGER: usize = 16 << 20;

/// What becomes of the connection after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The next request may come.
    Continue,
    /// Close, after the peer has had the chance to read what was sent.
    Linger,
    /// Close now.
    Abort,
}

/// Drives a connection to its end.
pub(super) async fn drive(conn: &Arc<Conn>) {
    let mut deadline = Deadline::default();
    loop {
        let then = match next_head(conn, &mut deadline).await {
            Next::Request(head) => exchange(conn, head, &mut deadline).await,
            Next::Refused(status, why) => refuse(conn, None, status, &why),
            Next::Closed => Then::Abort,
        };
        match then {
            Then::Continue => {}
            Then::Linger => return linger(conn, &mut deadline).await,
            Then::Abort => return,
        }
    }
}

/// Answers a connection that cannot be one of HTTP, and closes it.
pub(super) async fn turn_away(conn: &Arc<Conn>, status: StatusCode, why: &str) {
    refuse(conn, None, status, why);
    linger(conn, &mut Deadline::default()).await;
}

enum Next {
    Request(HeadBox),
    Refused(StatusCode, String),
    Closed,
}

/// Waits for the next request head; what is buffered to be sent is sent first,
/// unless a whole head is there already.
async fn next_head(conn: &Arc<Conn>, deadline: &mut Deadline) -> Next {
    let settings = &conn.server.settings;
    let limits = settings.head_limits();
    let mut head = None;
    let mut begun = false;
    if !conn.idle() {
        // Shutting down: answers that are still buffered go out.
        let _ = poll_fn(|cx| conn.poll_flush(cx)).await;
        return Next::Closed;
    }
    poll_fn(|cx| {
        loop {
            let mut read = conn.read();
            if read.has_buffered() {
                if !begun {
                    if !conn.leave_idle() {
                        return Poll::Ready(Next::Closed);
                    }
                    begun = true;
                }
                // A partial head remembers how far it was looked at.
                let mut parsed = head.take().unwrap_or_else(HeadBox::take);
                match head::parse_request(read.buffered(), &limits, &mut parsed) {
                    Ok(Some(used)) => {
                        read.consume(used);
                        return Poll::Ready(Next::Request(parsed));
                    }
                    Ok(None) => head = Some(parsed),
                    Err(error) => {
                        return Poll::Ready(Next::Refused(error.status(), error.to_string()));
                    }
                }
            }
            let filled = read.poll_fill(&conn.stream, cx);
            let partial = read.has_buffered();
            drop(read);
            match filled {
                Poll::Ready(Ok(read)) if read > 0 => continue,
                Poll::Ready(_) => return Poll::Ready(Next::Closed),
                Poll::Pending => {}
            }
            match conn.poll_flush(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Closed),
                Poll::Ready(Ok(())) => {}
                Poll::Pending => {
                    ready!(deadline.poll(cx, settings.write_timeout));
                    return Poll::Ready(Next::Closed);
                }
            }
            let limit = if partial {
                settings.header_timeout
            } else {
                settings.idle_timeout
            };
            ready!(deadline.poll(cx, limit));
            return Poll::Ready(if partial {
                let why = format!("no complete head within {limit:?} (setting: header_timeout)");
                Next::Refused(StatusCode::REQUEST_TIMEOUT, why)
            } else {
                Next::Closed
            });
        }
    })
    .await
}

/// One request and its answer.
async fn exchange(conn: &Arc<Conn>, head: HeadBox, deadline: &mut Deadline) -> Then {
    let (length, expects) = match accept(&head, conn.server.settings.max_body_size) {
        Ok(accepted) => accepted,
        Err((status, why)) => {
            return refuse(conn, Some(&head), status, &why);
        }
    };
    let method = head.method.clone();
    let version = head.version;
    let keep = head.keep_alive();
    deadline.forget();
    let number = conn.begin();
    let body = if length.is_empty() {
        Body::empty()
    } else {
        let limits = conn.server.settings.chunk_limits();
        (conn.read()).expect(length, expects, || ChunkedDecoder::new(limits));
        Body::stream(Incoming::new(conn.clone(), number))
    };
    let request = Request::new(head, body, Exchange::new(conn.clone(), number));
    let mut handler = conn.server.service.call(request);
    let mut pended = false;
    let answer = poll_fn(|cx| {
        if pended && conn.is(Phase::Taken) {
            return Poll::Ready(None);
        }
        let scope = DeadlineScope::enter(conn.due());
        let polled = handler.as_mut().poll(cx);
        drop(scope);
        match polled {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => {
                pended = true;
                conn.poll_waiting(number, cx).map(|()| None)
            }
        }
    })
    .await;
    drop(handler);
    let ours = conn.answered(number);
    if !ours && answer.is_some() {
        conn.late(conn.tag.load(Ordering::Relaxed));
    }
    if pended || conn.has_own_limit() {
        conn.forget_deadline();
    }
    let Some(answer) = answer.filter(|_| ours) else {
        // The deadline has answered, or the client is gone.
        return if ours { Then::Abort } else { Then::Linger };
    };
    let keep = keep && (length.is_empty() || !conn.read().is_broken());
    let then = send(conn, deadline, (&method, version), answer, keep).await;
    if then != Then::Continue || length.is_empty() || conn.read().is_complete() {
        return then;
    }
    drain(conn).await
}

/// Answers what does not become a request.
fn refuse(conn: &Conn, head: Option<&RequestHead>, status: StatusCode, why: &str) -> Then {
    let answer = conn.server.service.reject(&Refused {
        status,
        why,
        head,
        remote_addr: conn.peer,
    });
    conn.write(|out| encode::whole(out, answer));
    Then::Linger
}

/// What the head alone decides.
fn accept(head: &RequestHead, max_body: u64) -> Result<(BodyLength, bool), (StatusCode, String)> {
    let refuse = |error: head::HeadError| (error.status(), error.to_string());
    let length = framing::request_body(head).map_err(refuse)?;
    let expects = framing::expects_continue(head).map_err(refuse)?;
    if let BodyLength::Fixed(length) = length
        && length > max_body
    {
        let why = BodyError::TooLarge { limit: max_body }.to_string();
        return Err((StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    if head.method == Method::CONNECT {
        let why = "CONNECT is for proxies, which this server is not".to_owned();
        return Err((StatusCode::NOT_IMPLEMENTED, why));
    }
    Ok((length, expects))
}

/// Writes an answer. A small one stays in the buffer until nothing else is to do.
async fn send(
    conn: &Arc<Conn>,
    deadline: &mut Deadline,
    (method, version): (&Method, Version),
    answer: Response,
    keep: bool,
) -> Then {
    let (status, headers, mut body) = answer.into_parts();
    let framing = encode::framing(method, version, status, &body);
    let keep = keep
        && framing != Framing::UntilClose
        && !conn.server.is_draining()
        && !headers.has_token("connection", "close");
    let inline = body
        .as_bytes()
        .filter(|bytes| bytes.len() <= INLINE_BODY && framing != Framing::None);
    let streams = framing != Framing::None && inline.is_none();
    // A body that streams may come from the request's, which must be let in first.
    let go_on = streams && conn.read().take_awaits_continue();
    let buffered = conn.write(|out| {
        if go_on {
            out.extend_from_slice(CONTINUE);
        }
        encode::head(
            out,
            (method, version),
            (status, &headers, &body),
            framing,
            keep,
        );
        if let Some(bytes) = inline {
            out.extend_from_slice(bytes);
        }
    });
    if streams && !stream_body(conn, deadline, &mut body, framing).await {
        return Then::Abort;
    }
    if buffered > BATCH && !flush(conn, deadline).await {
        return Then::Abort;
    }
    if keep { Then::Continue } else { Then::Linger }
}

/// Sends a body piece by piece. False: the connection cannot go on.
async fn stream_body(
    conn: &Arc<Conn>,
    deadline: &mut Deadline,
    body: &mut Body,
    framing: Framing,
) -> bool {
    let mut left = match framing {
        Framing::Fixed(length) => Some(length),
        _ => None,
    };
    loop {
        // What was written goes out while the next piece is awaited.
        let piece = poll_fn(|cx| {
            if let Poll::Ready(piece) = body.poll_chunk(cx) {
                return Poll::Ready(Ok(piece));
            }
            match conn.poll_flush(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => match conn.read().poll_gone(&conn.stream, cx) {
                    Poll::Ready(()) => Poll::Ready(Err(std::io::ErrorKind::NotConnected.into())),
                    Poll::Pending => Poll::Pending,
                },
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        let piece = match piece {
            Ok(Some(Ok(piece))) => piece,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                // A clean end here would make a broken answer look whole.
                tracing::warn!(target: "squall::http", %error, "an answer's body failed; its connection is cut");
                return false;
            }
            Err(_) => return false,
        };
        if let Some(left) = &mut left {
            match left.checked_sub(piece.len() as u64) {
                Some(rest) => *left = rest,
                None => {
                    tracing::error!(target: "squall::http", "an answer's body is longer than its Content-Length");
                    return false;
                }
            }
        }
        let chunked = framing == Framing::Chunked;
        if piece.len() <= INLINE_BODY {
            let buffered = conn.write(|out| {
                if chunked {
                    encode_chunk_header(piece.len(), out);
                }
                out.extend_from_slice(&piece);
                if chunked {
                    out.extend_from_slice(b"\r\n");
                }
            });
            if buffered >= BATCH && !flush(conn, deadline).await {
                return false;
            }
            continue;
        }
        if chunked {
            conn.write(|out| encode_chunk_header(piece.len(), out));
        }
        // A large piece is not copied: the buffer goes first, then the piece.
        if !flush(conn, deadline).await || !write_all(conn, deadline, &piece).await {
            return false;
        }
        if chunked {
            conn.write(|out| out.extend_from_slice(b"\r\n"));
        }
    }
    if left.is_some_and(|left| left > 0) {
        tracing::error!(target: "squall::http", "an answer's body is shorter than its Content-Length");
        return false;
    }
    if framing == Framing::Chunked {
        let trailers = body.take_trailers();
        conn.write(|out| match &trailers {
            Some(trailers) => encode_trailers(trailers, out),
            None => out.extend_from_slice(LAST_CHUNK),
        });
    }
    true
}

/// Writes what is buffered. False: it cannot be.
async fn flush(conn: &Arc<Conn>, deadline: &mut Deadline) -> bool {
    let limit = conn.server.settings.write_timeout;
    deadline.forget();
    poll_fn(|cx| match conn.poll_flush(cx) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => deadline.poll(cx, limit).map(|()| false),
    })
    .await
}

async fn write_all(conn: &Arc<Conn>, deadline: &mut Deadline, mut bytes: &[u8]) -> bool {
    let limit = conn.server.settings.write_timeout;
    while !bytes.is_empty() {
        deadline.forget();
        let written = poll_fn(|cx| match conn.stream.poll_write(cx, bytes) {
            Poll::Ready(result) => Poll::Ready(result.ok()),
            Poll::Pending => deadline.poll(cx, limit).map(|()| None),
        })
        .await;
        match written {
            Some(written) if written > 0 => bytes = bytes.get(written..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

/// Reads an unwanted body to its end if that is cheap, so that the connection can
/// go on; else it is closed.
async fn drain(conn: &Arc<Conn>) -> Then {
    let cheap = {
        let mut read = conn.read();
        // A client that waits for 100 has not sent, and may never.
        !read.take_awaits_continue() && read.remaining().is_none_or(|left| left <= DRAIN)
    };
    if !cheap {
        return Then::Linger;
    }
    let limit = conn.server.settings.linger_timeout;
    let drained = with_timeout(
        limit,
        poll_fn(|cx| {
            let _ = conn.poll_flush(cx)?;
            loop {
                let piece = conn.read().poll_body(&conn.stream, cx, DRAIN);
                match ready!(piece) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(std::io::Error::other(error))),
                    None => return Poll::Ready(Ok(())),
                }
            }
        }),
    );
    match drained.await {
        Ok(Ok(())) => Then::Continue,
        _ => Then::Linger,
    }
}

/// Closes so that the peer can read the last answer although it still sends: our
/// direction ends, its direction is read and thrown away for a while.
async fn linger(conn: &Arc<Conn>, deadline: &mut Deadline) {
    if !flush(conn, deadline).await {
        return;
    }
    let _ = conn.stream.close_write();
    let limit = conn.server.settings.linger_timeout;
    let mut scratch = HeadBuffer::default();
    let mut left = LINGER;
    let gone = poll_fn(|cx| {
        loop {
            match ready!(conn.stream.poll_read(cx, scratch.get())) {
                Ok(read) if read > 0 && read < left => left -= read,
                _ => return Poll::Ready(()),
            }
        }
    });
    let _ = with_timeout(limit, gone).await;
}

/// Scratch space that is taken only when something is read into it.
#[derive(Default)]
struct HeadBuffer(Vec<u8>);

impl HeadBuffer {
    fn get(&mut self) -> &mut [u8] {
        if self.0.is_empty() {
            self.0 = vec![0; 4096];
        }
        &mut self.0
    }
}

/// The connection's one timer, moved only when it must be.
///
/// A wait that ends in time costs no timer operation: the armed timer may fire
/// early, sees that the limit has moved on, and is armed anew.
#[derive(Default)]
struct Deadline {
    /// When the current wait must end, on the loop's clock; 0: it has not begun.
    due: u64,
    armed: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Deadline {
    /// The wait is over; the next one begins a new limit.
    fn forget(&mut self) {
        self.due = 0;
    }

    /// Ready when this wait has lasted `limit`. Always polled by the same task.
    fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let now = coarse_nanos();
        if self.due == 0 {
            let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
            self.due = now.saturating_add(limit).max(1);
        }
        if now >= self.due {
            return Poll::Ready(());
        }
        if let Some((armed, _)) = &self.armed
            && now < *armed
            && *armed <= self.due
        {
            return Poll::Pending; // It will wake this task, early or in time.
        }
        let due = IoLoop::current().instant_of(self.due);
        let (armed, sleep) = self
            .armed
            .get_or_insert_with(|| (0, Box::pin(sleep_until(due))));
        *armed = self.due;
        sleep.as_mut().reset(due);
        sleep.as_mut().poll(cx)
    }
}
