//! `Nobody`: an address at which nobody listens.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// An address at which nobody listens: connections to it are refused.
///
/// Its port stays taken until it is dropped, so that no other server gets it meanwhile.
///
/// ```
/// use squall::client::HttpClient;
/// use squall::testing::Nobody;
///
/// let nobody = Nobody::bind();
/// let error = HttpClient::new()?.fetch(nobody.url("/")).unwrap_err();
/// assert!(error.is_connect());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Nobody(Socket);

impl Nobody {
    /// Takes a free port of 127.0.0.1, and does not listen.
    ///
    /// # Panics
    /// When there is no port.
    #[track_caller]
    pub fn bind() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).expect("a free port");
        Self(socket)
    }

    /// Where nobody listens.
    ///
    /// # Panics
    /// When the system does not tell.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        let address = self.0.local_addr().expect("its address");
        address.as_socket().expect("an IP address")
    }

    /// The address of a path there, such as `http://127.0.0.1:4711/a`.
    ///
    /// # Panics
    /// As [`address`](Self::address).
    #[track_caller]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }
}
