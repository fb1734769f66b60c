//! Load from one thread and one epoll, so that the driver is cheap.
//!
//! Either as many requests as a server takes: each connection sends the next request when it
//! has its answer. Or so many per second, on a schedule that no server can slow down: request
//! `i` is due at `start + i / rate`, on connection `i % connections`, and its latency counts
//! from then, also while the connection was waiting for an earlier answer.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::Reason;
use crate::open_loop::{due, due_within, histogram, precise_timers, record};
use crate::shape::Shape;
use crate::wire;

/// How long the driver waits at most before it looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// A percentile of all answers is that of the moments when the host took a CPU away; of most
/// slices of this length it is not.
const SLICE: Duration = Duration::from_millis(50);

/// When to stop, and what sets the pace until then.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Exactly so many answers, in whole batches; an error if they take longer than the limit.
    Answers(u64, Duration),
    Elapsed(Duration),
    /// Requests, or batches, per second that become due within that time.
    Paced(u32, Duration),
}

/// Connections that are open and have answered once.
#[derive(Debug)]
pub(crate) struct Driver {
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
    /// When they were sent, or should have been.
    since: Instant,
    /// Since when requests wait for the answers that are due.
    waiting: VecDeque<Instant>,
}

/// When the next request of a pace is due, and on which connection.
#[derive(Debug)]
struct Schedule {
    start: Instant,
    rate: u32,
    next: u64,
    total: u64,
}

impl Schedule {
    fn new(start: Instant, until: Until) -> Option<Self> {
        let Until::Paced(rate, time) = until else {
            return None;
        };
        Some(Self {
            start,
            rate,
            next: 0,
            total: due_within(time, rate),
        })
    }

    /// `None`: none will be any more.
    fn due(&self) -> Option<Instant> {
        (self.next < self.total).then(|| self.start + due(self.next, self.rate))
    }
}

impl Driver {
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
                since: Instant::now(),
                waiting: VecDeque::new(),
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

    /// Microseconds from sending, or from when it was due, to the last answer of it, in the
    /// last run.
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
            // Whatever is due is sent, and nothing else.
            Until::Paced(_, time) => (0, start, start + time + Duration::from_secs(5)),
        };
        let mut schedule = Schedule::new(start, until);
        if schedule.is_some() {
            precise_timers();
        }
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
                connection.send(&self.request, self.depth, Instant::now())?;
                sent += self.depth;
            }
        }
        let mut events = Vec::with_capacity(self.connections.len().max(1));
        loop {
            let mut now = Instant::now();
            while let Some(schedule) = &mut schedule
                && let Some(due) = schedule.due().filter(|due| *due <= now)
            {
                let at = schedule.next as usize % self.connections.len();
                self.connections[at].send_or_wait(&self.request, self.depth, due)?;
                schedule.next += 1;
                sent += self.depth;
            }
            let due = schedule.as_ref().and_then(Schedule::due);
            if answered == sent && due.is_none() {
                return Ok(answered);
            }
            let wait = due.map_or(TICK, |due| due.saturating_duration_since(now).min(TICK));
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: wait.subsec_nanos().into(),
            };
            match epoll::wait(&epoll, spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            now = Instant::now();
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
                let connection = &mut self.connections[event.data.u64() as usize];
                let due = connection.due;
                answered += connection.answers()?;
                if connection.due > 0 {
                    continue;
                }
                if due > 0 {
                    let latency = connection.since.elapsed();
                    record(&mut self.latency, latency);
                    record(&mut self.slice, latency);
                }
                if let Some(since) = connection.waiting.pop_front() {
                    connection.send(&self.request, self.depth, since)?;
                } else if sent < wanted && now < stop_sending {
                    connection.send(&self.request, self.depth, Instant::now())?;
                    sent += self.depth;
                }
            }
        }
    }
}

impl Connection {
    /// So short a request always fits into the socket's buffer.
    fn send(&mut self, request: &[u8], depth: u64, since: Instant) -> io::Result<()> {
        self.since = since;
        self.due = depth;
        self.stream.write_all(request)
    }

    /// Sends it when the answers before it have come.
    fn send_or_wait(&mut self, request: &[u8], depth: u64, due: Instant) -> io::Result<()> {
        if self.due > 0 {
            self.waiting.push_back(due);
            return Ok(());
        }
        self.send(request, depth, due)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// The first request on time is answered 200 ms late, and those that became due
    /// meanwhile wait for it: their time counts, too.
    #[test]
    fn at_a_pace_what_waits_is_late() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            for number in 0.. {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => {}
                    _ => return,
                }
                if number == 1 {
                    thread::sleep(Duration::from_millis(200));
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).unwrap();
            }
        });
        let mut driver = Driver::open(addr, 1, Shape::Plain).unwrap();
        let answered = driver.run(Until::Paced(20, Duration::from_millis(500)));
        assert_eq!(answered, Ok(10));
        let late = |ms: u64| driver.latency().count_between(ms * 1_000, u64::MAX);
        // Due at 0, 50, 100 and 150 ms.
        assert!(late(190) >= 1, "{:?}", driver.latency());
        assert!(late(90) >= 3, "{:?}", driver.latency());
        drop(driver);
        server.join().unwrap();
    }
}
