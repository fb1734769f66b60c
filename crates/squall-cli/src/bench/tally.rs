//! What came of the requests.

use std::time::Duration;

use hdrhistogram::Histogram;
use squall::FetchError;

/// The longest time that is told apart: an hour, in microseconds.
const LONGEST: u64 = 3_600_000_000;

/// One answered request.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) connect: Duration,
    /// From the request to the answer's first byte.
    pub(super) wait: Duration,
    /// From before the connection to the body's end.
    pub(super) total: Duration,
    /// Bytes of the answer's head and body.
    pub(super) head: u64,
    pub(super) body: u64,
    pub(super) reused: bool,
    /// Its status was 2xx.
    pub(super) success: bool,
    pub(super) server: Option<String>,
}

/// The figures of many requests. Times are in microseconds.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) connect: Histogram<u64>,
    pub(super) processing: Histogram<u64>,
    pub(super) waiting: Histogram<u64>,
    pub(super) total: Histogram<u64>,
    pub(super) transferred: u64,
    pub(super) bodies: u64,
    pub(super) reused: u64,
    pub(super) not_2xx: u64,
    /// Answers whose body is not as long as the first one's.
    pub(super) other_length: u64,
    pub(super) unconnected: u64,
    /// Requests that got no whole answer, although there was a connection.
    pub(super) broken: u64,
    pub(super) length: Option<u64>,
    pub(super) server: Option<String>,
    pub(super) first_error: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        // Three digits of precision; the bounds are in order, which is all it asks for.
        let empty = Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds");
        Self {
            connect: empty.clone(),
            processing: empty.clone(),
            waiting: empty.clone(),
            total: empty,
            transferred: 0,
            bodies: 0,
            reused: 0,
            not_2xx: 0,
            other_length: 0,
            unconnected: 0,
            broken: 0,
            length: None,
            server: None,
            first_error: None,
        }
    }
}

impl Tally {
    /// How many requests were answered.
    pub(super) fn complete(&self) -> u64 {
        self.total.len()
    }

    /// How many were not.
    pub(super) fn failed(&self) -> u64 {
        self.unconnected + self.broken
    }

    pub(super) fn record(&mut self, sample: &Sample) {
        let length = *self.length.get_or_insert(sample.body);
        self.other_length += u64::from(length != sample.body);
        if self.server.is_none() {
            self.server.clone_from(&sample.server);
        }
        self.transferred += sample.head + sample.body;
        self.bodies += sample.body;
        self.reused += u64::from(sample.reused);
        self.not_2xx += u64::from(!sample.success);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        self.connect.saturating_record(micros(sample.connect));
        let processing = sample.total.saturating_sub(sample.connect);
        self.processing.saturating_record(micros(processing));
        self.waiting.saturating_record(micros(sample.wait));
        self.total.saturating_record(micros(sample.total));
    }

    pub(super) fn fail(&mut self, error: &FetchError) {
        match error.is_connect() {
            true => self.unconnected += 1,
            false => self.broken += 1,
        }
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    /// Adds what another worker counted.
    pub(super) fn add(&mut self, other: &Self) {
        for (mine, others) in [
            (&mut self.connect, &other.connect),
            (&mut self.processing, &other.processing),
            (&mut self.waiting, &other.waiting),
            (&mut self.total, &other.total),
        ] {
            // They have the same bounds.
            let _ = mine.add(others);
        }
        if self.length.is_some() && other.length.is_some() && self.length != other.length {
            self.other_length += other.total.len() - other.other_length;
        } else {
            self.other_length += other.other_length;
        }
        self.length = self.length.or(other.length);
        self.server = self.server.take().or_else(|| other.server.clone());
        self.first_error = self
            .first_error
            .take()
            .or_else(|| other.first_error.clone());
        self.transferred += other.transferred;
        self.bodies += other.bodies;
        self.reused += other.reused;
        self.not_2xx += other.not_2xx;
        self.unconnected += other.unconnected;
        self.broken += other.broken;
    }
}
