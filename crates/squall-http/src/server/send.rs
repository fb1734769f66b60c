//! An answer on its way to the client.
//!
//! A small one is written into the connection's buffer at once, and waits there for
//! other answers of the same client: that is [`send`]. Only what streams, or is large,
//! has to wait for the socket.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use http::StatusCode;
use squall_loop::say;

use super::conn::Conn;
use super::encode::{self, Framing};
use super::h1::Then;
use super::incoming::CONTINUE;
use super::message::Response;
use super::upgraded::Takeover;
use super::waits::Waits;
use crate::body::Body;
use crate::memory::give_fields;
use crate::pieces::{GATHERED, Pieces, Taken, within};
use crate::wire::chunked::{LAST_CHUNK, encode_chunk_header, encode_trailers};
use crate::wire::head::Version;
use crate::wire::names::WellKnown;

/// Answers that wait in the buffer before they are written although more
/// requests are there.
const BATCH: usize = 64 << 10;
/// A body in memory up to this size goes out in one write with its head.
const INLINE_BODY: usize = 64 << 10;
/// Pieces of a body up to this size together are copied into the buffer.
const COPIED: usize = 16 << 10;

/// How far an answer has come without waiting.
pub(super) enum Sent {
    /// All of it is in the buffer.
    Buffered(Then),
    /// The rest has to wait for the socket.
    Begun(Box<Rest>),
    /// The head of a 101 is in the buffer.
    Switched(Takeover),
}

/// What is to be sent of an answer whose head is in the buffer.
pub(super) struct Rest {
    body: Body,
    framing: Framing,
    then: Then,
}

/// What an answer depends on of its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    pub(super) version: Version,
    /// The connection may go on.
    pub(super) keep: bool,
    pub(super) has_body: bool,
}

impl Asked {
    /// Whether the connection may speak another protocol after it (RFC 9110 section 7.8).
    fn may_switch(self) -> bool {
        self.version == Version::Http11 && !self.has_body && !self.is_head
    }
}

/// Writes an answer into the buffer, as far as it fits there.
pub(super) fn send(conn: &Arc<Conn>, asked: Asked, answer: Response) -> Sent {
    let Asked {
        is_head, version, ..
    } = asked;
    let (mut status, headers, mut body) = answer.into_parts();
    if status.is_informational() {
        let switches = status == StatusCode::SWITCHING_PROTOCOLS && asked.may_switch();
        if let Some(takeover) = body.into_takeover().filter(|_| switches) {
            conn.write(|out| encode::interim(out, status, &headers));
            return Sent::Switched(takeover);
        }
        say(
            || tracing::error!(target: "squall::http", %status, "an interim status is no answer; 500 is sent"),
        );
        (status, body) = (StatusCode::INTERNAL_SERVER_ERROR, Body::empty());
    }
    let framing = encode::framing(is_head, version, status, &body);
    let inline = body
        .as_bytes()
        .filter(|bytes| bytes.len() <= INLINE_BODY && framing != Framing::None);
    let streams = framing != Framing::None && inline.is_none();
    let mut go_on = false;
    let mut keep = asked.keep
        && framing != Framing::UntilClose
        && !conn.server.is_draining()
        && (headers.is_empty()
            || !headers.has(WellKnown::Connection)
            || !headers.has_token("connection", "close"));
    if asked.has_body {
        let mut read = conn.read();
        if streams && read.has_reader() {
            // It may come from the request's body, which must be let in first.
            go_on = read.take_awaits_continue();
            keep &= !read.is_broken();
        } else {
            // Whoever is not going to be read is told so (RFC 9110 section 10.1.1).
            keep &= !read.is_hopeless(conn.server.settings.max_drain_size);
        }
    }
    let buffered = conn.write(|out| {
        if go_on {
            out.extend_from_slice(CONTINUE);
        }
        encode::head(
            out,
            (is_head, version),
            (status, &headers, &body),
            framing,
            keep,
        );
        if let Some(bytes) = inline {
            out.extend_from_slice(bytes);
        }
    });
    if !headers.is_empty() {
        give_fields(headers);
    }
    let then = if keep { Then::Continue } else { Then::Linger };
    match streams || buffered > BATCH {
        false => Sent::Buffered(then),
        true => Sent::Begun(Box::new(Rest {
            body: if streams { body } else { Body::empty() },
            framing: if streams { framing } else { Framing::None },
            then,
        })),
    }
}

impl Rest {
    /// Sends it, at the client's pace.
    pub(super) async fn send(mut self: Box<Self>, conn: &Arc<Conn>, waits: &mut Waits) -> Then {
        // The end of such a connection says that the body is whole (RFC 9112 section 6.3).
        // Until it is, closing is a reset.
        let until_close = self.framing == Framing::UntilClose;
        if until_close {
            conn.stream.reset_when_closed(true);
        }
        if self.framing != Framing::None {
            match stream_body(conn, waits, &mut self.body, self.framing).await {
                Streamed::Whole => {}
                Streamed::Failed if until_close => {
                    flush(conn, waits).await;
                    return Then::Abort;
                }
                // What was sent shows that it is not whole.
                Streamed::Failed => return Then::Linger,
                Streamed::Stuck => return Then::Abort,
            }
        }
        if until_close {
            if !flush(conn, waits).await {
                return Then::Abort;
            }
            conn.stream.reset_when_closed(false);
        }
        // The last pieces wait for other answers, unless they are many.
        match conn.buffered() > BATCH && !flush(conn, waits).await {
            true => Then::Abort,
            false => self.then,
        }
    }
}

/// How far a body has come.
enum Streamed {
    /// To its end.
    Whole,
    /// Its source failed, or was not what it said.
    Failed,
    /// The client does not take it.
    Stuck,
}

/// Sends a body piece by piece; what it has at once goes out together.
async fn stream_body(
    conn: &Arc<Conn>,
    waits: &mut Waits,
    body: &mut Body,
    framing: Framing,
) -> Streamed {
    let mut left = match framing {
        Framing::Fixed(length) => Some(length),
        _ => None,
    };
    let chunked = framing == Framing::Chunked;
    let mut pieces = Pieces::default();
    // Grows while the client takes all of it, so that little is held for a slow one.
    let mut most = BATCH;
    // Whether the body has told so already, in this poll.
    let mut body_waits = false;
    loop {
        // What was written goes out while the next piece is awaited.
        let taken = poll_fn(|cx| {
            if !std::mem::take(&mut body_waits)
                && let Poll::Ready(next) = pieces.poll_next(body, &conn.stream, cx)
            {
                let most = within(left, most);
                let mut take = |chunk| pieces.take(chunk, most, body, &conn.stream, cx);
                return Poll::Ready(Ok(next.map(|next| next.map(&mut take))));
            }
            let gone = match conn.poll_flush(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    waits.written();
                    conn.read().poll_gone(&conn.stream, cx)
                }
                Poll::Pending => waits.poll_writing(conn, cx),
            };
            gone.map(|()| Err(io::ErrorKind::NotConnected.into()))
        })
        .await;
        let Taken { len, waits: told } = match taken {
            Ok(Some(Ok(taken))) => taken,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                // A clean end here would make a broken answer look whole.
                say(
                    || tracing::warn!(target: "squall::http", %error, "an answer's body failed; its connection is cut"),
                );
                return Streamed::Failed;
            }
            Err(_) => return Streamed::Stuck,
        };
        if let Some(left) = &mut left {
            match left.checked_sub(len as u64) {
                Some(rest) => *left = rest,
                None => {
                    say(
                        || tracing::error!(target: "squall::http", "an answer's body is longer than its Content-Length"),
                    );
                    return Streamed::Failed;
                }
            }
        }
        let mut tail: &[u8] = if chunked { b"\r\n" } else { b"" };
        let small = len <= COPIED && !pieces.is_piped();
        if chunked || small {
            conn.write(|out| {
                if chunked {
                    encode_chunk_header(len, out);
                }
                if small {
                    pieces.copy_to(out);
                    out.extend_from_slice(std::mem::take(&mut tail));
                }
            });
        }
        body_waits = told;
        // What is large is not copied.
        if !pieces.is_empty() || conn.buffered() >= BATCH {
            match write_through(conn, waits, &mut pieces, tail, body).await {
                Some(Waited(true)) => {
                    most = (most / 2).max(BATCH);
                    // That was another poll: who was to be woken may have been.
                    body_waits = false;
                }
                Some(Waited(false)) => most = (most * 2).min(GATHERED),
                None => return Streamed::Stuck,
            }
        }
    }
    if left.is_some_and(|left| left > 0) {
        say(
            || tracing::error!(target: "squall::http", "an answer's body is shorter than its Content-Length"),
        );
        return Streamed::Failed;
    }
    if framing == Framing::Chunked {
        let trailers = body.take_trailers();
        conn.write(|out| match &trailers {
            Some(trailers) => encode_trailers(trailers, out),
            None => out.extend_from_slice(LAST_CHUNK),
        });
    }
    Streamed::Whole
}

/// Writes what is buffered. False: it cannot be.
pub(super) async fn flush(conn: &Arc<Conn>, waits: &mut Waits) -> bool {
    let flushed = poll_fn(|cx| match conn.poll_flush(cx) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => waits.poll_writing(conn, cx).map(|()| false),
    })
    .await;
    waits.written();
    flushed
}

/// Whether the client had to be waited for.
struct Waited(bool);

/// Writes what is buffered, the pieces, and what ends them. `None`: they cannot be.
///
/// The client may not read before all of its request is taken, and who takes it may be the
/// `body` that the pieces are of.
async fn write_through(
    conn: &Arc<Conn>,
    waits: &mut Waits,
    pieces: &mut Pieces,
    mut tail: &[u8],
    body: &mut Body,
) -> Option<Waited> {
    let mut waited = false;
    let written = poll_fn(|cx| match conn.poll_write(cx, pieces, &mut tail) {
        Poll::Ready(result) => Poll::Ready(result.ok()),
        Poll::Pending => {
            waited = true;
            body.drive(cx);
            waits.poll_writing(conn, cx).map(|()| None)
        }
    })
    .await;
    waits.written();
    written.map(|()| Waited(waited))
}
