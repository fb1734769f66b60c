//! What a service is given and what it gives back.

use http::{Method, StatusCode};

use crate::body::Body;
use crate::wire::Peer;
use crate::wire::head::{RequestHead, Version};
use crate::wire::headers::Headers;

use super::exchange::Exchange;
use super::recycle::HeadBox;

/// A request, with its body still on the wire.
#[derive(Debug)]
pub struct Request {
    head: HeadBox,
    body: Body,
    exchange: Exchange,
}

impl Request {
    pub(crate) fn new(head: HeadBox, body: Body, exchange: Exchange) -> Self {
        Self {
            head,
            body,
            exchange,
        }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The request target as it was sent (RFC 9112 section 3.2).
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The target's path, still percent-encoded.
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// The target's query, without the `?`, still percent-encoded.
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// The authority the client asked for: absolute target or `Host`.
    pub fn host(&self) -> Option<&str> {
        self.head.host()
    }

    /// HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The header fields in order, names as they were sent.
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }

    /// The header fields, for a middleware that changes them.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.head.headers
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body, to be read or replaced.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Takes the body out; an empty one stays.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// The exchange this request belongs to: deadline, addresses, disconnection.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The parsed head.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }
}

/// What never became a request, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused<'a> {
    /// The status that says it best.
    pub status: StatusCode,
    /// Why, in words that may be shown.
    pub why: &'a str,
    /// The head, if it could be read.
    pub head: Option<&'a RequestHead>,
    /// The peer.
    pub remote_addr: Peer,
}

/// An answer.
#[derive(Debug, Default)]
pub struct Response {
    status: StatusCode,
    /// The header fields, without framing: the engine generates that.
    headers: Headers,
    body: Body,
}

impl Response {
    /// An answer without fields of its own.
    pub fn new(status: StatusCode, body: impl Into<Body>) -> Self {
        Self {
            status,
            headers: Headers::new(),
            body: body.into(),
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Changes the status.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The header fields, to be changed. `Content-Length`, `Transfer-Encoding`
    /// and `Connection` are the engine's: what is set here is not sent, except a
    /// `Content-Length` for an answer to HEAD and `Connection: close`.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body, to be changed or read.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Takes the answer apart.
    pub fn into_parts(self) -> (StatusCode, Headers, Body) {
        (self.status, self.headers, self.body)
    }

    /// Puts an answer together.
    pub fn from_parts(status: StatusCode, headers: Headers, body: Body) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }
}
