//! `Chunk`: a piece of a body for whoever passes it on without looking at it.

use bytes::Bytes;
use squall_loop::net::Piped;

use crate::stream::Stream;

/// From so much that is still to come it is worth a pipe.
const WORTH_A_PIPE: u64 = 64 << 10;

/// How much of a body of which `left` bytes are still to come is moved through pipes at a
/// time, at most: `None` if it is too short for them, or `from` is no plain TCP connection.
pub(crate) fn piped_at_most(from: &Stream, left: u64) -> Option<usize> {
    let worth = left >= WORTH_A_PIPE && from.takes_pipes();
    worth.then(|| usize::try_from(left).unwrap_or(usize::MAX))
}

/// A piece of a body, in memory or on its way through the system.
#[derive(Debug)]
pub enum Chunk {
    /// It was read.
    Bytes(Bytes),
    /// It was not, and goes on to another connection as it is.
    Piped(Piped),
}

impl Chunk {
    /// Bytes in it.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Piped(piped) => piped.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}
