//! One blocking keep-alive connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::wire;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Client {
    addr: SocketAddr,
    stream: TcpStream,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        Ok(Self { addr, stream })
    }

    /// The body of a 200; any other status and no answer until `deadline` are errors.
    pub(crate) fn get(&mut self, path: &str, deadline: Instant) -> io::Result<String> {
        let reply = self.call(path, deadline)?;
        if reply.status != 200 {
            let status = reply.status;
            return Err(io::Error::other(format!(
                "{path} was answered with {status}"
            )));
        }
        Ok(reply.body)
    }

    /// An answer of any status; none until `deadline` is a `TimedOut`.
    pub(crate) fn call(&mut self, path: &str, deadline: Instant) -> io::Result<Reply> {
        self.stream.write_all(&wire::request(path, self.addr))?;
        let mut buffer = [0; 4096];
        let mut filled = 0;
        loop {
            if let Some(answer) = wire::answer(&buffer[..filled])? {
                return Ok(Reply {
                    status: answer.status,
                    retry_after: answer.retry_after.map(Duration::from_secs),
                    body: String::from_utf8_lossy(&buffer[answer.body]).into_owned(),
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What a socket's timeout is on Unix.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Makes dropping this connection a reset, which leaves no TIME_WAIT behind.
    pub(crate) fn reset_on_drop(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_linger(
            &self.stream,
            Some(Duration::ZERO),
        )?)
    }
}
