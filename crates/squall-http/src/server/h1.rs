//! The life of one HTTP/1 connection: heads in, answers out, in order.
//!
//! What a connection keeps while it waits for its next request is what a server with
//! ten thousand idle clients needs memory for. So the driver's future holds only what
//! every request needs; what is rare (an answer that streams, a body that is drained, a
//! close that lingers) is a future of its own, boxed when it begins.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};

use http::{Method, StatusCode};
use squall_loop::DeadlineScope;

use super::close::{drain, linger};
use super::conn::Conn;
use super::encode;
use super::exchange::Exchange;
use super::incoming::Incoming;
use super::message::{Refused, Request, Response};
use super::phase::Phase;
use super::recycle::HeadBox;
use super::send::{Asked, Sent, flush, send};
use super::upgraded::{Takeover, Upgraded};
use super::waits::Waits;
use crate::body::{Body, BodyError};
use crate::wire::chunked::ChunkedDecoder;
use crate::wire::framing::{self, BodyLength};
use crate::wire::head::{self, RequestHead};

/// What becomes of the connection after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The next request may come.
    Continue,
    /// Close, after the peer has had the chance to read what was sent.
    Linger,
    /// Close now.
    Abort,
}

/// Drives a connection to its end.
pub(super) async fn drive(conn: &Arc<Conn>) {
    let mut waits = Waits::default();
    loop {
        let then = match next_head(conn, &mut waits).await {
            Next::Request(head) => exchange(conn, head, &mut waits).await,
            Next::Refused(status, why) => refuse(conn, None, status, &why),
            Next::Closed => Then::Abort,
        };
        match then {
            Then::Continue => {}
            Then::Linger => return Box::pin(linger(conn, &mut waits)).await,
            Then::Abort => return,
        }
    }
}

/// Answers a connection that cannot be one of HTTP, or may not, and closes it.
pub(super) async fn turn_away(conn: &Arc<Conn>, status: StatusCode, why: &str) {
    refuse(conn, None, status, why);
    Box::pin(linger(conn, &mut Waits::default())).await;
}

enum Next {
    Request(HeadBox),
    Refused(StatusCode, String),
    Closed,
}

/// Waits for the next request head; what is buffered to be sent is sent first,
/// unless a whole head is there already.
async fn next_head(conn: &Arc<Conn>, waits: &mut Waits) -> Next {
    let settings = &conn.server.settings;
    let limits = settings.head_limits();
    let mut head = None;
    let mut begun = false;
    if !conn.idle() {
        // Shutting down: answers that are still buffered go out.
        let _ = poll_fn(|cx| conn.poll_flush(cx)).await;
        return Next::Closed;
    }
    waits.forget();
    poll_fn(|cx| {
        loop {
            let mut read = conn.read();
            if read.has_buffered() {
                if !begun {
                    if !conn.leave_idle() {
                        return Poll::Ready(Next::Closed);
                    }
                    begun = true;
                    waits.forget();
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
            if partial && filled.is_pending() {
                read.shrink();
            }
            drop(read);
            match filled {
                Poll::Ready(Ok(read)) if read > 0 => continue,
                Poll::Ready(_) => return Poll::Ready(Next::Closed),
                Poll::Pending => {}
            }
            match conn.poll_flush(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Closed),
                Poll::Ready(Ok(())) => waits.written(),
                Poll::Pending => {
                    ready!(waits.poll_writing(conn, cx));
                    return Poll::Ready(Next::Closed);
                }
            }
            let limit = if partial {
                settings.header_timeout
            } else {
                settings.idle_timeout
            };
            ready!(waits.poll(cx, limit));
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
async fn exchange(conn: &Arc<Conn>, head: HeadBox, waits: &mut Waits) -> Then {
    let (length, expects) = match accept(&head, conn.server.settings.max_body_size) {
        Ok(accepted) => accepted,
        Err((status, why)) => {
            return refuse(conn, Some(&head), status, &why);
        }
    };
    let (is_head, version) = (head.method == Method::HEAD, head.version);
    let (keep, has_body) = (head.keep_alive(), !length.is_empty());
    let number = conn.begin(is_head);
    let mut handler = {
        let body = if has_body {
            let limits = conn.server.settings.chunk_limits();
            let decoder = || ChunkedDecoder::new(limits);
            conn.read().expect(number, length, expects, decoder);
            Body::stream(Incoming::new(conn.clone(), number))
        } else {
            Body::empty()
        };
        let request = Request::new(head, body, Exchange::new(conn.clone(), number));
        conn.server.service.call(request)
    };
    let mut pended = false;
    let answering = poll_fn(|cx| {
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
    });
    let asked = Asked {
        is_head,
        version,
        keep,
        has_body,
    };
    let sent = answered(conn, number, asked, answering.await);
    drop(handler);
    let then = match sent {
        Sent::Buffered(then) => then,
        Sent::Begun(rest) => Box::pin(rest.send(conn, waits)).await,
        Sent::Switched(takeover) => return Box::pin(leave_http(conn, waits, takeover)).await,
    };
    if then != Then::Continue || !has_body || conn.read().is_complete() {
        return then;
    }
    Box::pin(drain(conn)).await
}

/// The handler has ended, or the deadline has answered in its place.
fn answered(conn: &Arc<Conn>, number: u64, asked: Asked, answer: Option<Response>) -> Sent {
    let ours = conn.answered(number);
    if !ours && answer.is_some() {
        conn.late(conn.tag.load(Ordering::Relaxed));
    }
    match answer {
        Some(answer) if ours => send(conn, asked, answer),
        // The deadline has answered, or the client is gone.
        _ if ours => Sent::Buffered(Then::Abort),
        _ => Sent::Buffered(Then::Linger),
    }
}

/// The connection speaks another protocol from here on, and is somebody else's.
async fn leave_http(conn: &Arc<Conn>, waits: &mut Waits, takeover: Takeover) -> Then {
    if flush(conn, waits).await {
        takeover(Upgraded::new(conn.clone())).await;
    }
    Then::Abort
}

/// Answers what does not become a request.
fn refuse(conn: &Conn, head: Option<&RequestHead>, status: StatusCode, why: &str) -> Then {
    let mut answer = conn.server.service.reject(&Refused {
        status,
        why,
        head,
        remote_addr: conn.peer,
    });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // Cannot fail: it is a valid field.
        let _ = answer.headers_mut().set("Retry-After", "1");
    }
    let is_head = head.is_some_and(|head| head.method == Method::HEAD);
    conn.write(|out| encode::whole(out, is_head, answer));
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
