//! The floor: an epoll loop per worker that knows just enough HTTP.
//!
//! No router, no header map, no `Date`, no timeouts, no bodies. It shows what
//! the kernel costs, not what a server should be. Level-triggered, one shared
//! read buffer per worker, a connection keeps bytes only of an unfinished head.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use peer_jobs::{Options, answer, ready};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};

const LISTENER: u64 = u64::MAX;
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ";
const READ_BUFFER: usize = 16 * 1024;

fn main() -> std::io::Result<()> {
    let options = Options::from_args();
    let first = listener(options.listen)?;
    let addr = first.local_addr()?;
    for _ in 1..options.lanes {
        let listener = listener(addr)?;
        std::thread::spawn(move || Worker::new(listener)?.run());
    }
    ready("raw", addr);
    Worker::new(first)?.run()
}

fn listener(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let family = if addr.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let fd = socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    sockopt::set_socket_reuseport(&fd, true)?;
    bind(&fd, &addr)?;
    listen(&fd, 1024)?;
    let listener = TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct Connection {
    stream: TcpStream,
    /// The start of a head whose end has not come yet; unallocated in between.
    unfinished: Vec<u8>,
}

struct Worker {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    answers: Vec<u8>,
}

impl Worker {
    fn new(listener: TcpListener) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            epoll::EventData::new_u64(LISTENER),
            epoll::EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            answers: Vec::new(),
        })
    }

    fn run(mut self) -> std::io::Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    key => self.serve(key as usize, &mut buffer),
                }
            }
        }
    }

    fn accept(&mut self) -> std::io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => continue,
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let key = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            epoll::add(
                &self.epoll,
                &stream,
                epoll::EventData::new_u64(key as u64),
                epoll::EventFlags::IN,
            )?;
            self.connections[key] = Some(Connection {
                stream,
                unfinished: Vec::new(),
            });
        }
    }

    fn serve(&mut self, key: usize, buffer: &mut [u8]) {
        let Some(connection) = &mut self.connections[key] else {
            return;
        };
        let keep = match connection.stream.read(buffer) {
            Ok(0) => false,
            Ok(n) => connection.take(&buffer[..n], &mut self.answers),
            Err(e) => e.kind() == ErrorKind::WouldBlock,
        };
        if !keep {
            self.connections[key] = None;
            self.free.push(key);
        }
    }
}

impl Connection {
    /// Answers every whole head in `input`; false when the connection ends.
    fn take(&mut self, input: &[u8], answers: &mut Vec<u8>) -> bool {
        let joined;
        let mut rest = input;
        if !self.unfinished.is_empty() {
            self.unfinished.extend_from_slice(input);
            joined = std::mem::take(&mut self.unfinished);
            rest = &joined;
        }
        answers.clear();
        let mut keep = true;
        while let Some(end) = head_end(rest) {
            let (head, after) = rest.split_at(end);
            let line = &head[..memchr::memchr(b'\r', head).unwrap_or(head.len())];
            keep &= !line.ends_with(b"HTTP/1.0");
            respond(head, answers);
            rest = after;
        }
        self.unfinished = rest.to_vec();
        // The answers are short and the peer reads them: a full socket buffer ends the connection.
        self.stream.write_all(answers).is_ok() && keep
    }
}

fn head_end(input: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', input)
        .map(|at| at + 1)
        .find(|&end| input[..end].ends_with(b"\r\n\r\n"))
}

fn respond(head: &[u8], out: &mut Vec<u8>) {
    let path = head
        .split(|&b| b == b' ')
        .nth(1)
        .and_then(|path| std::str::from_utf8(path).ok());
    match path.and_then(answer) {
        // Every body is shorter than ten bytes: one digit is its length.
        Some(body) if body.len() < 10 => {
            out.extend_from_slice(HEAD);
            out.push(b'0' + body.len() as u8);
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(body.as_bytes());
        }
        _ => out.extend_from_slice(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
    }
}
