//! What a peer may use up: every limit and timeout of the server, by name.

use std::time::Duration;

use super::patience::Pace;
use crate::wire::TrustedPeers;
use crate::wire::chunked::ChunkLimits;
use crate::wire::head::HeadLimits;

/// Limits and timeouts of a server's connections.
///
/// The defaults are the safe ones; each error names the setting that rules it. A limit
/// is lifted by the largest value of its type, a rate by 0.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Size of a request head: default 64 KiB, beyond it 431.
    pub max_header_size: usize,
    /// Field lines of a request head: default 100, at most 256, beyond it 431.
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
    /// How many connections may be so far: default 1,024, and at most half of
    /// [`max_connections`](Self::max_connections). Beyond it the one that has been longest
    /// is given up.
    pub max_handshakes: usize,
    /// A chunk's size line with its extensions, in bytes: default 4 KiB, beyond it 400.
    pub max_chunk_line: usize,
    /// Chunk extensions of a whole body, in bytes: default 16 KiB, beyond it 400.
    ///
    /// They mean nothing to us, so one byte of body could be wrapped in any amount of
    /// them for as long as there is none.
    pub max_chunk_extensions: usize,
    /// Size of the trailer section of a chunked body: default 16 KiB, beyond it 431.
    pub max_trailer_size: usize,
    /// Trailer fields: default 100, at most 256, beyond it 431.
    pub max_trailers: usize,
    /// What is read of a body that nobody wanted, so that its connection can go on:
    /// default 256 KiB. With more to come it is closed.
    pub max_drain_size: u64,
    /// Open connections, those that shake hands included: default 100,000. At the limit the one that has been idle for
    /// longest is closed; while none is idle, new ones wait in the system's backlog.
    pub max_connections: usize,
    /// Open connections of one address: default 4,096, beyond it 503 with `Retry-After`.
    ///
    /// An IPv6 address counts as its /64, which is what one client is given. Loopback
    /// addresses are not limited: a proxy on the same machine is everybody.
    pub max_connections_per_address: usize,
    /// From the first byte of a head to its last: default 10 s, then 408.
    pub header_timeout: Duration,
    /// How long a body may keep its reader waiting: default 30 s, then 408.
    ///
    /// Bytes buy time back at [`min_body_rate`](Self::min_body_rate), up to this much
    /// again. The time that a handler takes between two reads does not count.
    pub body_timeout: Duration,
    /// Bytes per second that a body has to bring in the long run: default 500, then 408.
    /// 0 asks for any byte within [`body_timeout`](Self::body_timeout).
    pub min_body_rate: u64,
    /// Between two requests on a connection: default 75 s, then it is closed.
    pub idle_timeout: Duration,
    /// How long a client may keep its answer waiting: default 30 s, then it is closed.
    ///
    /// Bytes buy time back at [`min_write_rate`](Self::min_write_rate), as those of a
    /// body do; so do those of a body that it is still sending meanwhile.
    pub write_timeout: Duration,
    /// Bytes per second that a client has to take of an answer that waits for it, in the
    /// long run: default 500. 0 asks for any byte within
    /// [`write_timeout`](Self::write_timeout).
    pub min_write_rate: u64,
    /// From the end of a head, or the last piece of the body that was read, until the
    /// handler has answered: default 60 s, then 504.
    ///
    /// While a handler waits for its client's body, `body_timeout` rules.
    pub handler_timeout: Duration,
    /// How long a connection that is being closed is still read: default 2 s without a
    /// byte.
    ///
    /// A client that is still sending sees the answer instead of a reset.
    pub linger_timeout: Duration,
    /// How long it is read in all: default 30 s. It is thrown away.
    pub linger_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let (head, chunks) = (HeadLimits::default(), ChunkLimits::default());
        Self {
            max_header_size: head.max_header_size,
            max_headers: head.max_headers,
            max_target_size: head.max_target_size,
            max_body_size: 1 << 30,
            proxy_protocol: TrustedPeers::default(),
            handshake_timeout: Duration::from_secs(10),
            max_handshakes: 1024,
            max_chunk_line: chunks.max_chunk_line,
            max_chunk_extensions: chunks.max_chunk_extensions,
            max_trailer_size: chunks.max_trailer_size,
            max_trailers: chunks.max_trailers,
            max_drain_size: 256 << 10,
            max_connections: 100_000,
            max_connections_per_address: 4_096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            min_body_rate: 500,
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            min_write_rate: 500,
            handler_timeout: Duration::from_secs(60),
            linger_timeout: Duration::from_secs(2),
            linger_limit: Duration::from_secs(30),
        }
    }
}

impl Settings {
    pub(crate) fn head_limits(&self) -> HeadLimits {
        HeadLimits {
            max_header_size: self.max_header_size,
            max_headers: self.max_headers,
            max_target_size: self.max_target_size,
        }
    }

    pub(super) fn body_pace(&self) -> Pace {
        Pace {
            limit: self.body_timeout,
            rate: self.min_body_rate,
        }
    }

    pub(super) fn write_pace(&self) -> Pace {
        Pace {
            limit: self.write_timeout,
            rate: self.min_write_rate,
        }
    }

    pub(crate) fn chunk_limits(&self) -> ChunkLimits {
        ChunkLimits {
            max_chunk_line: self.max_chunk_line,
            max_chunk_extensions: self.max_chunk_extensions,
            max_trailer_size: self.max_trailer_size,
            max_trailers: self.max_trailers,
        }
    }
}
