//! Long bodies that are forwarded: on Linux they go from socket to socket without being
//! copied, and nothing else about them changes.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use squall::forward::Forward;
use squall::testing::{MockReply, TestResponse, TestServer};
use squall::tls::Tls;
use squall::{Application, Compression, any};
use squall_loop::TestClock;
use squall_tests::{Identity, TlsClient, until};

use super::client_script::{Script, script};
use super::forward::{proxy, to};

const MIB: usize = 1 << 20;
/// What is read of a body that goes on unread otherwise: what came with its head, what is
/// kept so that it can be sent again, and its last bytes.
const READ: usize = 512 << 10;

/// Bytes that are different at every place that somebody could take for another.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let block: Vec<u8> = (0..65_521)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let mut bytes = block.repeat(len / block.len() + 1);
    bytes.truncate(len);
    bytes
}

/// Bytes that have gone on without being copied.
fn spliced(server: &TestServer) -> usize {
    server.io_loop().stats().spliced() as usize
}

/// All but a little of `len` bytes went on uncopied, where that can be had.
#[track_caller]
fn assert_spliced(server: &TestServer, before: usize, len: usize) {
    let spliced = spliced(server) - before;
    match cfg!(target_os = "linux") {
        true => assert!(
            spliced <= len && spliced + READ >= len,
            "{spliced} of {len}"
        ),
        false => assert_eq!(spliced, 0),
    }
}

/// The number that a request's path is.
fn asked(head: &str) -> usize {
    let path = head.split(' ').nth(1).expect("a path");
    path.trim_start_matches('/').parse().expect("a number")
}

fn answer_head(len: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n")
}

/// Answers with as many bytes as its path says.
fn sending() -> Script {
    script(|_, mut peer| {
        while let Some(head) = peer.head() {
            let len = asked(&head);
            peer.write(answer_head(len));
            peer.write(pattern(len));
        }
    })
}

fn ask(tcp: &mut TcpStream, len: usize) {
    let request = format!("GET /f/{len} HTTP/1.1\r\nHost: a\r\n\r\n");
    tcp.write_all(request.as_bytes()).expect("sent");
}

fn read_head(tcp: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        tcp.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// Reads so many bytes, little and much at a time.
fn read_oddly(tcp: &mut impl Read, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let (mut at, mut steps) = (0, [1, 70_001, 7, 4096, 300_007].into_iter().cycle());
    while at < len {
        let step = steps.next().expect("a cycle").min(len - at);
        tcp.read_exact(&mut bytes[at..at + step]).expect("a body");
        at += step;
    }
    bytes
}

/// Everything up to the end, and whether that was one in order.
fn read_to_end(tcp: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let ended = match tcp.read_to_end(&mut bytes) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        Err(error) => panic!("{error}"),
    };
    (bytes, ended)
}

#[test]
fn answers_of_any_length_come_as_they_were_sent_and_both_connections_are_kept() {
    let upstream = sending();
    let server = proxy(to(&upstream));
    let mut tcp = server.connect();
    for len in [65_535, 65_536, 73_728, MIB - 1, 5 * MIB + 7, 3, 2 * MIB + 1] {
        let before = spliced(&server);
        ask(&mut tcp, len);
        read_head(&mut tcp);
        assert!(read_oddly(&mut tcp, len) == pattern(len), "{len}");
        assert_spliced(&server, before, len);
    }
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn requests_of_any_length_arrive_as_they_were_sent_and_both_connections_are_kept() {
    let upstream = Script::answering(MockReply::ok("ok"));
    let server = proxy(to(&upstream));
    let mut tcp = server.connect();
    let lens = [65_535, 65_536, MIB - 1, 5 * MIB + 7, 3, 2 * MIB + 1];
    for len in lens {
        let before = spliced(&server);
        let head = format!("PUT /f/x HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        tcp.write_all(head.as_bytes()).expect("sent");
        let (body, mut steps) = (pattern(len), [1, 70_001, 7, 300_007].into_iter().cycle());
        let mut rest = &body[..];
        while !rest.is_empty() {
            let step = steps.next().expect("a cycle").min(rest.len());
            tcp.write_all(&rest[..step]).expect("sent");
            rest = &rest[step..];
        }
        read_head(&mut tcp);
        assert_eq!(read_oddly(&mut tcp, 2), b"ok");
        assert_spliced(&server, before, len);
    }
    for (request, len) in upstream.requests().iter().zip(lens) {
        assert!(request.body == pattern(len), "{len}");
    }
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn an_answer_whose_end_is_the_connections_goes_on_in_whatever_framing_there_is() {
    let len = 5 * MIB + 7;
    let upstream = script(move |number, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\n\r\n");
        peer.write(pattern(len));
        if number == 2 {
            peer.reset();
        }
    });
    let server = proxy(to(&upstream));
    // How much of it goes uncopied depends on how fast it comes.
    assert!(server.get("/f/x").body == pattern(len));
    // HTTP/1.0 has no chunks: the end is the connection's there, too.
    let ask = || {
        let mut tcp = server.connect();
        tcp.write_all(b"GET /f/x HTTP/1.0\r\n\r\n").expect("sent");
        read_head(&mut tcp);
        read_to_end(&mut tcp)
    };
    let (body, ended) = ask();
    assert!(ended && body == pattern(len));
    let (_, ended) = ask();
    assert!(!ended, "what is cut off must not look whole");
}

#[test]
fn an_answer_that_is_shorter_than_it_said_is_cut_off() {
    for resets in [false, true] {
        let upstream = script(move |_, mut peer| {
            peer.head();
            peer.write(answer_head(4 * MIB));
            peer.write(pattern(2 * MIB));
            if resets {
                peer.reset();
            }
        });
        let server = proxy(to(&upstream));
        let mut tcp = server.connect();
        ask(&mut tcp, 0);
        read_head(&mut tcp);
        let (body, _) = read_to_end(&mut tcp);
        assert!(pattern(2 * MIB).starts_with(&body));
        if !resets {
            assert_eq!(body.len(), 2 * MIB, "what has come goes on");
            assert_spliced(&server, 0, 2 * MIB);
        }
    }
}

#[test]
fn a_request_that_is_shorter_than_it_said_takes_the_upstream_along() {
    let (gone, is_gone) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        peer.head();
        let _ = gone.send(peer.read_to_end());
    });
    let server = proxy(to(&upstream));
    let mut tcp = server.connect();
    let head = format!(
        "PUT /f/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        4 * MIB
    );
    tcp.write_all(head.as_bytes()).expect("sent");
    tcp.write_all(&pattern(2 * MIB)).expect("sent");
    drop(tcp);
    let body = is_gone.recv().expect("told");
    assert!(pattern(2 * MIB).starts_with(&body));
    assert_spliced(&server, 0, body.len());
}

/// An upstream that never gets to the end of its answer; it says whether it was let go.
fn never_done() -> (Script, mpsc::Receiver<bool>) {
    let (gone, is_gone) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        peer.head();
        peer.write(answer_head(1 << 30));
        peer.write(pattern(64 * MIB));
        let _ = gone.send(peer.is_closed());
    });
    (upstream, is_gone)
}

#[test]
fn a_client_that_leaves_in_the_middle_takes_the_upstream_along() {
    let (upstream, is_gone) = never_done();
    let forward = to(&upstream);
    let server = proxy(forward.clone());
    let mut tcp = server.connect();
    ask(&mut tcp, 0);
    read_head(&mut tcp);
    assert!(read_oddly(&mut tcp, MIB) == pattern(MIB));
    drop(tcp);
    assert!(is_gone.recv().expect("told"));
    until("the end of the forward", || {
        forward.stats()[0].in_flight == 0
    });
}

/// A forward whose time stands still.
struct Stage {
    server: TestServer,
    clock: TestClock,
}

impl Stage {
    fn start(forward: Forward) -> Self {
        let application = Application::new().route("/f/{*path}", any(forward));
        let (server, clock) = TestServer::start_turned(application);
        Self { server, clock }
    }

    /// Lets the lane see what was sent before, then the time, and then what that leads to.
    fn pass(&self, seconds: u64) {
        self.settle();
        self.clock.advance(Duration::from_secs(seconds));
        self.settle();
    }

    fn settle(&self) {
        for _ in 0..3 {
            (self.server.io_loop().run(async {})).expect("the lane goes on");
        }
    }
}

#[test]
fn a_client_that_takes_its_answer_bit_by_bit_is_waited_for() {
    let upstream = sending();
    let stage = Stage::start(to(&upstream));
    let mut tcp = stage.server.connect();
    let (len, bit) = (64 * MIB, 4 * MIB);
    ask(&mut tcp, len);
    read_head(&mut tcp);
    let mut body = Vec::new();
    // Longer than it may take nothing (write_timeout, 30 s).
    for _ in 0..8 {
        body.extend(read_oddly(&mut tcp, bit));
        stage.pass(10);
    }
    body.extend(read_oddly(&mut tcp, len - body.len()));
    assert!(body == pattern(len));
    assert_spliced(&stage.server, 0, len);
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_let_go() {
    let (upstream, is_gone) = never_done();
    let stage = Stage::start(to(&upstream));
    let mut tcp = stage.server.connect();
    ask(&mut tcp, 0);
    read_head(&mut tcp);
    until("the upstream's end", || {
        stage.pass(10);
        is_gone.try_recv() == Ok(true)
    });
    let (body, _) = read_to_end(&mut tcp);
    assert!(pattern(64 * MIB).starts_with(&body));
}

/// It reads when all of its request is sent, and its answer waits as long as it sends.
#[test]
fn a_client_that_sends_before_it_reads_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (came, comes) = mpsc::channel();
    let upstream = thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        read_head(&mut tcp);
        let mut answers = tcp.try_clone().expect("the same socket");
        let answer = thread::spawn(move || {
            let head = answer_head(64 * MIB).into_bytes();
            answers.write_all(&[head, pattern(64 * MIB)].concat())
        });
        for _ in 0..8 {
            let mut bit = vec![0; MIB];
            tcp.read_exact(&mut bit).expect("a bit");
            came.send(bit).expect("waited for");
        }
        answer.join().expect("no panic").expect("taken");
    });
    let stage = Stage::start(Forward::to(format!("http://{address}")));
    let mut tcp = stage.server.connect();
    let head = format!(
        "PUT /f/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        8 * MIB
    );
    tcp.write_all(head.as_bytes()).expect("sent");
    read_head(&mut tcp);
    for bit in pattern(8 * MIB).chunks(MIB) {
        tcp.write_all(bit).expect("sent");
        assert!(comes.recv().expect("a bit") == bit);
        // Together longer than it may take nothing (write_timeout, 30 s).
        stage.pass(10);
    }
    assert!(read_oddly(&mut tcp, 64 * MIB) == pattern(64 * MIB));
    upstream.join().expect("no panic");
}

#[test]
fn an_upstream_that_sends_bit_by_bit_is_waited_for_and_one_that_stops_is_not() {
    let (go, goes) = mpsc::channel::<()>();
    let goes = std::sync::Mutex::new(goes);
    let upstream = script(move |_, mut peer| {
        peer.head();
        peer.write(answer_head(8 * MIB));
        let body = pattern(8 * MIB);
        for bit in body.chunks(MIB).take(6) {
            peer.write(bit);
            let _ = goes.lock().expect("no panic").recv();
        }
        peer.is_closed();
    });
    let stage = Stage::start(to(&upstream));
    let mut tcp = stage.server.connect();
    ask(&mut tcp, 0);
    read_head(&mut tcp);
    for bit in pattern(6 * MIB).chunks(MIB) {
        assert!(read_oddly(&mut tcp, MIB) == bit);
        // Less than it may be silent (60 s), and together more.
        stage.pass(40);
        go.send(()).expect("the upstream waits");
    }
    let cut = thread::spawn(move || read_to_end(&mut tcp).0);
    until("the answer's end", || {
        stage.pass(40);
        cut.is_finished()
    });
    assert!(cut.join().expect("no panic").is_empty());
    assert_spliced(&stage.server, 0, 6 * MIB);
}

#[test]
fn a_client_that_sends_bit_by_bit_is_waited_for_and_one_that_stops_is_not() {
    let (came, comes) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        peer.head();
        for _ in 0..6 {
            let _ = came.send(peer.read(MIB));
        }
        let _ = came.send(peer.read_to_end());
    });
    let stage = Stage::start(to(&upstream));
    let mut tcp = stage.server.connect();
    let head = format!(
        "PUT /f/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        8 * MIB
    );
    tcp.write_all(head.as_bytes()).expect("sent");
    for bit in pattern(6 * MIB).chunks(MIB) {
        tcp.write_all(bit).expect("sent");
        assert!(comes.recv().expect("a bit") == bit);
        // Less than it may be silent (body_timeout, 30 s), and together more.
        stage.pass(20);
    }
    until("the upstream's end", || {
        stage.pass(20);
        comes.try_recv() == Ok(Vec::new())
    });
    let answer = read_to_end(&mut tcp).0;
    assert!(
        answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        answer.escape_ascii()
    );
    assert_spliced(&stage.server, 0, 6 * MIB);
}

#[test]
fn what_has_to_be_seen_is_read() {
    let len = 2 * MIB;
    let upstream = script(move |_, mut peer| {
        while let Some(request) = peer.request() {
            let body = match request.body.is_empty() {
                true => pattern(len),
                false => request.body,
            };
            peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(100_000) {
                peer.write(format!("{:x}\r\n", piece.len()));
                peer.write([piece, b"\r\n"].concat());
            }
            peer.write("0\r\n\r\n");
        }
    });
    // Chunks, in both directions.
    let server = proxy(to(&upstream));
    assert!(server.get("/f/x").body == pattern(len));
    let head =
        "PUT /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let head = format!("{head}{:x}\r\n", len - 1);
    let sent = [head.as_bytes(), &pattern(len - 1), b"\r\n0\r\n\r\n"];
    let answer = TestResponse::parse(&server.raw(&sent.concat()));
    assert!(answer.body == pattern(len - 1));
    assert_eq!(spliced(&server), 0);

    // What is compressed.
    let text = script(move |_, mut peer| {
        peer.head();
        peer.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n\r\n"
        ));
        peer.write(pattern(len));
        peer.is_closed();
    });
    let route = |upstream| Application::new().route("/f/{*path}", any(to(upstream)));
    let server = TestServer::start(route(&text).middleware(Compression::default()));
    let client = server.client();
    let answer = client.get("/f/x").header("Accept-Encoding", "gzip").send();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(spliced(&server), 0);

    // What is encrypted.
    let plain = sending();
    let identity = Identity::of(&["a.test"]);
    let tls = Tls::from_pem(&identity.cert, &identity.key).expect("a certificate");
    let application = route(&plain)
        .listen_tls("127.0.0.1:0", tls)
        .expect("a port");
    let address = application.local_addr().expect("an address");
    let server = TestServer::start(application);
    let mut client = TlsClient::connect(address, "a.test", None).expect("a handshake");
    let answer = client.get(&format!("/f/{len}")).expect("an answer");
    assert!(answer.body == pattern(len));
    assert_eq!(spliced(&server), 0);
}

/// Where there is no descriptor left for a pipe, a body goes on as it would without any.
#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_it_is_copied() {
    const ALONE: &str = "SQUALL_NO_PIPES";
    const TEST: &str = "integration::forward_splice::without_descriptors_it_is_copied";
    if std::env::var_os(ALONE).is_some() {
        return copied_then_spliced();
    }
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg("ulimit -n 256 && exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .expect("this program again");
    let said = String::from_utf8_lossy(&output.stdout);
    let erred = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{erred}"
    );
}

#[cfg(target_os = "linux")]
fn copied_then_spliced() {
    use std::fs::File;
    use std::sync::{Arc, Mutex};

    use squall::forward::forward;
    use squall::{Request, Response, Result};

    let upstream = sending();
    let api = to(&upstream);
    let held = Arc::new(Mutex::new(Vec::new()));
    let holds = held.clone();
    let relay = move |request: Request| {
        let (api, held) = (api.clone(), holds.clone());
        async move {
            let all = request.headers().contains("x-all");
            let response = forward(request, &api).await?;
            if all {
                let mut held = held.lock().expect("no panic");
                held.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
            }
            Result::<Response>::Ok(response)
        }
    };
    let server = TestServer::start(Application::new().route("/f/{*path}", any(relay)));
    let mut tcp = server.connect();
    let len = 2 * MIB;
    let request = format!("GET /f/{len} HTTP/1.1\r\nHost: a\r\nX-All: 1\r\n\r\n");
    tcp.write_all(request.as_bytes()).expect("sent");
    read_head(&mut tcp);
    assert!(read_oddly(&mut tcp, len) == pattern(len));
    assert_eq!(spliced(&server), 0);
    let held = std::mem::take(&mut *held.lock().expect("no panic"));
    assert!(!held.is_empty());
    drop(held);
    ask(&mut tcp, len);
    read_head(&mut tcp);
    assert!(read_oddly(&mut tcp, len) == pattern(len));
    assert_spliced(&server, 0, len);
}
