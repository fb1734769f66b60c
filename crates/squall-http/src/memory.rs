//! Where in a buffer the system reads fastest.

/// What a place has to be divisible by, in bytes.
///
/// Some processors copy three times slower to an address that lies a few bytes further in
/// its page than the source's does. The system's pages begin at their beginning; a large
/// allocation's first byte lies sixteen bytes behind one.
pub const ALIGNED: usize = 64;

/// The first such place in `bytes`, at most [`ALIGNED`] behind their begin.
pub fn aligned(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(ALIGNED).min(ALIGNED)
}
