//! The progress bar of a long transfer, on stderr where that is a terminal.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use squall::{Body, BodyError, BodyStream, Bytes};

/// A transfer that is over by then has no bar.
const LONG: Duration = Duration::from_secs(1);

const OF_KNOWN_LENGTH: &str =
    "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
const OF_ANY_LENGTH: &str = "{msg} {binary_bytes} {binary_bytes_per_sec} {elapsed}";

/// Counts what goes out and what comes in. Cloning gives another handle to the same bar.
#[derive(Clone)]
pub(super) struct Meter {
    bar: ProgressBar,
    begun: Instant,
    /// Somebody looks, and the body is not written over the bar.
    wanted: bool,
}

impl Meter {
    pub(super) fn new(output: Option<&Path>) -> Self {
        let to_stdout = output.is_none_or(|path| path == Path::new("-"));
        Self {
            bar: ProgressBar::hidden(),
            begun: Instant::now(),
            wanted: io::stderr().is_terminal() && !(to_stdout && io::stdout().is_terminal()),
        }
    }

    /// The body, counted while it is sent. One that is in memory is not worth a bar.
    pub(super) fn send(&self, body: Body) -> Body {
        if !self.wanted || body.as_bytes().is_some() {
            return body;
        }
        self.begin("sent", body.len());
        Body::stream(Counted {
            body,
            meter: self.clone(),
        })
    }

    /// What is counted from now on comes in.
    pub(super) fn receive(&self, len: Option<u64>) {
        self.begin("received", len);
    }

    fn begin(&self, what: &'static str, len: Option<u64>) {
        let template = if len.is_some() {
            OF_KNOWN_LENGTH
        } else {
            OF_ANY_LENGTH
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.reset();
        self.bar.set_message(what);
        match len {
            Some(len) => self.bar.set_length(len),
            None => self.bar.unset_length(),
        }
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
        if self.wanted && self.bar.is_hidden() && self.begun.elapsed() >= LONG {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    pub(super) fn finish(&self) {
        self.bar.abandon();
    }
}

/// A body whose chunks are counted.
struct Counted {
    body: Body,
    meter: Meter,
}

impl BodyStream for Counted {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        let chunk = ready!(this.body.poll_chunk(cx));
        if let Some(Ok(chunk)) = &chunk {
            this.meter.add(chunk.len());
        }
        Poll::Ready(chunk)
    }

    fn remaining(&self) -> Option<u64> {
        self.body.len()
    }

    fn replay(&self) -> Option<Body> {
        Some(self.meter.send(self.body.try_clone()?))
    }
}
