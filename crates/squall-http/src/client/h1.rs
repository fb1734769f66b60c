//! One HTTP/1.1 exchange on one connection: the request out, the answer's head in.
//!
//! Mirror of the server's `h1`. Both directions are driven by whoever awaits the answer,
//! and later by whoever reads its body:
//!
//! ```text
//! exchange:    upload --+--> stream --> head --(1xx: again)--> Answer
//! Answer.body: upload --+--> stream --> chunks --> end --> home (reusable) or dropped
//! ```
//! A server may answer before it has read the request, and may close then. So an upload
//! that fails does not end the exchange: reading goes on, and what the server said is the
//! answer (RFC 9112 section 9.5). Only when nothing was said is the failure reported.
//!
//! An exchange may ask for another protocol. Nothing but HTTP goes over the connection
//! until the peer has agreed with 101 (RFC 9931); then it leaves HTTP, see [`Upgraded`].

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::answer::receive;
use super::busy::{Busy, Desk, Tools};
use super::connection::{Connection, Home};
use super::error::ExchangeError;
use super::head::{Head, OnHead};
use super::upgraded::Upgraded;
use super::upload::Upload;
use crate::body::Body;
use crate::memory::take_fields;
use crate::wire::chunked::ChunkLimits;
use crate::wire::encode;
use crate::wire::framing::{self, BodyLength};
use crate::wire::head::{HeadLimits, ResponseHead, Version, parse_response};
use crate::wire::headers::Headers;

/// Memory for an answer's head and, mostly, its body.
const HEAD_BUFFER: usize = 8 << 10;

/// Is told of each 1xx answer: its status and its own fields.
pub type OnInformational<'a> = dyn Fn(StatusCode, &Headers) + Send + Sync + 'a;

/// A request's head without framing: the engine generates that from the body.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The method. Not CONNECT.
    pub method: &'a Method,
    /// The target, as it goes onto the request line.
    pub target: &'a str,
    /// The `Host` field.
    pub host: &'a str,
    /// Every other field. None of `Host`, `Connection`, `Content-Length`,
    /// `Transfer-Encoding`, `TE` and `Expect`.
    pub headers: &'a Headers,
    /// The `User-Agent`, where `headers` has none.
    pub user_agent: Option<&'a str>,
    /// The `Accept-Encoding`, where `headers` has none.
    pub accept_encoding: Option<&'a str>,
    /// Asks the server to close after this exchange.
    pub close: bool,
    /// Says that trailers are welcome (`TE: trailers`).
    pub takes_trailers: bool,
    /// Waits for `100 Continue` before the body is sent, at most for so long.
    pub expect_continue: Option<Duration>,
    /// How long the answer's head may take once the request is sent, instead of the
    /// limit on silence.
    pub first_byte: Option<Duration>,
    /// The protocol to switch to, such as `websocket`.
    pub upgrade: Option<&'a str>,
    /// Who is told of 1xx answers.
    pub on_informational: Option<&'a OnInformational<'a>>,
    /// Who is told of every head, in both directions.
    pub on_head: Option<&'a OnHead>,
}

/// How long a server may take to agree to a body, by default.
pub const EXPECT_TIMEOUT: Duration = Duration::from_secs(1);

impl<'a> Outgoing<'a> {
    /// A request of which nothing else is said: no names of ours, no limits, nobody is told.
    #[inline]
    pub fn new(method: &'a Method, target: &'a str, host: &'a str, headers: &'a Headers) -> Self {
        Self {
            method,
            target,
            host,
            headers,
            user_agent: None,
            accept_encoding: None,
            close: false,
            takes_trailers: false,
            expect_continue: None,
            first_byte: None,
            upgrade: None,
            on_informational: None,
            on_head: None,
        }
    }
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("host", &self.host)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// What a server may send, and for how long it may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeLimits {
    /// Limits on the head.
    pub head: HeadLimits,
    /// Limits on a chunked body's framing.
    pub chunks: ChunkLimits,
    /// How many 1xx answers may precede the final one. Default 10.
    pub informational: usize,
    /// How long nothing may move in either direction. Default `None`: forever.
    pub idle: Option<Duration>,
    /// The caller waits no longer for the answer's head than `idle` allows, so that it
    /// needs no timer of its own until then. Default false.
    pub bounded: bool,
    /// How long an answer's head is held back for a body of at most 8 KiB that follows it:
    /// many servers write the two apart, and whoever passes both on does it in one piece
    /// then. Default `None`: not at all.
    pub hold: Option<Duration>,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            chunks: ChunkLimits::default(),
            informational: 10,
            idle: None,
            bounded: false,
            hold: None,
        }
    }
}

/// How much of the request may have reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RequestSent {
    /// Nothing: not a byte was written. It is safe to send the request again.
    #[default]
    No,
    /// Perhaps some or all of it. Only idempotent requests may be sent again.
    Maybe,
    /// The server answered something.
    Yes,
}

/// How far an exchange has come; still readable when it was cancelled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// How much may have reached the server.
    pub sent: RequestSent,
    /// The whole request is on the wire.
    pub written: bool,
    /// When the first byte of an answer came.
    pub first_byte: Option<Instant>,
    /// When the last one came that was read for its head.
    pub last_byte: Option<Instant>,
}

/// An answer, its body still on the wire.
#[derive(Debug)]
pub struct Answer {
    /// The final head.
    pub head: ResponseHead,
    /// The body. Reading it to its end gives the connection back to its home.
    pub body: Body,
    /// The server's address.
    pub peer: Option<SocketAddr>,
    /// The connection, if the server has switched protocols as it was asked to.
    pub upgraded: Option<Box<Upgraded>>,
}

/// Sends a request and waits for the head of its answer.
///
/// The request's body is taken, and goes on being sent while the answer's is read. The
/// connection goes back to `home` after a clean end of both, and is closed otherwise.
///
/// # Errors
/// [`ExchangeError`]; `progress` says whether the request may be sent again.
///
/// # Cancel safety
/// Dropping it closes the connection.
#[expect(
    clippy::manual_async_fn,
    reason = "an async function would hold its parameters twice"
)]
pub fn exchange<'a, H: Home>(
    connection: Box<Connection>,
    home: H,
    request: &'a Outgoing<'a>,
    body: &'a mut Body,
    limits: &'a ExchangeLimits,
    progress: &'a mut Progress,
) -> impl Future<Output = Result<Answer, ExchangeError>> + Send + 'a {
    async move {
        let mut waiting = Waiting::begin(connection, request, body, limits)?;
        poll_fn(|cx| waiting.poll(request, limits, progress, cx)).await?;
        waiting.answer(home, request, limits)
    }
}

/// An exchange that has no answer yet.
struct Waiting {
    busy: Busy,
    informational: u32,
    /// The upload may go on, and has not been told.
    released: bool,
    /// The final head is there, and is held back for a body of so many bytes.
    held_for: Option<u16>,
}

impl Waiting {
    fn begin(
        connection: Box<Connection>,
        request: &Outgoing<'_>,
        body: &mut Body,
        limits: &ExchangeLimits,
    ) -> Result<Self, ExchangeError> {
        let mut desk = Desk::take();
        let Tools {
            head, upload, idle, ..
        } = &mut *desk;
        head.headers = take_fields();
        write_head(upload.head(), request, body).map_err(ExchangeError::Target)?;
        if let Some(tell) = request.on_head {
            tell(Head::Request(upload.head()));
        }
        upload.begin(std::mem::take(body), request.expect_continue);
        idle.set(limits.idle.filter(|_| !limits.bounded), "idle_timeout");
        Ok(Self {
            busy: Busy::new(connection, desk),
            informational: 0,
            released: false,
            held_for: None,
        })
    }

    /// The final head is there.
    fn answer(
        self,
        home: impl Home,
        request: &Outgoing<'_>,
        limits: &ExchangeLimits,
    ) -> Result<Answer, ExchangeError> {
        let Self { mut busy, .. } = self;
        busy.desk.upload.answered();
        let head = std::mem::take(&mut busy.desk.head);
        let length = framing::response_body(request.method, &head).map_err(ExchangeError::Head)?;
        busy.connection.note(&head);
        let peer = busy.connection.peer_addr();
        let (body, upgraded) = match head.status {
            StatusCode::SWITCHING_PROTOCOLS => {
                let upgraded = Box::new(Upgraded::new(busy, home));
                (Body::empty(), Some(upgraded))
            }
            _ => {
                let doubtful = length == BodyLength::None && framing::is_doubtful(&head);
                let persistent = head.keep_alive() && !doubtful && !request.close;
                (receive(busy, home, length, persistent, limits), None)
            }
        };
        Ok(Answer {
            head,
            body,
            peer,
            upgraded,
        })
    }

    fn poll(
        &mut self,
        request: &Outgoing<'_>,
        limits: &ExchangeLimits,
        progress: &mut Progress,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ExchangeError>> {
        let before = self.busy.desk.upload.written();
        let _ = self.busy.poll_send(cx);
        let Tools { upload, idle, .. } = &mut *self.busy.desk;
        if upload.is_done() && !progress.written {
            progress.written = true;
            if request.first_byte.is_some() {
                idle.set(request.first_byte, "first_byte_timeout");
            }
        }
        if upload.written() > 0 {
            progress.sent = progress.sent.max(RequestSent::Maybe);
        }
        if let Some(error) = upload.take_broken() {
            return Poll::Ready(Err(error));
        }
        let starved = upload.is_starved();
        if upload.written() > before || starved {
            idle.reset();
        }
        let read = self.poll_head(request, limits, progress, cx);
        if read.is_pending() && std::mem::take(&mut self.released) {
            // Nothing else would wake the upload now.
            return self.poll(request, limits, progress, cx);
        }
        match read {
            // Why the request could not be sent says more than the silence after it.
            Poll::Ready(Err(error)) if error.is_disconnect() => {
                let failed = self.busy.desk.upload.take_failed();
                Poll::Ready(Err(failed.unwrap_or(error)))
            }
            Poll::Pending if !starved => {
                let (limit, setting) = ready!(self.busy.desk.idle.poll(cx));
                Poll::Ready(match self.held_for {
                    Some(_) => Ok(()),
                    None => Err(ExchangeError::TimedOut { limit, setting }),
                })
            }
            read => read,
        }
    }

    /// Reads heads until the final one, and perhaps a body that belongs to it.
    fn poll_head(
        &mut self,
        request: &Outgoing<'_>,
        limits: &ExchangeLimits,
        progress: &mut Progress,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ExchangeError>> {
        loop {
            if let Some(length) = self.held_for {
                return self.poll_body(length, cx).map(Ok);
            }
            let Tools {
                input,
                head,
                upload,
                idle,
            } = &mut *self.busy.desk;
            let used = match input.data() {
                [] => Ok(None),
                data => parse_response(data, &limits.head, head),
            };
            if let Some(used) = used.map_err(ExchangeError::Head)? {
                input.consume(used);
                if let Some(tell) = request.on_head {
                    tell(Head::from(&*head));
                }
                if head.status.is_informational() && !switches(head, upload, request) {
                    self.informational(request, limits)?;
                    continue;
                }
                if limits.hold.is_none() || !input.is_empty() || !upload.is_done() {
                    return Poll::Ready(Ok(()));
                }
                self.held_for = short_body(request.method, head);
                if self.held_for.is_none() {
                    return Poll::Ready(Ok(()));
                }
                idle.set(limits.hold, "");
                continue;
            }
            match ready!(self.busy.poll_fill(cx, HEAD_BUFFER)) {
                Ok(0) => return Poll::Ready(Err(ExchangeError::Closed)),
                Ok(_) => {
                    let heard = self.busy.connection.heard;
                    progress.sent = RequestSent::Yes;
                    progress.first_byte.get_or_insert(heard);
                    progress.last_byte = Some(heard);
                    // The limit on the whole head does not begin anew.
                    if !(progress.written && request.first_byte.is_some()) {
                        self.busy.desk.idle.reset();
                    }
                }
                Err(error) => return Poll::Ready(Err(ExchangeError::Read(error))),
            }
        }
    }

    /// Reads a short body. What goes wrong does so again where the body is looked at.
    fn poll_body(&mut self, length: u16, cx: &Context<'_>) -> Poll<()> {
        while self.busy.desk.input.data().len() < usize::from(length) {
            match ready!(self.busy.poll_fill(cx, HEAD_BUFFER)) {
                Ok(read) if read > 0 => {}
                _ => break,
            }
        }
        Poll::Ready(())
    }

    /// A 1xx answer: has no body, and another head follows.
    fn informational(
        &mut self,
        request: &Outgoing<'_>,
        limits: &ExchangeLimits,
    ) -> Result<(), ExchangeError> {
        let Tools { head, upload, .. } = &mut *self.busy.desk;
        match head.status {
            StatusCode::SWITCHING_PROTOCOLS => return Err(ExchangeError::SwitchingProtocols),
            StatusCode::CONTINUE => {
                upload.release();
                self.released = true;
            }
            _ => {}
        }
        self.informational += 1;
        if self.informational as usize > limits.informational {
            let limit = limits.informational;
            return Err(ExchangeError::TooManyInformational { limit });
        }
        if let Some(tell) = request.on_informational {
            tell(head.status, &head.headers);
        }
        head.clear();
        Ok(())
    }
}

/// Whether the peer switches to the protocol it was asked for.
fn switches(head: &ResponseHead, upload: &Upload, request: &Outgoing<'_>) -> bool {
    head.status == StatusCode::SWITCHING_PROTOCOLS
        && upload.is_done()
        && (request.upgrade).is_some_and(|name| head.headers.has_token("upgrade", name))
}

/// The length of a body that a head may be held back for.
fn short_body(method: &Method, head: &ResponseHead) -> Option<u16> {
    match framing::response_body(method, head) {
        Ok(BodyLength::Fixed(length)) => u16::try_from(length)
            .ok()
            .filter(|length| (1..=HEAD_BUFFER).contains(&usize::from(*length))),
        _ => None,
    }
}

fn write_head(
    out: &mut Vec<u8>,
    request: &Outgoing<'_>,
    body: &Body,
) -> Result<(), crate::wire::target::InvalidTarget> {
    encode::request_line(out, request.method, request.target, Version::Http11)?;
    encode::field(out, "Host", request.host.as_bytes());
    encode::fields(out, request.headers);
    if let Some(name) = request.user_agent {
        encode::field(out, "User-Agent", name.as_bytes());
    }
    if let Some(codings) = request.accept_encoding {
        encode::field(out, "Accept-Encoding", codings.as_bytes());
    }
    match body.len() {
        // Only methods whose requests mean something by their body say that it is empty.
        Some(0) if !has_body_by_nature(request.method) => {}
        Some(length) => encode::field_number(out, "Content-Length", length),
        None => encode::field(out, "Transfer-Encoding", b"chunked"),
    }
    if request.expect_continue.is_some() && !body.is_empty() {
        encode::field(out, "Expect", b"100-continue");
    }
    if request.takes_trailers {
        encode::field(out, "TE", b"trailers");
    }
    // `TE` is for one hop, and says so (RFC 9110 section 10.1.4).
    let options: &[u8] = match (request.upgrade.is_some(), request.close) {
        (false, false) if request.takes_trailers => b"TE",
        (false, false) => b"",
        (false, true) if request.takes_trailers => b"close, TE",
        (false, true) => b"close",
        (true, _) if request.takes_trailers => b"Upgrade, TE",
        (true, _) => b"Upgrade",
    };
    if !options.is_empty() {
        encode::field(out, "Connection", options);
    }
    if let Some(protocol) = request.upgrade {
        encode::field(out, "Upgrade", protocol.as_bytes());
    }
    encode::end(out);
    Ok(())
}

/// RFC 9110 section 8.6.
fn has_body_by_nature(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
