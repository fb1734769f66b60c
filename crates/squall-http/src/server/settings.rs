//! What a peer may use up: every limit and timeout of the server, by name.

use std::time::Duration;

use crate::wire::TrustedPeers;
use crate::wire::chunked::ChunkLimits;
use crate::wire::head::HeadLimits;

/// Limits and timeouts of a server's connections.
///
/// The defaults are the safe ones; each error names the setting that rules it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Size of a request head: default 64 KiB, beyond it 431.
    pub max_header_size: usize,
    /// Field lines of a request head: default 100, beyond it 431.
    pub max_headers: usize,
    /// Length of the request target: default 8 KiB, beyond it 414.
    pub max_target_size: usize,
    /// Bytes of a request body: default 1 GiB, beyond it 413.
    ///
    /// This bounds what may stream through; extractors that collect have smaller
    /// limits of their own.
    pub max_body_size: u64,
    /// Peers whose connections begin with a PROXY header, version 1 or 2, such as
    /// HAProxy's with `send-proxy`: default none. The client's address is then what it
    /// says. A connection of theirs without one is closed; one of anybody else's with one
    /// is a bad request.
    pub proxy_protocol: TrustedPeers,
    /// From a connection's begin until its PROXY header is there and its TLS handshake is
    /// done: default 10 s, then it is closed.
    pub handshake_timeout: Duration,
    /// How many connections may be so far: default 1,024. Beyond it the one that has been
    /// longest is given up.
    pub max_handshakes: usize,
    /// From the first byte of a head to its last: default 10 s, then 408.
    pub header_timeout: Duration,
    /// Between two pieces of a body: default 30 s, then 408.
    pub body_timeout: Duration,
    /// Between two requests on a connection: default 75 s, then it is closed.
    pub idle_timeout: Duration,
    /// While a client takes nothing of its answer: default 30 s, then it is closed.
    pub write_timeout: Duration,
    /// From the end of a head until the handler has answered: default 60 s, then 504.
    pub handler_timeout: Duration,
    /// How long a connection that is being closed is still read: default 2 s.
    ///
    /// A client that is still sending sees the answer instead of a reset.
    pub linger_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_header_size: 64 << 10,
            max_headers: 100,
            max_target_size: 8 << 10,
            max_body_size: 1 << 30,
            proxy_protocol: TrustedPeers::default(),
            handshake_timeout: Duration::from_secs(10),
            max_handshakes: 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            handler_timeout: Duration::from_secs(60),
            linger_timeout: Duration::from_secs(2),
        }
    }
}

impl Settings {
    pub(crate) fn head_limits(&self) -> HeadLimits {
        HeadLimits {
            head_bytes: self.max_header_size,
            headers: self.max_headers,
            target_bytes: self.max_target_size,
        }
    }

    pub(crate) fn chunk_limits(&self) -> ChunkLimits {
        ChunkLimits::default()
    }
}
