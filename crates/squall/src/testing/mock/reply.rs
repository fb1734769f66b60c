//! `MockReply`: what a mock server says, and the faults in it.

use std::thread;
use std::time::Duration;

use super::MockPeer;

/// What is said to one request, step by step. Nothing is added to it.
///
/// ```
/// use std::time::Duration;
/// use squall::testing::MockReply;
///
/// let slow = MockReply::ok("hello").after(Duration::from_millis(50));
/// let dripping = MockReply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
///     .then_drip("hello", Duration::from_millis(5));
/// let cut_off = MockReply::ok("hello").close_after(40);
/// let dead = MockReply::ok("hello").hold_after(40); // says nothing more, and stays
/// ```
#[derive(Debug, Clone, Default)]
pub struct MockReply {
    steps: Vec<Step>,
    /// After how many bytes it ends, and how.
    end: Option<(usize, End)>,
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<u8>),
    Drip(Vec<u8>, Duration),
    Wait(Duration),
}

impl Step {
    /// How many bytes it says.
    fn len(&self) -> usize {
        match self {
            Self::Write(bytes) | Self::Drip(bytes, _) => bytes.len(),
            Self::Wait(_) => 0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum End {
    Close,
    Reset,
    Hold,
}

impl MockReply {
    /// These bytes, which may be no answer at all.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().then(bytes)
    }

    /// 200 with this body and its `Content-Length`.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::with_status("200 OK", body)
    }

    /// A status, such as `404 Not Found`, with this body and its `Content-Length`.
    pub fn with_status(status: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self::bytes([head.as_bytes(), body].concat())
    }

    /// 302 to this address.
    pub fn redirect(location: &str) -> Self {
        Self::bytes(format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        ))
    }

    /// Then these bytes.
    #[must_use]
    pub fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Write(bytes.as_ref().to_vec()));
        self
    }

    /// Then these bytes one by one, with a pause after each.
    #[must_use]
    pub fn then_drip(mut self, bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        self.steps.push(Step::Drip(bytes.as_ref().to_vec(), pause));
        self
    }

    /// Then nothing for this time.
    #[must_use]
    pub fn then_wait(mut self, time: Duration) -> Self {
        self.steps.push(Step::Wait(time));
        self
    }

    /// Nothing for this time before all of it.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.steps.insert(0, Step::Wait(time));
        self
    }

    /// Closes the connection after so many of its bytes: 0 is no answer at all. What would
    /// come behind them is left out, a wait, too.
    #[must_use]
    pub fn close_after(mut self, bytes: usize) -> Self {
        self.end = Some((bytes, End::Close));
        self
    }

    /// Closes the connection after all of it.
    #[must_use]
    pub fn close(self) -> Self {
        self.close_after(usize::MAX)
    }

    /// Resets the connection after so many of its bytes, as
    /// [`close_after`](Self::close_after) counts them.
    #[must_use]
    pub fn reset_after(mut self, bytes: usize) -> Self {
        self.end = Some((bytes, End::Reset));
        self
    }

    /// Says nothing more after so many of its bytes, as
    /// [`close_after`](Self::close_after) counts them, until the client closes.
    #[must_use]
    pub fn hold_after(mut self, bytes: usize) -> Self {
        self.end = Some((bytes, End::Hold));
        self
    }

    /// Says it. False: the connection is at its end.
    pub(super) fn play(&self, peer: &mut MockPeer) -> bool {
        let mut left = self.end.map_or(usize::MAX, |(bytes, _)| bytes);
        for step in &self.steps {
            let len = step.len().min(left);
            match step {
                Step::Write(bytes) => peer.write(&bytes[..len]),
                Step::Drip(bytes, pause) => peer.drip(&bytes[..len], *pause),
                Step::Wait(time) => {
                    thread::sleep(*time);
                    continue;
                }
            }
            left -= len;
            if left == 0 {
                break;
            }
        }
        match self.end {
            None => return true,
            Some((_, End::Close)) => {}
            Some((_, End::Reset)) => peer.reset_at_end(),
            Some((_, End::Hold)) => peer.hold(),
        }
        false
    }
}

/// These bytes, which may be no answer at all.
impl<T: AsRef<[u8]>> From<T> for MockReply {
    fn from(bytes: T) -> Self {
        Self::bytes(bytes)
    }
}
