//! Parts of a request that need no decoding: headers, method, addresses.

use std::net::SocketAddr;

use http::Method;
use squall_http::Headers;
use squall_http::server::Exchange;

use super::FromRequest;
use crate::Result;
use crate::web::app::AppHandle;
use crate::web::request::Request;

/// The address of the peer: the client's, or the last proxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "remote_ip")]
pub struct RemoteAddr(pub SocketAddr);

impl FromRequest for RemoteAddr {
    async fn from_request(request: &mut Request) -> Result<Self> {
        Ok(Self(request.exchange().remote_addr()))
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
