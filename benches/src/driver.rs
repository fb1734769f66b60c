//! Load from one thread and one epoll, so that the driver is cheap: each connection sends the
//! next request when it has its answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::Reason;
use crate::open_loop::{histogram, record};
use crate::shape::Shape;
use crate::upstream::{self, Upstream};
use crate::wire;

/// How long the driver waits at most before it looks at the clock.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// A percentile of all answers is that of the moments when the host took a CPU away; of most
/// slices of this length it is not.
const SLICE: Duration = Duration::from_millis(50);

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Exactly so many answers, in whole batches; an error if they take longer than the limit.
    Answers(u64, Duration),
    Elapsed(Duration),
}

/// Connections that are open and have answered once.
#[derive(Debug)]
pub(crate) struct Driver {
    epoll: OwnedFd,
    /// What the server, a proxy then, passes requests on to.
    upstream: Option<Upstream>,
    connections: Vec<Connection>,
    request: Vec<u8>,
    /// How many requests that is.
    depth: u64,
    latency: Histogram<u64>,
    /// The same of the slice that is under way, and the 99th percentiles of those before it.
    slice: Histogram<u64>,
    slices: Vec<u64>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Answers that are still to come before the next requests are sent.
    due: u64,
    sent: Instant,
}

impl Driver {
    /// Opens the connections and warms each up with one request, or one batch.
    pub(crate) fn open(addr: SocketAddr, connections: usize, shape: Shape) -> Result<Self, Reason> {
        Self::open_before(None, addr, connections, shape)
    }

    /// The same; what arrives at the listener is answered by the driver, too.
    pub(crate) fn open_before(
        upstream: Option<&TcpListener>,
        addr: SocketAddr,
        connections: usize,
        shape: Shape,
    ) -> Result<Self, Reason> {
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
        let watch = || {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            for (key, connection) in (0..).zip(&connections) {
                upstream::add(&epoll, &connection.stream, key)?;
            }
            let upstream = upstream.map(|at| Upstream::on(at, &epoll)).transpose()?;
            io::Result::Ok((epoll, upstream))
        };
        let (epoll, upstream) = watch().map_err(|e| format!("watching: {e}"))?;
        let mut this = Self {
            epoll,
            upstream,
            connections,
            request: shape.request(addr),
            depth: shape.depth(),
            latency: histogram(),
            slice: histogram(),
            slices: Vec::new(),
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

    /// The 99th percentile of a slice in microseconds, the middle one of the last run's.
    pub(crate) fn p99_of_slices(&mut self) -> u64 {
        self.slices.sort_unstable();
        self.slices.get(self.slices.len() / 2).copied().unwrap_or(0)
    }

    fn drive(&mut self, until: Until) -> io::Result<u64> {
        self.latency.reset();
        self.slice.reset();
        self.slices.clear();
        let start = Instant::now();
        let mut slice_end = start + SLICE;
        let (wanted, stop_sending, give_up) = match until {
            Until::Answers(wanted, limit) => (wanted, start + limit, start + limit),
            Until::Elapsed(time) => (
                u64::MAX,
                start + time,
                start + time + Duration::from_secs(5),
            ),
        };
        let (mut sent, mut answered) = (0, 0);
        for connection in &mut self.connections {
            if sent < wanted {
                connection.send(&self.request, self.depth)?;
                sent += self.depth;
            }
        }
        let mut events = Vec::with_capacity(self.connections.len().max(1));
        while answered < sent {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&TICK)) {
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
            if now > slice_end && !self.slice.is_empty() {
                slice_end = now + SLICE;
                self.slices.push(self.slice.value_at_percentile(99.0));
                self.slice.reset();
            }
            for event in events.drain(..) {
                let key = event.data.u64();
                if let Some(upstream) = self.upstream.as_mut().filter(|_| key >= upstream::KEY) {
                    upstream.serve(key, &self.epoll)?;
                    continue;
                }
                let connection = &mut self.connections[key as usize];
                let due = connection.due;
                answered += connection.answers()?;
                if connection.due > 0 {
                    continue;
                }
                if due > 0 {
                    let latency = connection.sent.elapsed();
                    record(&mut self.latency, latency);
                    record(&mut self.slice, latency);
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
