//! Content codings over bodies: gzip, deflate, br and zstd, both ways.
//!
//! [`encode`] and [`decode`] put a codec around a [`Body`](crate::Body) and give a body again. The codec
//! works when the new body is asked for a chunk, a piece at a time, and gives other tasks
//! their turn in between; so a large body neither fills the memory nor keeps a lane.
//!
//! They need the feature `compression`, which is on by default.
//!
//! Coded data is not trusted: a decoder's output is bounded by [`DecodeLimits`], and what
//! goes wrong is a [`CodingError`] inside of a [`BodyError`](crate::BodyError).
//!
//! ```
//! use squall::coding::{Coding, DecodeLimits, Level, decode, encode};
//!
//! let text = "to be or not to be, ".repeat(1000);
//! let coded = encode(text.clone().into(), Coding::Br, Level::Default);
//! let mut plain = decode(coded, &[Coding::Br], &DecodeLimits::default())?;
//! # let io_loop = squall::IoLoop::builder().build()?;
//! # let plain = io_loop.run(async move { plain.collect(1 << 20).await })??;
//! # io_loop.stop();
//! # assert_eq!(plain, text);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "compression")]
mod codec;
#[cfg(feature = "compression")]
mod decoder;
#[cfg(feature = "compression")]
mod decoding;
#[cfg(feature = "compression")]
mod encoder;
#[cfg(feature = "compression")]
mod encoding;

#[cfg(feature = "compression")]
pub use codec::{DecodeLimits, Level, decode, encode};
pub use squall_http::wire::coding::{Coding, CodingError, Preference, content_codings, prefer};
