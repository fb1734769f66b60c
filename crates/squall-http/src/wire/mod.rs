//! Wire formats: bytes in, values out. No sockets, clocks or futures.
//!
//! Everything here is a plain function or a small state machine over byte slices, so it can
//! be tested with bytes, fuzzed and used by both sides of a connection. Parsers of streams
//! ([`head`], [`chunked`], [`multipart`]) say how many bytes they understood and ask for
//! more; they work at every split point and in linear time. Every bound has a name.

pub mod chunked;
pub mod coding;
pub mod conditional;
pub mod cookie;
pub mod date;
pub mod encode;
pub mod event_stream;
mod field;
pub mod form;
pub mod forwarded;
pub mod framing;
pub mod head;
pub mod headers;
pub mod multipart;
pub mod names;
mod params;
pub mod peer;
pub mod proxy;
pub mod range;
pub mod set_cookie;
mod steps;
pub mod target;
pub mod uri;

pub use chunked::{ChunkError, ChunkLimits, ChunkedDecoder, Decoded};
pub use framing::BodyLength;
pub use head::{
    HeadError, HeadLimits, RequestHead, ResponseHead, Version, parse_request, parse_response,
};
pub use headers::{Headers, InvalidHeader};
pub use peer::{InvalidNetwork, Peer, TrustedPeers};
