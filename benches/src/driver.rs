//! As many requests as a server takes: each connection sends the next request
//! when it has its answer. One thread and one epoll, so that the driver is cheap.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::Reason;
use crate::open_loop::{histogram, record};
use crate::shape::Shape;
use crate::wire;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Exactly so many answers, in whole batches; an error if they take longer than the limit.
    Answers(u64, Duration),
    Elapsed(Duration),
}

/// Connections that are open and have answered once.
#[derive(Debug)]
pub(crate) struct ClosedLoop {
    connections: Vec<Connection>,
    request: Vec<u8>,
    /// How many requests that is.
    depth: u64,
    latency: Histogram<u64>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Answers that are still to come before the next requests are sent.
    due: u64,
    sent: Instant,
}

impl ClosedLoop {
    /// Opens the connections and warms each up with one request, or one batch.
    pub(crate) fn open(addr: SocketAddr, connections: usize, shape: Shape) -> Result<Self, Reason> {
        let connect = |_| {
            let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(20))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(Connection {
                stream,
                buffer: Vec::with_capacity(1024),
                due: 0,
                sent: Instant::now(),
            })
        };
        let connections: Vec<_> = (0..connections)
            .map(connect)
            .collect::<io::Result<_>>()
            .map_err(|e| format!("connecting: {e}"))?;
        let count = connections.len() as u64 * shape.depth();
        let mut this = Self {
            connections,
            request: shape.request(addr),
            depth: shape.depth(),
            latency: histogram(),
        };
        this.run(Until::Answers(count, Duration::from_secs(60)))?;
        Ok(this)
    }

    /// Sends until it is time to stop; all requests sent have been answered then.
    pub(crate) fn run(&mut self, until: Until) -> Result<u64, Reason> {
        self.drive(until).map_err(|e| format!("under load: {e}"))
    }

    /// Microseconds from sending to the last answer of it, in the last run.
    pub(crate) fn latency(&self) -> &Histogram<u64> {
        &self.latency
    }

    fn drive(&mut self, until: Until) -> io::Result<u64> {
        self.latency.reset();
        let start = Instant::now();
        let (wanted, stop_sending, give_up) = match until {
            Until::Answers(wanted, limit) => (wanted, start + limit, start + limit),
            Until::Elapsed(time) => (
                u64::MAX,
                start + time,
                start + time + Duration::from_secs(5),
            ),
        };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (mut sent, mut answered) = (0, 0);
        for (key, connection) in (0..).zip(&mut self.connections) {
            epoll::add(
                &epoll,
                &connection.stream,
                epoll::EventData::new_u64(key),
                epoll::EventFlags::IN,
            )?;
            if sent < wanted {
                connection.send(&self.request, self.depth)?;
                sent += self.depth;
            }
        }
        let mut events = Vec::with_capacity(self.connections.len().max(1));
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        while answered < sent {
            match epoll::wait(&epoll, spare_capacity(&mut events), Some(&tick)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            let now = Instant::now();
            if now > give_up {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    format!("{answered} of {sent} were answered"),
                ));
            }
            for event in events.drain(..) {
                let connection = &mut self.connections[event.data.u64() as usize];
                let due = connection.due;
                answered += connection.answers()?;
                if connection.due > 0 {
                    continue;
                }
                if due > 0 {
                    record(&mut self.latency, connection.sent.elapsed());
                }
                if sent < wanted && now < stop_sending {
                    connection.send(&self.request, self.depth)?;
                    sent += self.depth;
                }
            }
        }
        Ok(answered)
    }
}

impl Connection {
    /// So short a request always fits into the socket's buffer.
    fn send(&mut self, request: &[u8], depth: u64) -> io::Result<()> {
        self.sent = Instant::now();
        self.due = depth;
        self.stream.write_all(request)
    }

    /// Reads what there is, and counts the answers that are whole by now.
    fn answers(&mut self) -> io::Result<u64> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(e) => return Err(e),
        }
        let (mut answered, mut used) = (0, 0);
        while used < self.buffer.len()
            && let Some(answer) = wire::answer(&self.buffer[used..])?
        {
            answered += 1;
            used += answer.len;
            if answer.status != 200 || answered > self.due {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("unexpected answer {}", answer.status),
                ));
            }
        }
        self.buffer.drain(..used);
        self.due -= answered;
        Ok(answered)
    }
}
