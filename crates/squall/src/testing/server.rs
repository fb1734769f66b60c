//! `TestServer`: an application on port 0, and requests to it as bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use squall_loop::{IoLoop, TestClock};

use super::client::TestClient;
use super::response::TestResponse;
use crate::web::{AppHandle, Application, Running};

/// A test that waits longer than this for a byte has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// An application on a free port, in a loop of its own, until it is dropped.
///
/// Its methods are for tests: they block, and they panic when something fails.
#[derive(Debug)]
#[doc(alias = "AsyncHTTPTestCase")]
pub struct TestServer {
    io_loop: IoLoop,
    running: Option<Running>,
    address: SocketAddr,
}

impl TestServer {
    /// Starts the application with two lanes.
    ///
    /// # Panics
    /// When it is not complete.
    #[track_caller]
    pub fn start(application: Application) -> Self {
        let io_loop = IoLoop::builder()
            .lanes(2)
            .build()
            .expect("a loop for the test");
        Self::start_on(io_loop, application)
    }

    /// Starts the application on a loop that was made for the test, such as one with a
    /// [`TestClock`].
    ///
    /// # Panics
    /// When it is not complete.
    #[track_caller]
    pub fn start_on(io_loop: IoLoop, application: Application) -> Self {
        let application = application
            .listen("127.0.0.1:0")
            .expect("a complete application");
        let started = io_loop.run(application.start());
        let running = started
            .expect("a running loop")
            .expect("a served application");
        Self {
            io_loop,
            address: *running.local_addrs().last().expect("an address"),
            running: Some(running),
        }
    }

    /// Starts the application on one lane whose clock stands still until the test turns it
    /// ([`TestClock::advance`]). What is due by then has happened, or is happening.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squall::testing::TestServer;
    /// use squall::{Application, Settings};
    ///
    /// let mut settings = Settings::default();
    /// settings.server.handler_timeout = Duration::from_secs(60);
    /// let application = Application::new()
    ///     .settings(settings)
    ///     .route("/", async || std::future::pending::<&str>().await);
    /// let (server, clock) = TestServer::start_turned(application);
    /// let answer = std::thread::scope(|scope| {
    ///     let answer = scope.spawn(|| server.get("/"));
    ///     while server.app().stats().requests == 0 {
    ///         std::thread::yield_now(); // until the handler has begun
    ///     }
    ///     while !answer.is_finished() {
    ///         clock.advance(Duration::from_secs(1));
    ///     }
    ///     answer.join().unwrap()
    /// });
    /// assert_eq!(answer.status, 504);
    /// ```
    ///
    /// # Panics
    /// When it is not complete.
    #[track_caller]
    pub fn start_turned(application: Application) -> (Self, TestClock) {
        let clock = TestClock::new();
        let io_loop = IoLoop::builder().lanes(1).clock(&clock).build();
        let server = Self::start_on(io_loop.expect("a loop for the test"), application);
        (server, clock)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The loop it runs on.
    pub fn io_loop(&self) -> &IoLoop {
        &self.io_loop
    }

    /// The application.
    ///
    /// # Panics
    /// After [`shutdown`](Self::shutdown).
    #[track_caller]
    pub fn app(&self) -> &AppHandle {
        self.running.as_ref().expect("it was shut down").app()
    }

    /// A client that puts requests together step by step, and keeps cookies.
    pub fn client(&self) -> TestClient<'_> {
        TestClient::new(self)
    }

    /// Sends a GET.
    #[track_caller]
    pub fn get(&self, target: &str) -> TestResponse {
        self.send("GET", target, &[], b"")
    }

    /// Sends a request with a body, which may be empty, on a connection of its own.
    ///
    /// # Panics
    /// When there is no whole answer within 30 s.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> TestResponse {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        TestResponse::parse(&self.raw(&request))
    }

    /// Sends bytes and reads until the server closes.
    ///
    /// # Panics
    /// When it does not within 30 s.
    #[track_caller]
    pub fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        assert!(read.is_ok() || !answer.is_empty(), "no answer: {read:?}");
        answer
    }

    /// A connection, for tests that talk step by step.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the test server accepts");
        (stream.set_read_timeout(Some(PATIENCE))).expect("a timeout on a socket");
        stream
    }

    /// Shuts down; returns how many connections had to be aborted.
    ///
    /// # Panics
    /// When it was shut down before.
    #[track_caller]
    pub fn shutdown(&mut self, grace: Duration) -> usize {
        let running = self.running.take().expect("it was shut down");
        let aborted = self
            .io_loop
            .run(async move { running.shutdown(grace).await });
        aborted.expect("a running loop")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.io_loop.stop();
    }
}
