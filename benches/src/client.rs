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

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        Ok(Self { addr, stream })
    }

    /// The body of a 200; any other status and no answer until `deadline` are errors.
    pub(crate) fn get(&mut self, path: &str, deadline: Instant) -> io::Result<String> {
        self.stream.write_all(&wire::request(path, self.addr))?;
        let mut buffer = [0; 4096];
        let mut filled = 0;
        loop {
            if let Some(answer) = wire::answer(&buffer[..filled])? {
                if answer.status != 200 {
                    return Err(io::Error::other(format!(
                        "{path} was answered with {}",
                        answer.status
                    )));
                }
                return Ok(String::from_utf8_lossy(&buffer[answer.body]).into_owned());
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
