//! `Upgraded`: a connection that has left HTTP.

use std::any::Any;
use std::fmt;

use bytes::Bytes;

use super::busy::Busy;
use super::connection::Home;
use crate::stream::Stream;

/// The connection after 101: raw bytes of the other protocol, both ways.
///
/// It still counts among the connections in use, and never carries HTTP again.
pub struct Upgraded {
    stream: Stream,
    read_ahead: Bytes,
    home: Box<dyn Any + Send>,
}

impl Upgraded {
    pub(super) fn new(busy: Busy, home: impl Home) -> Self {
        Self {
            read_ahead: Bytes::copy_from_slice(busy.desk.input.data()),
            stream: busy.connection.stream,
            home: Box::new(home),
        }
    }

    /// What the peer sent behind its 101, the stream, and what has to be kept for as
    /// long as the stream is used.
    pub fn into_parts(self) -> (Bytes, Stream, Box<dyn Any + Send>) {
        (self.read_ahead, self.stream, self.home)
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("stream", &self.stream)
            .field("read_ahead", &self.read_ahead.len())
            .finish_non_exhaustive()
    }
}
