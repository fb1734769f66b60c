//! An upstream in the driver's own thread.
//!
//! Where it is a program of its own on the driver's CPU, the scheduler gives each of the two
//! some milliseconds in turn, and that is the latency of every proxy that is faster than they
//! are together.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::epoll;

use crate::web_server::SMALL;

/// The listener's key in the driver's epoll; those of its connections follow.
pub(crate) const KEY: u64 = 1 << 32;

#[derive(Debug)]
pub(crate) struct Upstream {
    listener: TcpListener,
    /// Empty where a proxy has closed one.
    peers: Vec<Option<Peer>>,
    answer: Vec<u8>,
}

#[derive(Debug)]
struct Peer {
    stream: TcpStream,
    /// The start of a request.
    buffer: Vec<u8>,
}

impl Upstream {
    /// Takes what arrives at the listener, when the driver sees it in its epoll.
    pub(crate) fn on(listener: &TcpListener, epoll: impl AsFd) -> io::Result<Self> {
        let listener = listener.try_clone()?;
        listener.set_nonblocking(true)?;
        add(epoll, &listener, KEY)?;
        Ok(Self {
            listener,
            peers: Vec::new(),
            answer: answer(),
        })
    }

    /// Does what an event of that key asks for.
    pub(crate) fn serve(&mut self, key: u64, epoll: impl AsFd) -> io::Result<()> {
        let Some(at) = key.checked_sub(KEY + 1) else {
            return self.accept(epoll);
        };
        let slot = &mut self.peers[at as usize];
        if let Some(peer) = slot
            && !peer.answer(&self.answer)?
        {
            *slot = None;
        }
        Ok(())
    }

    fn accept(&mut self, epoll: impl AsFd) -> io::Result<()> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        add(epoll, &stream, KEY + 1 + self.peers.len() as u64)?;
        self.peers.push(Some(Peer {
            stream,
            buffer: Vec::new(),
        }));
        Ok(())
    }
}

/// As nginx answers with a file.
fn answer() -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: driver\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
         Content-Type: text/plain\r\nContent-Length: {SMALL}\r\n\
         Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: keep-alive\r\n\
         ETag: \"6955b900-400\"\r\nAccept-Ranges: bytes\r\n\r\n"
    );
    [head.into_bytes(), vec![b'x'; SMALL]].concat()
}

impl Peer {
    /// Answers the requests that are whole by now; false when the proxy has closed.
    fn answer(&mut self, answer: &[u8]) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(n) if n > 0 => self.buffer.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
            Ok(_) | Err(_) => return Ok(false),
        }
        let mut used = 0;
        // Requests without a body: a head is all of one. An answer always fits into the
        // socket's buffer.
        while let Some(end) = memchr::memmem::find(&self.buffer[used..], b"\r\n\r\n") {
            used += end + 4;
            self.stream.write_all(answer)?;
        }
        self.buffer.drain(..used);
        Ok(true)
    }
}

pub(crate) fn add(epoll: impl AsFd, source: impl AsFd, key: u64) -> io::Result<()> {
    let data = epoll::EventData::new_u64(key);
    epoll::add(epoll, source, data, epoll::EventFlags::IN).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::buffer::spare_capacity;
    use std::net::SocketAddr;

    /// One and a half requests, then the other half: two answers.
    #[test]
    fn whole_requests_are_answered() {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let mut upstream = Upstream::on(&listener, &epoll).unwrap();
        let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut serve = || {
            let mut events = Vec::with_capacity(8);
            epoll::wait(&epoll, spare_capacity(&mut events), None).unwrap();
            for event in events {
                upstream.serve(event.data.u64(), &epoll).unwrap();
            }
        };
        let mut read = vec![0; answer().len()];
        serve();
        proxy.write_all(b"GET / HTTP/1.1\r\n\r\nGET / HT").unwrap();
        serve();
        proxy.read_exact(&mut read).unwrap();
        proxy.write_all(b"TP/1.1\r\n\r\n").unwrap();
        serve();
        proxy.read_exact(&mut read).unwrap();
        assert_eq!(read, answer());
    }
}
