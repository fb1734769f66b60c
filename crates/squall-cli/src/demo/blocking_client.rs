//! A blocking HTTP client in a few lines: what one must not use in an async handler.
//!
//! `GET /client/sync` does, on purpose.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use url::{Position, Url};

/// For connecting, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A head that is longer is none.
const MAX_HEAD: u64 = 64 << 10;
/// No more of the answer's body is read.
const MAX_BODY: u64 = 64 << 20;

/// Gets an address and reads the answer to its end; returns its status. **Blocks.**
pub(super) fn get(url: &Url) -> io::Result<u16> {
    if url.scheme() != "http" {
        let what = "the blocking client speaks http only; /client/response does https";
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    let mut stream = connect(url)?;
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = BufReader::new(stream);
    let status = loop {
        let status = read_head(&mut answer)?;
        if !(100..200).contains(&status) {
            break status;
        }
    };
    io::copy(&mut answer.take(MAX_BODY), &mut io::sink())?;
    Ok(status)
}

fn connect(url: &Url) -> io::Result<TcpStream> {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(80);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads up to the empty line; returns the status.
fn read_head(answer: &mut impl BufRead) -> io::Result<u16> {
    let mut head = answer.take(MAX_HEAD);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let status = (line.strip_prefix("HTTP/1."))
        .and_then(|rest| rest.split(' ').nth(1)?.trim_end().parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is no HTTP answer"))?;
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim_end().is_empty() {
            return Ok(status);
        }
    }
}
