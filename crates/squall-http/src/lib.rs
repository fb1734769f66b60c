//! Squall's HTTP engine: wire formats without I/O, and one-connection drivers.
//!
//! `wire` is pure: bytes in, values out. `server` drives one accepted connection,
//! `client` one connection to an origin; both speak over a [`Stream`] and carry
//! the one [`Body`] type.

mod alarm;
mod body;
mod chunk;
pub mod client;
pub mod memory;
mod pieces;
pub mod server;
mod socket;
mod stream;
pub mod tls;
pub mod wire;

pub use body::{Body, BodyError, BodyStream, SilenceLimit};
pub use chunk::Chunk;
pub use socket::Socket;
pub use stream::Stream;
pub use wire::headers::Headers;
pub use wire::{Peer, TrustedPeers};
