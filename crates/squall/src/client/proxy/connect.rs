//! `CONNECT`: a tunnel through an HTTP proxy (RFC 9110 section 9.3.6).

use std::fmt;
use std::io;

use http::StatusCode;
use squall_http::wire::head::{HeadLimits, ResponseHead, parse_response};
use squall_loop::net::{ReadStream, TcpStream, WriteStream};
use url::Host;

/// A head that is longer is none.
const MAX_HEAD: usize = 64 << 10;
/// So many 1xx answers may come before the one that counts.
const MAX_INFORMATIONAL: usize = 10;

/// Why a proxy opened no tunnel.
#[derive(Debug)]
pub(in crate::client) enum ProxyFailure {
    Io(io::Error),
    /// The proxy's answer to `CONNECT`.
    Status(StatusCode),
    /// It speaks another protocol, or says why not.
    Refused(String),
    /// It did not get to the host's address, and says why.
    Unreached(&'static str),
    /// It connects to no address of that kind.
    Unsupported,
}

impl ProxyFailure {
    pub(in crate::client) fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }

    /// Whether it may go well another time: the way to the host failed, and not its rules.
    pub(in crate::client) fn may_pass(&self) -> bool {
        match self {
            Self::Io(_) | Self::Unreached(_) => true,
            Self::Status(status) => matches!(status.as_u16(), 502..=504),
            Self::Refused(_) | Self::Unsupported => false,
        }
    }

    /// Whether another one of the host's addresses may do.
    pub(in crate::client) fn is_of_the_address(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Unreached(_) | Self::Unsupported)
    }
}

impl From<io::Error> for ProxyFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the proxy: {error}"),
            Self::Status(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
                f.write_str("the proxy wants credentials, or other ones (407)")
            }
            Self::Status(status) => write!(f, "the proxy refused the tunnel: {status}"),
            Self::Refused(why) => write!(f, "the proxy refused the tunnel: {why}"),
            Self::Unreached(why) => write!(f, "the proxy refused the tunnel: {why}"),
            Self::Unsupported => {
                f.write_str("the proxy refused the tunnel: it does not support that")
            }
        }
    }
}

/// Asks for a tunnel. Not a byte goes further before the proxy has agreed.
pub(super) async fn open(
    tcp: &TcpStream,
    host: &Host<&str>,
    port: u16,
    authorization: Option<&str>,
) -> Result<(), ProxyFailure> {
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(authorization) = authorization {
        request += &format!("Proxy-Authorization: {authorization}\r\n");
    }
    request += "\r\n";
    tcp.write_all(request.as_bytes()).await?;
    let status = read_head(tcp).await?;
    match status.is_success() {
        true => Ok(()),
        false => Err(ProxyFailure::Status(status)),
    }
}

/// The status of the first answer that is no interim one.
async fn read_head(tcp: &TcpStream) -> Result<StatusCode, ProxyFailure> {
    let limits = HeadLimits {
        max_header_size: MAX_HEAD,
        ..HeadLimits::default()
    };
    let (mut input, mut end) = (vec![0; 1024], 0);
    let mut head = ResponseHead::new();
    let mut informational = 0;
    loop {
        if end == input.len() {
            // It may have been given up whole, to an interim answer.
            input.resize((end * 2).max(1024), 0);
        }
        let room = input.get_mut(end..).unwrap_or_default();
        let read = tcp.read(room).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        end += read;
        loop {
            let received = input.get(..end).unwrap_or_default();
            let used = parse_response(received, &limits, &mut head)
                .map_err(|error| ProxyFailure::Refused(error.to_string()))?;
            let Some(used) = used else { break };
            if head.status.is_informational() {
                informational += 1;
                if informational > MAX_INFORMATIONAL {
                    let why = format!("it sent more than {MAX_INFORMATIONAL} 1xx answers");
                    return Err(ProxyFailure::Refused(why));
                }
                input.drain(..used);
                end -= used;
                head = ResponseHead::new();
                continue;
            }
            // Nobody behind a tunnel speaks first here; it would be taken for its answer.
            if head.status.is_success() && used != end {
                return Err(ProxyFailure::Refused(
                    "it sent more than its answer".to_owned(),
                ));
            }
            return Ok(head.status);
        }
    }
}
