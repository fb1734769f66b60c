//! The floor: an epoll loop that knows just enough HTTP to fetch one file.
//!
//! No pool, no timeouts, no head but where it ends. It shows what the kernel costs, not
//! what a client should be. Level-triggered, one read buffer, a connection to each host.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;

use crate::load::{BODY, Figures, Load, Usage};

const READ_BUFFER: usize = 16 * 1024;

pub(crate) fn raw(load: Load) -> Figures {
    if load.ca.is_some() {
        return Err("it speaks no TLS".to_owned());
    }
    let (first, idle) = fetched(&load).map_err(|error| error.to_string())?;
    load.figures(first, idle)
}

/// What was used when the first connections were there, and when all were; since then it
/// has fetched what is measured.
fn fetched(load: &Load) -> io::Result<(Usage, Usage)> {
    let (urls, at_once) = (load.urls(), load.concurrency);
    let mut hosts = (urls.iter().cycle()).take(load.hosts.max(at_once));
    let mut floor = Floor::new(at_once)?;
    for url in hosts.by_ref().take(at_once) {
        floor.connect(url)?;
    }
    floor.fetch(load.warm_up() * at_once)?;
    let first = Usage::now();
    for url in hosts {
        floor.connect(url)?;
    }
    floor.fetch(load.other_hosts() * at_once)?;
    let idle = Usage::now();
    floor.fetch(load.each() * at_once)?;
    Ok((first, idle))
}

struct Floor {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    at_once: usize,
    /// Which connection is asked next.
    turn: usize,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    request: String,
    /// Of an answer whose head has come.
    missing: usize,
}

impl Floor {
    fn new(at_once: usize) -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            at_once,
            turn: 0,
            buffer: vec![0; READ_BUFFER],
        })
    }

    fn connect(&mut self, url: &str) -> io::Result<()> {
        let (host, path) = (url.strip_prefix("http://"))
            .and_then(|rest| rest.split_once('/'))
            .ok_or(io::ErrorKind::InvalidInput)?;
        let stream = TcpStream::connect(host)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let key = epoll::EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.epoll, &stream, key, epoll::EventFlags::IN)?;
        self.connections.push(Connection {
            stream,
            request: format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            missing: 0,
        });
        Ok(())
    }

    /// Fetches so often, the connections in turn.
    fn fetch(&mut self, count: usize) -> io::Result<()> {
        let (mut unasked, mut open) = (count, self.at_once.min(count));
        for _ in 0..open {
            let key = self.in_turn();
            self.connections[key].ask()?;
            unasked -= 1;
        }
        let mut events = Vec::with_capacity(256);
        while open > 0 {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            for event in events.drain(..) {
                let key = event.data.u64() as usize;
                if !self.connections[key].take(&mut self.buffer)? {
                    continue;
                }
                open -= 1;
                if unasked > 0 {
                    // Where there are no more than that, only this one is free.
                    let next = match self.connections.len() > self.at_once {
                        true => self.in_turn(),
                        false => key,
                    };
                    self.connections[next].ask()?;
                    unasked -= 1;
                    open += 1;
                }
            }
        }
        Ok(())
    }

    fn in_turn(&mut self) -> usize {
        let key = self.turn % self.connections.len();
        self.turn += 1;
        key
    }
}

impl Connection {
    fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(self.request.as_bytes())
    }

    /// Reads on; true: the answer is complete.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let read = match self.stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let expected = match self.missing {
            0 => {
                let head = memchr::memmem::find(&buffer[..read], b"\r\n\r\n");
                head.ok_or(io::ErrorKind::InvalidData)? + 4 + BODY
            }
            missing => missing,
        };
        self.missing = (expected.checked_sub(read)).ok_or(io::ErrorKind::InvalidData)?;
        Ok(self.missing == 0)
    }
}
