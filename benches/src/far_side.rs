//! The far side of a large transfer: takes what comes, gives what is asked for.
//!
//! A thread of the harness per connection that reads and writes a MiB at a time, so that
//! what is measured does not wait for it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::Reason;

const STEP: usize = 1 << 20;
/// A head that is longer is none.
const HEAD: usize = 16 << 10;

/// How long a reader that stalls reads nothing.
pub(crate) const STALL: Duration = Duration::from_secs(1);

/// Starts it. `GET /N` is answered with N bytes, a POST with 204 once all of it came; that of a
/// POST to `/stalled` is read a while later.
pub(crate) fn start() -> Result<SocketAddr, Reason> {
    let (listener, addr) = listen()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // What fails here fails at the client, which says so.
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(addr)
}

/// Where whoever is asked will be.
pub(crate) fn listen() -> Result<(TcpListener, SocketAddr), Reason> {
    let bound = || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        io::Result::Ok((listener, addr))
    };
    bound().map_err(|error| format!("no far side: {error}"))
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![b'x'; STEP];
    // Until the client closes, which is no head either.
    while let Ok((head, rest)) = read_head(&mut stream) {
        answer(&mut stream, &mut buffer, &head, rest)?;
    }
    Ok(())
}

fn answer(stream: &mut TcpStream, buffer: &mut [u8], head: &str, rest: usize) -> io::Result<()> {
    if let Some(length) = asked(head) {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        )?;
        let mut left = length;
        while left > 0 {
            let len = usize::try_from(left).map_or(STEP, |left| left.min(STEP));
            stream.write_all(&buffer[..len])?;
            left -= len as u64;
        }
    } else {
        if head.starts_with("POST /stalled ") {
            std::thread::sleep(STALL);
        }
        let mut left = announced(head).saturating_sub(rest as u64);
        while left > 0 {
            match stream.read(buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => left = left.saturating_sub(read as u64),
            }
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
    Ok(())
}

/// The head, and how much of the body came with it.
pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<(String, usize)> {
    let mut bytes = Vec::new();
    let mut step = [0; 4096];
    loop {
        let read = stream.read(&mut step)?;
        if read == 0 || bytes.len() > HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        bytes.extend_from_slice(&step[..read]);
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Ok((head, bytes.len() - end - 4));
        }
    }
}

/// How many bytes `GET /N` asks for.
fn asked(head: &str) -> Option<u64> {
    let target = head.strip_prefix("GET /")?;
    target.split_whitespace().next()?.parse().ok()
}

/// How many bytes a body has.
pub(crate) fn announced(head: &str) -> u64 {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        assert_eq!(asked("GET /12 HTTP/1.1\r\nHost: a"), Some(12));
        assert_eq!(asked("POST / HTTP/1.1\r\nHost: a"), None);
        assert_eq!(announced("POST / HTTP/1.1\r\ncontent-length: 7"), 7);
        assert_eq!(announced("POST / HTTP/1.1"), 0);
    }
}
