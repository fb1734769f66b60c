//! `FetchError`: where a fetch failed, why, and whether it may be repeated.
//!
//! ```text
//! Queue -> Dns -> Connect -> Proxy -> Tls -> Write -> WaitHead -> Body -> Save   (Phase: where)
//!   Request (nothing was tried), Redirect, Status (only by rethrow)
//! ```

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use squall_http::BodyError;
use squall_http::client::ExchangeError;
pub use squall_http::client::RequestSent;
use squall_http::tls;
use squall_http::wire::coding::CodingError;

use super::time_info::TimeInfo;

/// Where in its life a fetch was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The request itself is invalid; nothing was tried.
    Request,
    /// Waiting for one of the connections that the limits allow.
    Queue,
    /// Resolving the name.
    Dns,
    /// Connecting.
    Connect,
    /// Asking a proxy for the way to the host.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Write,
    /// Waiting for the head of the answer.
    WaitHead,
    /// Reading the answer's body.
    Body,
    /// Writing the answer's body to a file.
    Save,
    /// Following a redirect.
    Redirect,
    /// The answer came, and its status is an error ([`HttpResponse::rethrow`]).
    ///
    /// [`HttpResponse::rethrow`]: super::HttpResponse::rethrow
    Status,
}

/// A fetch that did not end with an answer.
///
/// `Display` tells the whole story: the address, the phase and every cause.
pub struct FetchError(Box<Inner>);

struct Inner {
    url: String,
    phase: Phase,
    sent: RequestSent,
    time_info: TimeInfo,
    cause: Cause,
}

/// Why; the public asks questions instead.
#[derive(Debug)]
pub(crate) enum Cause {
    Invalid(String),
    PoolFull {
        limit: usize,
    },
    Timeout {
        limit: Duration,
        setting: &'static str,
    },
    Io(io::Error),
    Proxy(super::proxy::ProxyFailure),
    Tls(super::connect::TlsFailure),
    Exchange(ExchangeError),
    Body(BodyError),
    TooManyRedirects {
        limit: usize,
    },
    Redirect(String),
    Status(StatusCode),
    Json(serde_json::Error),
    Config(tls::TlsConfigError),
}

impl FetchError {
    pub(super) fn new(
        url: String,
        phase: Phase,
        sent: RequestSent,
        time_info: TimeInfo,
        cause: Cause,
    ) -> Self {
        Self(Box::new(Inner {
            url,
            phase,
            sent,
            time_info,
            cause,
        }))
    }

    /// Where the fetch was when it failed.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// How much of the request may have reached the server.
    pub fn request_sent(&self) -> RequestSent {
        self.0.sent
    }

    /// An earlier attempt at the same request has sent so much of it.
    pub(super) fn sent_before(&mut self, sent: RequestSent) {
        self.0.sent = self.0.sent.max(sent);
    }

    /// The address that was being fetched, without credentials and query.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The status: of the answer after `rethrow`, else 599 as in Tornado.
    pub fn code(&self) -> u16 {
        self.status().map_or(599, |status| status.as_u16())
    }

    /// The answer's status, when that is the error.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.0.cause {
            Cause::Status(status) => Some(*status),
            _ => None,
        }
    }

    /// Whether a time limit was reached.
    pub fn is_timeout(&self) -> bool {
        matches!(
            &self.0.cause,
            Cause::Timeout { .. }
                | Cause::Exchange(ExchangeError::TimedOut { .. })
                | Cause::Body(BodyError::TimedOut { .. })
        ) || matches!(&self.0.cause, Cause::Io(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    /// Whether no connection came about: name, address, proxy or handshake.
    pub fn is_connect(&self) -> bool {
        matches!(
            self.0.phase,
            Phase::Dns | Phase::Connect | Phase::Proxy | Phase::Tls
        )
    }

    /// Whether the host's name could not be resolved.
    pub fn is_dns(&self) -> bool {
        self.0.phase == Phase::Dns
    }

    /// Whether the answer came, and its status was the error.
    pub fn is_status(&self) -> bool {
        self.status().is_some()
    }

    /// Whether the request itself was invalid; nothing was tried.
    pub fn is_request(&self) -> bool {
        self.0.phase == Phase::Request
    }

    /// Whether a redirect could not or may not be followed.
    pub fn is_redirect(&self) -> bool {
        self.0.phase == Phase::Redirect
    }

    /// Whether the answer's body failed, after its head had come.
    pub fn is_body(&self) -> bool {
        self.0.phase == Phase::Body
    }

    /// Whether every connection that the limits allow was in use for too long, or too many
    /// fetches were waiting for one.
    pub fn is_pool(&self) -> bool {
        self.0.phase == Phase::Queue
    }

    /// Whether it may go well another time: the network's fault, or the server's.
    pub(super) fn may_pass(&self) -> bool {
        match &self.0.cause {
            Cause::Io(_) => self.0.phase != Phase::Save,
            Cause::Proxy(failure) => failure.may_pass(),
            // The connection broke in the handshake; what the handshake says is final.
            Cause::Tls(failure) => matches!(
                failure.source.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            ),
            Cause::Timeout { setting, .. } => {
                matches!(*setting, "connect_timeout" | "dns_timeout" | "tls_timeout")
            }
            Cause::Exchange(error) => {
                error.is_disconnect() || matches!(error, ExchangeError::TimedOut { .. })
            }
            _ => false,
        }
    }

    /// Whether it says nothing about the server: a limit or a setting of the client stood in
    /// the way, or this machine has run out of something.
    pub(crate) fn is_ours(&self) -> bool {
        let error = match &self.0.cause {
            Cause::Invalid(_) | Cause::Config(_) => return true,
            Cause::Io(error)
            | Cause::Exchange(ExchangeError::Write(error) | ExchangeError::Read(error)) => error,
            Cause::Tls(failure) => &failure.source,
            Cause::Proxy(failure) => match failure.io() {
                Some(error) => error,
                None => return false,
            },
            _ => return self.is_pool(),
        };
        is_shortage(error)
    }

    /// Whether the TLS handshake failed; the text says why.
    pub fn is_tls(&self) -> bool {
        self.0.phase == Phase::Tls
    }

    /// Whether the answer or its body was larger than it may be, or its body, decompressed,
    /// too many times as large as what came.
    pub fn is_too_large(&self) -> bool {
        use squall_http::wire::HeadError::{TooLarge, TooManyHeaders};
        matches!(
            &self.0.cause,
            Cause::Body(BodyError::TooLarge { .. })
                | Cause::Exchange(ExchangeError::Head(TooLarge { .. } | TooManyHeaders { .. }))
        ) || self.0.cause.decodes_to_too_much()
    }

    /// How long each phase took until the failure.
    pub fn time_info(&self) -> &TimeInfo {
        &self.0.time_info
    }

    /// What a client of this program may be told: where the fetch failed and the kind of
    /// cause, without any name, address or path. `None` when it was not for the service.
    pub(crate) fn told(&self) -> Option<String> {
        let is_ours = matches!(self.0.phase, Phase::Request | Phase::Save);
        if is_ours || self.request_body().is_some() {
            return None;
        }
        let doing = self.0.phase.words();
        let mut told = format!("the service behind this one cannot be used: {doing}");
        if let Some(class) = self.0.cause.class() {
            told.push_str(": ");
            told.push_str(&class);
        }
        Some(told)
    }

    /// The status that tells a client of this program: it fails for its request's body
    /// (whose source is to blame), for being no valid request (a mistake of this program),
    /// for a file that cannot be written, or for the service behind it.
    pub(crate) fn answered_with(&self) -> StatusCode {
        match (self.request_body(), self.phase()) {
            (Some(body), _) => body.status(),
            (None, Phase::Request | Phase::Save) => StatusCode::INTERNAL_SERVER_ERROR,
            (None, Phase::Queue) => StatusCode::SERVICE_UNAVAILABLE,
            _ if self.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether it was the request's own body that failed: its source, not the server.
    pub(crate) fn request_body(&self) -> Option<&BodyError> {
        match &self.0.cause {
            Cause::Exchange(ExchangeError::Body(error)) => Some(error),
            _ => None,
        }
    }
}

impl Phase {
    /// What was being done.
    fn words(self) -> &'static str {
        match self {
            Self::Request => "the request is invalid",
            Self::Queue => "waiting for a connection",
            Self::Dns => "resolving the name",
            Self::Connect => "connecting",
            Self::Proxy => "asking the proxy",
            Self::Tls => "TLS handshake",
            Self::Write => "sending the request",
            Self::WaitHead => "waiting for the answer",
            Self::Body => "reading the answer's body",
            Self::Save => "saving the answer's body",
            Self::Redirect => "following a redirect",
            Self::Status => "the answer is an error",
        }
    }
}

impl Cause {
    /// What is wrong with the codings of the answer's body.
    fn coding(&self) -> Option<&CodingError> {
        match self {
            Self::Body(BodyError::Other(error)) => error.downcast_ref(),
            _ => None,
        }
    }

    fn decodes_to_too_much(&self) -> bool {
        let too_much = |error| {
            matches!(
                error,
                &(CodingError::TooLarge { .. } | CodingError::Ratio { .. })
            )
        };
        self.coding().is_some_and(too_much)
    }

    /// The kind of cause in a few words, without any name, address or path.
    fn class(&self) -> Option<Cow<'static, str>> {
        let words = match self {
            Self::Io(error) => return kind(error),
            Self::Proxy(failure) => return failure.io().and_then(kind),
            Self::Tls(failure) => {
                return tls::explain_briefly(&failure.source).or_else(|| kind(&failure.source));
            }
            Self::Exchange(ExchangeError::Write(error) | ExchangeError::Read(error))
            | Self::Body(BodyError::Io(error)) => {
                return tls::explain_briefly(error).or_else(|| kind(error));
            }
            Self::Status(status) => return Some(status.to_string().into()),
            Self::PoolFull { .. } => "too many are waiting",
            Self::Timeout { .. }
            | Self::Exchange(ExchangeError::TimedOut { .. })
            | Self::Body(BodyError::TimedOut { .. }) => "timed out",
            Self::Exchange(ExchangeError::Closed) => "the connection was closed",
            Self::Exchange(
                ExchangeError::Head(_)
                | ExchangeError::TooManyInformational { .. }
                | ExchangeError::SwitchingProtocols,
            )
            | Self::Body(BodyError::Malformed(_)) => "malformed",
            Self::Body(BodyError::TooLarge { .. }) => "too large",
            Self::Body(_) if self.decodes_to_too_much() => "too large",
            Self::Body(BodyError::Incomplete) => "cut off",
            Self::TooManyRedirects { .. } => "too many redirects",
            Self::Json(_) => "not the expected JSON",
            Self::Invalid(_)
            | Self::Redirect(_)
            | Self::Config(_)
            | Self::Exchange(_)
            | Self::Body(_) => return None,
        };
        Some(words.into())
    }
}

/// What this machine lacks, and the address that it was in the way of.
#[derive(Debug)]
struct Shortage {
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.source)
    }
}

impl std::error::Error for Shortage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Says which address it was that could not be connected to.
pub(super) fn at(address: SocketAddr, source: io::Error) -> io::Error {
    let kind = source.kind();
    match is_shortage(&source) {
        // It is known by the system's number, which a text has no more.
        true => io::Error::new(kind, Shortage { address, source }),
        false => io::Error::new(kind, format!("{address}: {source}")),
    }
}

/// Whether this machine has run out of descriptors or memory. Ports are no part of it: they
/// are counted for each destination, and an address of a family that this machine does not
/// have gives the same error.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    if (error.get_ref()).is_some_and(|inner| inner.is::<Shortage>()) {
        return true;
    }
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let number = Errno::from_io_error(error);
        if matches!(number, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS)) {
            return true;
        }
    }
    error.kind() == io::ErrorKind::OutOfMemory
}

/// The kind of an error of the system, unless that says nothing.
fn kind(error: &io::Error) -> Option<Cow<'static, str>> {
    let words = error.kind().to_string();
    let says_nothing = matches!(&*words, "other error" | "uncategorized error");
    (!says_nothing).then_some(words.into())
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fetch")?;
        if !self.0.url.is_empty() {
            write!(f, " {}", self.0.url)?;
        }
        write!(f, ": {}: {}", self.0.phase.words(), self.0.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) | Self::Redirect(what) => f.write_str(what),
            Self::PoolFull { limit } => {
                write!(f, "{limit} fetches are waiting already (max_waiters)")
            }
            Self::Timeout { limit, setting } => write!(f, "not done within {limit:?} ({setting})"),
            Self::Io(error) => error.fmt(f),
            Self::Proxy(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Exchange(error) => error.fmt(f),
            Self::Body(error) => match self.coding() {
                // A server has settings for these; a client's is whether it decodes at all.
                Some(CodingError::Ratio { limit }) => write!(
                    f,
                    "the decoded body is more than {limit} times as large as what came \
                     (decompress)"
                ),
                Some(CodingError::TooMany { limit }) => write!(
                    f,
                    "the body has more than {limit} content codings (decompress)"
                ),
                _ => error.fmt(f),
            },
            Self::TooManyRedirects { limit } => {
                write!(f, "more than {limit} redirects (max_redirects)")
            }
            Self::Status(status) => status.fmt(f),
            Self::Json(error) => write!(f, "the body is not the expected JSON: {error}"),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchError")
            .field("url", &self.0.url)
            .field("phase", &self.0.phase)
            .field("request_sent", &self.0.sent)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Io(error) => Some(error),
            Cause::Proxy(failure) => Some(failure.io()?),
            Cause::Tls(error) => Some(&error.source),
            Cause::Exchange(error) => Some(error),
            Cause::Body(error) => Some(error),
            Cause::Json(error) => Some(error),
            Cause::Config(error) => Some(error),
            _ => None,
        }
    }
}
