//! `Upgraded`: a client's connection that has left HTTP.
//!
//! A handler answers 101 with [`Response::switching_protocols`]; once that is on the wire
//! the driver hands the connection over, and does nothing more with it than to wait. A
//! shutdown counts it among the open connections: whoever has it should come to an end
//! when the exchange is [`draining`](super::Exchange::draining), and is cut at the end of
//! the grace.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::conn::Conn;
use super::message::Response;
use crate::body::Body;
use crate::stream::Stream;
use crate::wire::headers::{Headers, InvalidHeader};
use http::StatusCode;

/// What is done with a connection once its 101 is on the wire.
pub(crate) type Takeover =
    Box<dyn FnOnce(Upgraded) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The connection after 101: raw bytes of the other protocol, both ways.
///
/// It is closed when this is dropped.
pub struct Upgraded {
    conn: Arc<Conn>,
    read_ahead: Bytes,
}

impl Upgraded {
    pub(super) fn new(conn: Arc<Conn>) -> Self {
        let mut read = conn.read();
        let read_ahead = Bytes::copy_from_slice(read.buffered());
        read.consume(read_ahead.len());
        drop(read);
        Self { conn, read_ahead }
    }

    /// What the client has sent behind its request; to be read before the stream.
    pub fn take_read_ahead(&mut self) -> Bytes {
        std::mem::take(&mut self.read_ahead)
    }

    /// The connection's bytes.
    pub fn stream(&self) -> &Stream {
        &self.conn.stream
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("read_ahead", &self.read_ahead.len())
            .finish_non_exhaustive()
    }
}

impl Response {
    /// The answer 101: from its head on the connection speaks `protocol`, and is `then`'s.
    ///
    /// Only for a request that has asked for that protocol with `Upgrade`, over HTTP/1.1
    /// and without a body; the engine answers 500 to the latter two. What `headers` say of
    /// the connection is not sent.
    ///
    /// # Errors
    /// When `protocol` cannot be the value of a field.
    pub fn switching_protocols<F, Fut>(
        protocol: &str,
        mut headers: Headers,
        then: F,
    ) -> Result<Self, InvalidHeader>
    where
        F: FnOnce(Upgraded) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        headers.set("Upgrade", protocol)?;
        let body = Body::takeover(Box::new(|upgraded| Box::pin(then(upgraded))));
        let status = StatusCode::SWITCHING_PROTOCOLS;
        Ok(Self::from_parts(status, headers, body))
    }
}
