//! Parts of a request that need no decoding: headers, method, addresses.

use http::{Method, Uri};
use squall_http::server::Exchange;
use squall_http::{Headers, Peer};

use super::{FromRequest, Rejection, RequestPart};
use crate::web::app::AppHandle;
use crate::web::request::Request;
use crate::{Error, Result};

/// The client's address, as [`Request::remote_addr`] tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "remote_ip")]
pub struct RemoteAddr(pub Peer);

impl FromRequest for RemoteAddr {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(Self(request.remote_addr()))
    }
}

/// The host and port that the client asked for, as it wrote them (RFC 9110 section 7.2).
///
/// It is the client's word: do not build links for others from it unless the route is
/// bound to the host. An HTTP/1.0 request without one is a 400.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host(pub String);

impl FromRequest for Host {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let host = request.host().filter(|host| !host.is_empty());
        host.map(|host| Self(host.to_owned())).ok_or_else(|| {
            let shown = "the header Host is missing";
            Error::rejected(RequestPart::Header, Rejection::Missing, shown).with_field("Host")
        })
    }

    fn is_absent(request: &Request) -> bool {
        request.host().is_none_or(str::is_empty)
    }
}

/// The request's target.
impl FromRequest for Uri {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(request.target().parse()?)
    }
}

/// A copy of the request's headers.
impl FromRequest for Headers {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(request.headers().clone())
    }
}

impl FromRequest for Method {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(request.method().clone())
    }
}

/// The exchange: deadline, addresses, disconnection.
impl FromRequest for Exchange {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(request.exchange().clone())
    }
}

/// The running application.
impl FromRequest for AppHandle {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(request.app())
    }
}
