//! Upgrades through a forward: the gate, the tunnel, and its end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use socket2::SockRef;
use squall::forward::Forward;
use squall::testing::TestServer;
use squall::tls::Tls;
use squall::{Application, any};
use squall_tests::{Identity, TlsClient, until};

use super::client_script::{Peer, Script, script};
use super::forward::{proxy, raw, relayed, to};

const ASKS: &str = "GET /f/ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const AGREES: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn open(upstream: &Script) -> Forward {
    to(upstream).upgrades(["websocket"])
}

/// An upstream that switches, and then does as told.
fn switching(then: impl Fn(&mut Peer) + Send + Sync + 'static) -> Script {
    script(move |_, mut peer| {
        let head = peer.head().expect("a head");
        assert!(head.contains("Connection: Upgrade\r\n"), "{head}");
        assert!(head.contains("Upgrade: websocket\r\n"), "{head}");
        peer.write(AGREES);
        then(&mut peer);
    })
}

/// A connection to a server that has switched.
fn switched(server: &TestServer) -> TcpStream {
    let mut tcp = server.connect();
    tcp.write_all(ASKS.as_bytes()).expect("sent");
    let head = head(&mut tcp);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    tcp
}

fn head(tcp: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        tcp.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

fn read(tcp: &mut impl Read, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    tcp.read_exact(&mut bytes).expect("the bytes");
    bytes
}

/// What comes until the end; a reset is one, too.
fn rest(tcp: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = tcp.read_to_end(&mut bytes);
    bytes
}

#[test]
fn an_upgrade_stays_behind_unless_it_is_allowed() {
    let asks = ASKS.replace("keep-alive", "close");
    let head = relayed(to, &asks);
    assert!(!head.to_ascii_lowercase().contains("upgrade"), "{head}");
    assert!(head.contains("Sec-WebSocket-Key: "), "{head}");
    let head = relayed(|upstream| to(upstream).upgrades(["other"]), &asks);
    assert!(!head.to_ascii_lowercase().contains("upgrade"), "{head}");
}

#[test]
fn only_a_plain_get_that_says_so_is_an_upgrade() {
    for asks in [
        // Nobody was asked, because `Connection` does not name it.
        "GET /f/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n",
        // Two at once.
        "GET /f/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket, h2c\r\nConnection: upgrade, close\r\n\r\n",
        // With a body, which the tunnel would begin with.
        "GET /f/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\nContent-Length: 2\r\n\r\nhi",
        "POST /f/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n",
    ] {
        let head = relayed(open, asks);
        assert!(!head.to_ascii_lowercase().contains("upgrade"), "{head}");
    }
}

#[test]
fn a_websocket_is_a_tunnel_of_bytes() {
    let upstream = switching(|peer| {
        peer.write("hello");
        while let [byte] = peer.read(1)[..] {
            if byte == b'.' {
                break;
            }
            peer.write([byte.to_ascii_uppercase()]);
        }
    });
    let server = proxy(open(&upstream));
    let mut tcp = server.connect();
    tcp.write_all(ASKS.as_bytes()).expect("sent");
    let head = head(&mut tcp);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                    Via: 1.1 squall\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    assert_eq!(head, expected);
    assert_eq!(read(&mut tcp, 5), b"hello");
    tcp.write_all(b"abc").expect("sent");
    assert_eq!(read(&mut tcp, 3), b"ABC");
    assert_eq!(server.app().stats().requests, 1);
    tcp.write_all(b".").expect("sent");
    assert_eq!(rest(&mut tcp), b"");
}

#[test]
fn bytes_that_came_early_are_the_tunnels() {
    let upstream = script(|_, mut peer| {
        peer.head();
        // In one piece with the 101.
        peer.write([AGREES, "from upstream"].concat());
        assert_eq!(peer.read(11), b"from client");
    });
    let server = proxy(open(&upstream));
    let mut tcp = server.connect();
    tcp.write_all([ASKS, "from client"].concat().as_bytes())
        .expect("sent");
    assert!(head(&mut tcp).starts_with("HTTP/1.1 101 "));
    assert_eq!(rest(&mut tcp), b"from upstream");
}

#[test]
fn an_end_in_one_direction_leaves_the_other_open() {
    let upstream = switching(|peer| {
        let said = peer.read_to_end();
        peer.write([b"you said ".as_slice(), &said].concat());
    });
    let server = proxy(open(&upstream));
    let mut tcp = switched(&server);
    tcp.write_all(b"enough").expect("sent");
    tcp.shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(rest(&mut tcp), b"you said enough");
}

#[test]
fn a_tunnel_carries_more_than_its_buffers_both_ways() {
    const MANY: usize = 8 << 20;
    let upstream = switching(|peer| {
        let said = peer.read_to_end();
        assert_eq!(said.len(), MANY);
        peer.write(said);
    });
    let server = proxy(open(&upstream));
    let mut tcp = switched(&server);
    let sent: Vec<u8> = (0..MANY).map(|at| (at / 7) as u8).collect();
    tcp.write_all(&sent).expect("sent");
    tcp.shutdown(Shutdown::Write).expect("a socket");
    assert!(rest(&mut tcp) == sent);
}

#[test]
fn nothing_goes_through_before_the_upstream_has_agreed() {
    // RFC 9931, CVE-2026-2833: the second request is a request of this server's, and is
    // answered by it; the upstream sees it only as one that was forwarded.
    let upstream = script(|_, mut peer| {
        while let Some(head) = peer.head() {
            assert!(!head.contains("smuggled"), "{head}");
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
        }
    });
    let smuggled = "GET /elsewhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: smuggled\r\n\r\n";
    let answer = raw(&proxy(open(&upstream)), &[ASKS, smuggled].concat());
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nHTTP/1.1 404 ") || answer.contains("noHTTP/1.1 404 "),
        "{answer}"
    );
}

#[test]
fn a_switch_to_something_else_is_a_502() {
    for answer in [
        "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
        "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket, other\r\n\r\n",
        "HTTP/1.1 101 Go\r\n\r\n",
    ] {
        let upstream = script(move |_, mut peer| {
            peer.head();
            peer.write(answer);
            assert!(peer.is_closed());
        });
        let asks = ASKS.replace("keep-alive", "close");
        let refused = raw(&proxy(open(&upstream)), &asks);
        assert!(refused.starts_with("HTTP/1.1 502 "), "{refused}");
        let unasked = proxy(to(&upstream)).get("/f/x");
        assert_eq!(unasked.status, 502);
    }
}

#[test]
fn a_tunnel_that_is_silent_is_closed() {
    let (closed, is_closed) = mpsc::channel();
    let upstream = switching(move |peer| {
        assert_eq!(peer.read(1), b"a");
        peer.write("b");
        let _ = closed.send(peer.is_closed());
    });
    let idle = Duration::from_secs(3600);
    let application =
        Application::new().route("/f/{*path}", any(open(&upstream).idle_timeout(idle)));
    let (server, clock) = TestServer::start_turned(application);
    let mut tcp = switched(&server);
    clock.advance(idle / 2);
    tcp.write_all(b"a").expect("sent");
    assert_eq!(read(&mut tcp, 1), b"b", "what moves begins the time anew");
    clock.advance(idle * 3 / 4);
    clock.advance(idle * 3 / 4);
    assert_eq!(rest(&mut tcp), b"");
    assert!(is_closed.recv().expect("told"));
}

#[test]
fn a_tunnel_without_a_limit_may_be_silent() {
    let upstream = switching(|peer| {
        while let [byte] = peer.read(1)[..] {
            peer.write([byte]);
        }
    });
    let endless = open(&upstream).idle_timeout(Duration::ZERO);
    let application = Application::new().route("/f/{*path}", any(endless));
    let (server, clock) = TestServer::start_turned(application);
    let mut tcp = switched(&server);
    for byte in [b"a", b"b", b"c"] {
        tcp.write_all(byte).expect("sent");
        assert_eq!(read(&mut tcp, 1), byte);
        clock.advance(Duration::from_secs(365 * 86_400));
    }
}

#[test]
fn a_tunnel_counts_as_in_flight_until_it_ends() {
    let upstream = switching(|peer| drop(peer.read_to_end()));
    let forward = open(&upstream);
    let server = proxy(forward.clone());
    let tcp = switched(&server);
    assert_eq!(forward.stats()[0].in_flight, 1);
    drop(tcp);
    until("the tunnel's end", || forward.stats()[0].in_flight == 0);
}

#[test]
fn a_client_that_resets_a_tunnel_ends_it() {
    let (closed, is_closed) = mpsc::channel();
    let upstream = switching(move |peer| {
        let _ = closed.send(peer.is_closed());
    });
    let application = Application::new().route("/f/{*path}", any(open(&upstream)));
    let (server, _clock) = TestServer::start_turned(application);
    let tcp = switched(&server);
    let resets = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    resets.expect("a socket");
    drop(tcp);
    assert!(is_closed.recv().expect("told"));
}

/// An encrypted client can tell the end of the conversation from one that was cut.
#[test]
fn an_upstream_that_resets_a_tunnel_looks_like_no_end_to_a_client_by_tls() {
    for (resets, sends) in [(false, false), (true, false), (true, true)] {
        let (go, goes) = mpsc::channel::<()>();
        let goes = std::sync::Mutex::new(goes);
        let upstream = script(move |_, mut peer| {
            peer.head();
            peer.write([AGREES, "hello"].concat());
            let read = goes.lock().expect("no panic").recv();
            read.expect("it was read");
            if resets {
                peer.reset();
            }
        });
        let identity = Identity::of(&["a.test"]);
        let tls = Tls::from_pem(&identity.cert, &identity.key).expect("a certificate");
        let application = Application::new()
            .route("/f/{*path}", any(open(&upstream)))
            .listen_tls("127.0.0.1:0", tls)
            .expect("a port");
        let address = application.local_addr().expect("an address");
        let _server = TestServer::start(application);
        let mut client = TlsClient::connect(address, "a.test", None).expect("a handshake");
        client.send(ASKS.as_bytes()).expect("sent");
        assert!(head(&mut client).starts_with("HTTP/1.1 101 "));
        assert_eq!(read(&mut client, 5), b"hello");
        if sends {
            // Whoever writes to the upstream hears of its reset first.
            client.fill();
        }
        go.send(()).expect("the upstream waits");
        let end = client.read_to_end(&mut Vec::new());
        let error = end.err().map(|error| error.kind());
        assert_eq!(error, resets.then_some(ErrorKind::UnexpectedEof));
    }
}

#[test]
fn a_shutdown_closes_a_websocket_between_two_frames() {
    let (half, waits) = mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let upstream = switching(move |peer| {
        // Half of a frame, and the rest when the shutdown has begun.
        peer.write([0x82, 4, 1, 2]);
        waits
            .lock()
            .expect("no panic")
            .recv()
            .expect("the shutdown");
        peer.write([3, 4]);
        assert_eq!(peer.read(8), [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]);
        // It answers, which nobody reads any more, and closes.
        peer.write([0x88, 2, 0x03, 0xe9]);
    });
    let mut server = proxy(open(&upstream));
    let mut tcp = switched(&server);
    assert_eq!(read(&mut tcp, 4), [0x82, 4, 1, 2]);
    let shutdown = std::thread::spawn(move || server.shutdown(Duration::from_secs(20)));
    half.send(()).expect("the upstream waits");
    assert_eq!(read(&mut tcp, 6), [3, 4, 0x88, 2, 0x03, 0xe9]);
    tcp.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9])
        .expect("sent");
    assert_eq!(rest(&mut tcp), b"");
    drop(tcp);
    assert_eq!(shutdown.join().expect("no panic"), 0, "nothing was cut");
}

#[test]
fn connect_makes_no_tunnel() {
    let upstream = script(|_, mut peer| {
        assert!(peer.head().is_none(), "nothing is forwarded");
    });
    let server = proxy(open(&upstream));
    let answer = raw(
        &server,
        "CONNECT inside.test:22 HTTP/1.1\r\nHost: inside.test:22\r\n\r\nSSH-2.0",
    );
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    assert_eq!(upstream.accepted(), 0);
}
