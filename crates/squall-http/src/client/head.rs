//! `Head`: what an exchange tells about its heads, as they go over the wire.

use http::StatusCode;

use crate::wire::head::ResponseHead;
use crate::wire::headers::Headers;

/// One head of an exchange.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Head<'a> {
    /// A request's, byte for byte as it is sent, with whatever credentials it has.
    Request(&'a [u8]),
    /// An answer's, before anything of it was decoded or followed; 1xx ones, too.
    Answer {
        /// Its version, such as `HTTP/1.1`.
        version: &'static str,
        /// Its status.
        status: StatusCode,
        /// Its reason phrase; may be empty.
        reason: &'a str,
        /// Its fields, in order.
        headers: &'a Headers,
    },
}

/// Is told of each head.
pub type OnHead = dyn Fn(Head<'_>) + Send + Sync;

impl<'a> From<&'a ResponseHead> for Head<'a> {
    fn from(head: &'a ResponseHead) -> Self {
        Self::Answer {
            version: head.version.as_str(),
            status: head.status,
            reason: &head.reason,
            headers: &head.headers,
        }
    }
}
