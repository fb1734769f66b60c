//! Ending in phases, as clients, load balancers and whoever sends the signals see it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use squall::testing::TestResponse;
use squall::{
    Application, Body, BodyError, Bytes, Exchange, IoLoop, Running, Settings, post, readiness,
    sync::Event,
};
use squall_loop::{JoinHandle, TestClock};
use squall_tests::{turned, until};

const GRACE: Duration = Duration::from_secs(10);

/// A served application on a clock that the test turns.
struct Served {
    io_loop: IoLoop,
    clock: TestClock,
    running: Arc<Running>,
    address: SocketAddr,
    /// Lets `/wait` answer.
    go: Arc<Event>,
    /// `/wait` and `/stuck` have begun.
    begun: Arc<Event>,
}

impl Served {
    fn new(drain_delay: Duration) -> Self {
        let (io_loop, clock) = turned();
        let (go, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let mut settings = Settings::default();
        settings.drain_delay = drain_delay;
        let (until, waits, stuck) = (go.clone(), begun.clone(), begun.clone());
        let application = Application::new()
            .settings(settings)
            .route("/ready", readiness)
            .route("/", async || "It works")
            .route("/events", events)
            .route("/forever", async || forever(b"hello", 1))
            .route("/flood", async || forever(&[b'x'; 64 << 10], usize::MAX))
            .route("/wait", move || {
                let (go, begun) = (until.clone(), waits.clone());
                async move {
                    begun.set();
                    go.wait().await;
                    "the last answer"
                }
            })
            .route("/stuck", move || {
                let begun = stuck.clone();
                async move {
                    begun.set();
                    std::future::pending::<&str>().await
                }
            })
            .listen("127.0.0.1:0")
            .expect("a complete application");
        let running = io_loop.run(application.start()).expect("ran");
        let running = running.expect("served");
        Self {
            address: running.local_addr().expect("an address"),
            running: Arc::new(running),
            io_loop,
            clock,
            go,
            begun,
        }
    }

    /// Begins the shutdown; what it returns is how many were aborted.
    fn shut_down(&self) -> JoinHandle<usize> {
        let (running, handle) = (self.running.clone(), self.running.app().clone());
        let shutdown = (self.io_loop).spawn(async move { running.shutdown(GRACE).await });
        while !handle.is_draining() {
            std::thread::yield_now();
        }
        shutdown
    }

    fn finished(&self, shutdown: JoinHandle<usize>) -> usize {
        let aborted = self.io_loop.run(shutdown).expect("ran");
        aborted.expect("no panic")
    }

    fn wait_until_begun(&self) {
        let begun = self.begun.clone();
        (self.io_loop.run(async move { begun.wait().await })).expect("ran");
    }

    /// Waits until the shutdown has closed what was idle, which leaves one connection.
    fn wait_until_under_way(&self) {
        until("idle connections are closed", || {
            self.running.connections() == 1
        });
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("it listens");
        (socket.set_read_timeout(Some(Duration::from_secs(30)))).expect("a timeout");
        socket
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.io_loop.stop();
    }
}

/// Events without end, until the server says that it ends.
async fn events(exchange: Exchange) -> Body {
    let mut pieces = 0;
    Body::from_fn(move || {
        pieces += 1;
        let (piece, draining) = (pieces, exchange.draining());
        async move {
            match piece {
                1 => Some(Ok::<_, BodyError>(Bytes::from_static(b"hello"))),
                2 => {
                    draining.await;
                    Some(Ok(Bytes::from_static(b"goodbye")))
                }
                _ => None,
            }
        }
    })
}

/// So many times the piece, and then neither more nor an end.
fn forever(piece: &'static [u8], mut times: usize) -> Body {
    Body::from_fn(move || {
        let sent = times == 0;
        times = times.saturating_sub(1);
        async move {
            match sent {
                true => std::future::pending().await,
                false => Some(Ok::<_, BodyError>(Bytes::from_static(piece))),
            }
        }
    })
}

fn send(socket: &mut TcpStream, target: &str) {
    write!(socket, "GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
}

/// Everything until the server closes.
fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("an end in order");
    answer
}

/// An answer whose body is `body`, on a connection that stays open.
fn answer(socket: &mut TcpStream, body: &str) -> TestResponse {
    let mut answer = Vec::new();
    while !answer.ends_with(format!("\r\n\r\n{body}").as_bytes()) {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("more of the answer");
        answer.push(byte[0]);
    }
    TestResponse::parse(&answer)
}

#[test]
fn readiness_is_the_first_to_end() {
    let served = Served::new(Duration::from_secs(5));
    let mut kept = served.connect();
    send(&mut kept, "/ready");
    assert_eq!(answer(&mut kept, "ready\n").status, 200);

    let shutdown = served.shut_down();
    // For the delay everything goes on, old connections and new ones.
    send(&mut kept, "/ready");
    assert_eq!(answer(&mut kept, "draining\n").status, 503);
    let mut new = served.connect();
    send(&mut new, "/");
    let last = answer(&mut new, "It works");
    assert_eq!((last.status, last.header("connection")), (200, None));

    served.clock.advance(Duration::from_secs(5));
    assert_eq!(served.finished(shutdown), 0);
    assert_eq!((rest(&mut kept), rest(&mut new)), (vec![], vec![]));
    TcpStream::connect(served.address).expect_err("nobody listens");
}

#[test]
fn idle_connections_are_closed_and_the_last_answers_given() {
    let served = Served::new(Duration::ZERO);
    let (mut idle, mut fresh, mut busy) = (served.connect(), served.connect(), served.connect());
    send(&mut idle, "/");
    answer(&mut idle, "It works");
    send(&mut busy, "/wait");
    served.wait_until_begun();

    let shutdown = served.shut_down();
    assert_eq!((rest(&mut idle), rest(&mut fresh)), (vec![], vec![]));
    served.go.set();
    let last = TestResponse::parse(&rest(&mut busy));
    assert_eq!(
        (last.status, last.text().as_str()),
        (200, "the last answer")
    );
    assert_eq!(last.header("connection"), Some("close"));
    // The server waits for its end: on this clock for as long as it takes.
    drop(busy);
    assert_eq!(served.finished(shutdown), 0);
}

#[test]
fn streams_are_told_and_end_in_order() {
    let served = Served::new(Duration::ZERO);
    let mut listening = served.connect();
    send(&mut listening, "/events");
    let mut begin = Vec::new();
    while !begin.ends_with(b"hello\r\n") {
        let mut byte = [0];
        listening.read_exact(&mut byte).expect("the first event");
        begin.push(byte[0]);
    }
    let shutdown = served.shut_down();
    assert_eq!(rest(&mut listening), b"7\r\ngoodbye\r\n0\r\n\r\n");
    assert_eq!(served.finished(shutdown), 0);
}

#[test]
fn what_is_left_at_the_end_of_the_grace_is_aborted() {
    let served = Served::new(Duration::ZERO);
    let (_idle, mut stuck) = (served.connect(), served.connect());
    send(&mut stuck, "/stuck");
    served.wait_until_begun();
    let shutdown = served.shut_down();
    served.wait_until_under_way();
    assert!(!shutdown.is_finished());
    served.clock.advance(GRACE);
    assert_eq!(served.finished(shutdown), 1);
    let mut nothing = Vec::new();
    // A reset or an end, but no answer.
    let _ = stuck.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
}

#[test]
fn what_is_cut_at_the_end_of_the_grace_does_not_look_whole() {
    for target in ["/forever", "/flood"] {
        let served = Served::new(Duration::ZERO);
        let (_idle, mut cut) = (served.connect(), served.connect());
        write!(cut, "GET {target} HTTP/1.0\r\n\r\n").expect("sent");
        cut.read_exact(&mut [0; 64]).expect("it has begun");
        let shutdown = served.shut_down();
        served.wait_until_under_way();
        served.clock.advance(GRACE);
        assert_eq!(served.finished(shutdown), 1);
        let end = cut.read_to_end(&mut Vec::new()).expect_err(target);
        assert_eq!(end.kind(), ErrorKind::ConnectionReset, "{target}");
    }
}

/// Where the program of `a_second_signal_ends_at_once` listens.
#[cfg(unix)]
const SOCKET: &str = "SQUALL_TEST_SOCKET";

/// The program that `a_second_signal_ends_at_once` starts.
#[cfg(unix)]
#[test]
fn program_with_an_hour_of_grace() {
    let Some(socket) = std::env::var_os(SOCKET) else {
        return;
    };
    Application::new()
        .route("/", async || "It works")
        .route(
            "/stuck",
            post(async |_: Bytes| std::future::pending::<&str>().await),
        )
        .grace(Duration::from_secs(3600))
        .listen_unix(socket, 0o600)
        .and_then(Application::run)
        .expect("an end in order");
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_at_once() {
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    let dir = squall_tests::TempDir::create();
    let socket = dir.path().join("socket");
    let mut program = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "integration::shutdown::program_with_an_hour_of_grace",
        ])
        .env(SOCKET, &socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a program");
    let mut connected = UnixStream::connect(&socket);
    while connected.is_err() {
        let ended = program.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended: {ended:?}");
        std::thread::yield_now();
        connected = UnixStream::connect(&socket);
    }
    let mut idle = connected.expect("it listens");
    // It answers, so it has caught the signals.
    idle.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("sent");
    idle.read_exact(&mut [0; 16]).expect("an answer");
    let mut stuck = UnixStream::connect(&socket).expect("it listens");
    stuck
        .write_all(
            b"POST /stuck HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        )
        .expect("sent");
    // What asks for the body is its handler, so it has begun.
    let mut asked = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stuck.read_exact(&mut asked).expect("an interim answer");

    let pid = program.id().to_string();
    let signal = |name: &str| {
        let told = Command::new("kill").args([name, &pid]).status();
        assert!(told.expect("kill").success());
    };
    signal("-TERM");
    let mut end = Vec::new();
    idle.read_to_end(&mut end)
        .expect("closed: the shutdown has begun");
    assert!(
        program.try_wait().expect("a child").is_none(),
        "it waits for the stuck one"
    );
    signal("-INT");
    assert!(program.wait().expect("an end").success());
    let _ = stuck.read_to_end(&mut end);
}
