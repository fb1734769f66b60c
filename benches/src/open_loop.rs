//! Requests on a schedule that no server can slow down.
//!
//! Request `i` is due at `start + i / rate`, on connection `i % connections`.
//! Its latency counts from when it was **due**, also when the connection was
//! still waiting for an earlier answer (no coordinated omission). Each
//! connection has a thread with a blocking socket: at 200 requests per second
//! this costs about 1 % of a core. Background clients begin at `start` too, or a
//! warm-up earlier.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Reason;
use crate::client::Client;

/// A background client whose request failed asks again after this.
const FAILED_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Requests per second, over all connections.
    pub(crate) rate: u32,
    pub(crate) connections: u32,
    pub(crate) window: Duration,
    /// How long answers are waited for after the last request was due.
    pub(crate) drain: Duration,
    pub(crate) background: Background,
    /// How long the background runs before the first request is due.
    pub(crate) warm_up: Duration,
}

/// Clients that each call one route again and again until the window ends.
#[derive(Debug, Clone)]
pub(crate) struct Background {
    pub(crate) clients: u32,
    pub(crate) path: String,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    /// Microseconds from due to answered. A lost request counts as unanswered
    /// until the drain ended, so that losing requests improves nothing.
    pub(crate) latency: Histogram<u64>,
    /// Microseconds by which the driver itself was late to send.
    pub(crate) lateness: Histogram<u64>,
    pub(crate) lost: u64,
    pub(crate) background: Answers,
}

/// What became of the background requests within the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) ok: u64,
    /// Answered with 503.
    pub(crate) shed: u64,
    /// Refused, broken off, or answered with anything else.
    pub(crate) failed: u64,
}

impl std::ops::AddAssign for Answers {
    fn add_assign(&mut self, more: Self) {
        self.ok += more.ok;
        self.shed += more.shed;
        self.failed += more.failed;
    }
}

impl Plan {
    fn total(&self) -> u64 {
        u64::from(self.rate) * self.window.as_millis() as u64 / 1000
    }

    fn due(&self, request: u64) -> Duration {
        Duration::from_nanos(request * 1_000_000_000 / u64::from(self.rate))
    }

    fn on_connection(&self, connection: u32) -> impl Iterator<Item = Duration> + '_ {
        (u64::from(connection)..self.total())
            .step_by(self.connections as usize)
            .map(|request| self.due(request))
    }

    /// Runs it against a server that is ready.
    pub(crate) fn run(&self, addr: SocketAddr) -> Result<Outcome, Reason> {
        // Every connection proves itself before the clock starts.
        let warm = |_| {
            let mut client = Client::connect(addr)?;
            client
                .get("/plaintext", Instant::now() + Duration::from_secs(5))
                .map(|_| client)
        };
        let fast: Vec<Client> = (0..self.connections)
            .map(warm)
            .collect::<Result<_, _>>()
            .map_err(not_warm)?;
        let slow: Vec<Client> = (0..self.background.clients)
            .map(warm)
            .collect::<Result<_, _>>()
            .map_err(not_warm)?;
        let begin = Instant::now() + Duration::from_millis(200);
        let start = begin + self.warm_up;
        let mut outcome = Outcome {
            latency: histogram(),
            lateness: histogram(),
            lost: 0,
            background: Answers::default(),
        };
        thread::scope(|scope| {
            let slow: Vec<_> = slow
                .into_iter()
                .map(|client| scope.spawn(move || self.keep_calling(client, addr, begin)))
                .collect();
            let fast: Vec<_> = (0..)
                .zip(fast)
                .map(|(index, client)| {
                    scope.spawn(move || self.keep_time(index, client, addr, start))
                })
                .collect();
            for share in fast {
                let share = share.join().map_err(|_| "a driver thread failed")?;
                outcome.latency += share.latency;
                outcome.lateness += share.lateness;
                outcome.lost += share.lost;
            }
            for share in slow {
                outcome.background += share.join().map_err(|_| "a background thread failed")?;
            }
            Ok(outcome)
        })
    }

    fn keep_time(&self, index: u32, client: Client, addr: SocketAddr, start: Instant) -> Outcome {
        precise_timers();
        let give_up = start + self.window + self.drain;
        let mut share = Outcome {
            latency: histogram(),
            lateness: histogram(),
            lost: 0,
            background: Answers::default(),
        };
        let mut client = Some(client);
        let mut free_at = start;
        for due in self.on_connection(index).map(|due| start + due) {
            sleep_until(due);
            if client.is_none() && Instant::now() < give_up {
                client = Client::connect(addr).ok();
            }
            let sent = Instant::now();
            record(
                &mut share.lateness,
                sent.saturating_duration_since(due.max(free_at)),
            );
            let answered = client
                .as_mut()
                .is_some_and(|client| client.get("/plaintext", give_up).is_ok());
            free_at = Instant::now();
            if answered {
                record(&mut share.latency, free_at - due);
            } else {
                client = None;
                share.lost += 1;
                record(&mut share.latency, give_up - due);
            }
        }
        share
    }

    fn keep_calling(&self, client: Client, addr: SocketAddr, begin: Instant) -> Answers {
        let start = begin + self.warm_up;
        let end = start + self.window;
        let mut answers = Answers::default();
        let mut client = Some(client);
        sleep_until(begin);
        while Instant::now() < end {
            let connected = match client.take() {
                Some(client) => Ok(client),
                None => Client::connect(addr),
            };
            let called = connected.and_then(|mut client| {
                let reply = client.call(&self.background.path, end)?;
                Ok((client, reply))
            });
            let mut one = Answers::default();
            let mut again = Instant::now();
            match called {
                Ok((same, reply)) if reply.status == 200 => {
                    one.ok = 1;
                    client = Some(same);
                }
                Ok((_, reply)) => {
                    if reply.status == 503 {
                        one.shed = 1;
                    } else {
                        one.failed = 1;
                    }
                    // As a well-behaved client does, and on a new connection.
                    again += reply.retry_after.unwrap_or(FAILED_PAUSE);
                }
                Err(error) if error.kind() == ErrorKind::TimedOut && Instant::now() >= end => break,
                Err(_) => {
                    one.failed = 1;
                    again += FAILED_PAUSE;
                }
            }
            if Instant::now() >= start {
                answers += one;
            }
            sleep_until(again.min(end));
        }
        answers
    }
}

fn not_warm(error: std::io::Error) -> Reason {
    format!("a connection did not answer before the start: {error}")
}

/// Microseconds up to five minutes, three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 300_000_000, 3).expect("the bounds are valid")
}

pub(crate) fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
}

fn sleep_until(at: Instant) {
    thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// The kernel may wake a sleeper 50 µs late by default.
fn precise_timers() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// A percentile in milliseconds.
pub(crate) fn percentile_ms(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    histogram.value_at_percentile(percentile) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn plan(rate: u32, connections: u32, window_ms: u64) -> Plan {
        let background = Background {
            clients: 0,
            path: "/block/1".into(),
        };
        let window = Duration::from_millis(window_ms);
        Plan {
            rate,
            connections,
            window,
            drain: Duration::from_millis(300),
            background,
            warm_up: Duration::ZERO,
        }
    }

    #[test]
    fn the_schedule_is_even_and_complete() {
        let plan = plan(200, 20, 5_000);
        let mut all: Vec<_> = (0..20)
            .flat_map(|c| plan.on_connection(c).collect::<Vec<_>>())
            .collect();
        all.sort();
        let even: Vec<_> = (0..1_000).map(|i| Duration::from_millis(i * 5)).collect();
        assert_eq!(all, even);
    }

    #[test]
    fn percentiles_in_milliseconds() {
        let mut h = histogram();
        (1..=1_000).for_each(|ms| record(&mut h, Duration::from_millis(ms)));
        for (percentile, expected) in [
            (50.0, 500.0),
            (99.0, 990.0),
            (99.9, 999.0),
            (100.0, 1_000.0),
        ] {
            let found = percentile_ms(&h, percentile);
            assert!(
                (found - expected).abs() <= expected * 0.002,
                "p{percentile} = {found}"
            );
        }
    }

    /// A server that answers the first two requests only: the other ones that
    /// were due wait to the end of the drain, none is forgotten.
    #[test]
    fn a_stalled_server_loses_what_was_due() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            for _ in 0..2 {
                let _ = stream.read(&mut buffer).unwrap();
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .unwrap();
            }
            // Holds the connection until the driver gives up.
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
        });
        let outcome = plan(20, 1, 500).run(addr).unwrap();
        server.join().unwrap();
        assert_eq!((outcome.latency.len(), outcome.lost), (10, 9));
        let max = percentile_ms(&outcome.latency, 100.0);
        assert!(
            (740.0..=760.0).contains(&max),
            "the second request was due at 50 ms of 800: {max}"
        );
    }
}
