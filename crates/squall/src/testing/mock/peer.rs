//! `MockPeer`: a mock server's end of one connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, thread};

use socket2::SockRef;

use super::MockRequest;
use super::server::{PATIENCE, Shared};

/// One connection to a [`MockServer`](super::MockServer): blocking, byte for byte.
///
/// Dropping it closes the connection.
pub struct MockPeer {
    tcp: TcpStream,
    number: usize,
    shared: Arc<Shared>,
}

impl MockPeer {
    /// `None`: there is no descriptor for it.
    pub(super) fn new(tcp: TcpStream, number: usize, shared: Arc<Shared>) -> Option<Self> {
        // A socket that cannot be told to is closed already.
        let _ = tcp.set_read_timeout(Some(PATIENCE));
        let _ = tcp.set_write_timeout(Some(PATIENCE));
        let _ = tcp.set_nodelay(true);
        shared.open(number, tcp.try_clone().ok()?);
        Some(Self {
            tcp,
            number,
            shared,
        })
    }

    /// The next request's head with its empty line; `None`: the client has closed.
    pub fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(self.tcp.read(&mut byte), Ok(1)) {
                return None;
            }
            head.push(byte[0]);
        }
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    /// The next request, its body read to the end by its `Content-Length` or its chunks;
    /// it is then among the server's. `None`: the client has closed, or cut it off.
    pub fn request(&mut self) -> Option<MockRequest> {
        let head = self.head()?;
        let mut request = MockRequest::new(self.number, head);
        if request.is_chunked() {
            while let Some(chunk) = self.chunk()? {
                request.body.extend(chunk);
            }
        } else if let Some(length) = request.header("content-length") {
            let length = length.parse().ok()?;
            request.body = self
                .read_up_to(length)
                .filter(|body| body.len() == length)?;
        }
        self.shared.record(request.clone());
        Some(request)
    }

    /// One chunk; the outer `None`: cut off, the inner one: the last.
    fn chunk(&mut self) -> Option<Option<Vec<u8>>> {
        let size = self.line()?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            while !self.line()?.is_empty() {}
            return Some(None);
        }
        let chunk = self.read_up_to(size).filter(|chunk| chunk.len() == size)?;
        self.line().map(|_| Some(chunk))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.read_up_to(1).filter(|byte| !byte.is_empty())?);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).ok()
    }

    fn read_up_to(&mut self, len: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = (&mut self.tcp).take(len as u64).read_to_end(&mut bytes);
        read.ok().map(|_| bytes)
    }

    /// So many bytes.
    ///
    /// # Panics
    /// When the client closes before, or is silent for 30 s, or the
    /// [`patience`](Self::patience).
    pub fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.tcp.read_exact(&mut bytes).expect("the bytes");
        bytes
    }

    /// Everything up to and with `end`.
    ///
    /// # Panics
    /// When the client closes before, or is silent for 30 s, or the
    /// [`patience`](Self::patience); when it is no text.
    pub fn read_until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            bytes.extend(self.read(1));
        }
        String::from_utf8(bytes).expect("text")
    }

    /// Everything until the client ends its direction; a reset is an end, too.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.tcp.read_to_end(&mut bytes);
        bytes
    }

    /// Whether the client has closed, or closes soon: within 30 s, or the
    /// [`patience`](Self::patience).
    pub fn is_closed(&mut self) -> bool {
        match self.tcp.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
        }
    }

    /// How long it waits for what it reads next: default 30 s.
    pub fn patience(&mut self, time: Duration) {
        let _ = self.tcp.set_read_timeout(Some(time));
    }

    /// Writes. The client may be gone, which is then what the test is about.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.tcp.write_all(bytes.as_ref());
    }

    /// Writes a byte, waits, writes the next one.
    pub fn drip(&mut self, bytes: impl AsRef<[u8]>, pause: Duration) {
        for byte in bytes.as_ref() {
            self.write([*byte]);
            thread::sleep(pause);
        }
    }

    /// Ends its sending direction, and reads until the client closes.
    pub fn shut_down(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
        self.hold();
    }

    /// Says nothing more, and reads until the client closes: to the client the connection
    /// is up and dead.
    pub fn hold(&mut self) {
        let _ = self.tcp.set_read_timeout(None);
        let _ = io::copy(&mut self.tcp, &mut io::sink());
    }

    /// Ends the connection with a reset: what was written and not read yet may be lost to
    /// the client.
    pub fn reset(self) {
        self.reset_at_end();
    }

    /// Closing it will be a reset.
    pub(super) fn reset_at_end(&self) {
        let _ = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
    }
}

impl Drop for MockPeer {
    fn drop(&mut self) {
        self.shared.forget(self.number);
    }
}

impl fmt::Debug for MockPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockPeer")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
