//! Bodies through a forward, both ways: how they stream, what cuts them off, who asks for them, and
//! what comes behind them.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use socket2::SockRef;
use squall::forward::Forward;
use squall::testing::ExpectLog;

use super::client_script::script;
use super::forward::{proxy, raw, relayed, to};

#[test]
fn bodies_stream_both_ways() {
    let upstream = script(|_, mut peer| {
        let head = peer.head().expect("a head");
        assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
        assert!(peer.read_until("0\r\n\r\n").contains("hello"));
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld");
    });
    let answer = raw(
        &proxy(to(&upstream)),
        "POST /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("world"),
        "{answer}"
    );
}

/// A client that reads nothing before it has sent everything, and an upstream that answers
/// meanwhile.
#[test]
fn an_upload_goes_on_while_its_answer_is_not_read() {
    const MANY: usize = 16 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let upstream = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tcp.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let mut out = tcp.try_clone().expect("a descriptor");
        let answers = std::thread::spawn(move || {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MANY}\r\n\r\n");
            out.write_all(head.as_bytes()).expect("sent");
            out.write_all(&vec![b'a'; MANY]).expect("sent");
        });
        let mut body = vec![0; MANY];
        tcp.read_exact(&mut body).expect("the whole request");
        answers.join().expect("no panic");
    });
    let server = proxy(Forward::to(format!("http://{address}")));
    let mut tcp = server.connect();
    let little_room = SockRef::from(&tcp).set_recv_buffer_size(64 << 10);
    little_room.expect("a socket");
    let head = format!(
        "POST /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {MANY}\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).expect("sent");
    let mut begin = [0; 15];
    tcp.read_exact(&mut begin).expect("the answer's begin");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    tcp.write_all(&vec![b'r'; MANY]).expect("all of it");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("the answer");
    let whole = answer.windows(4).position(|it| it == b"\r\n\r\n");
    assert_eq!(answer.len() - whole.expect("a head") - 4, MANY);
    upstream.join().expect("no panic");
}

#[test]
fn a_body_cut_off_upstream_is_cut_off_downstream() {
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let upstream = script(move |_, mut peer| {
            peer.head();
            peer.write(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n"));
        });
        let answer = raw(
            &proxy(to(&upstream)),
            "GET /f/x HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        if let Some((_, body)) = answer.split_once("\r\n\r\n") {
            assert!(body.len() < 100, "{answer}");
        }
    }
}

#[test]
fn a_body_cut_off_upstream_does_not_look_whole_to_http_1_0() {
    let upstream = script(|_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    });
    let server = proxy(to(&upstream));
    let mut tcp = server.connect();
    tcp.write_all(b"GET /f/x HTTP/1.0\r\nHost: a\r\n\r\n")
        .expect("sent");
    // Its end would be the connection's.
    let error = tcp.read_to_end(&mut Vec::new()).expect_err("no end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_leaves_takes_the_upstream_along() {
    let (gone, is_gone) = mpsc::channel();
    let (asked, asks) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        peer.head();
        let _ = asked.send(());
        let _ = gone.send(peer.is_closed());
    });
    let server = proxy(to(&upstream));
    let mut tcp = TcpStream::connect(server.address()).expect("a connection");
    tcp.write_all(b"GET /f/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    asks.recv().expect("forwarded");
    drop(tcp);
    assert!(is_gone.recv().expect("told"));
}

#[test]
fn a_client_that_leaves_is_a_499_in_the_log() {
    let (asked, asks) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        peer.head();
        let _ = asked.send(());
        peer.is_closed();
    });
    let server = proxy(to(&upstream));
    let log = ExpectLog::on(&server);
    let mut tcp = server.connect();
    tcp.write_all(b"GET /f/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    asks.recv().expect("forwarded");
    drop(tcp);
    let line = log.expect("squall::access", "status=499");
    assert_eq!(line.field("path"), Some("/f/x"));
}

#[test]
fn a_client_that_resets_an_upload_that_has_come_to_a_halt_is_noticed() {
    let upload = b"PUT /f/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    is_noticed_when_it_resets(upload, &[b'x'; 1 << 20]);
}

#[test]
fn a_client_that_resets_what_it_has_pipelined_without_end_is_noticed() {
    let request = b"GET /f/x HTTP/1.1\r\nHost: a\r\n\r\n";
    is_noticed_when_it_resets(request, &request.repeat(10_000));
}

/// A client that sends the piece again and again, until nobody takes any more of it.
fn is_noticed_when_it_resets(first: &[u8], piece: &[u8]) {
    let (done, is_done) = mpsc::channel::<()>();
    let is_done = Mutex::new(is_done);
    let upstream = script(move |_, mut peer| {
        peer.head();
        // Nothing is read while what the client sends piles up.
        let _ = is_done.lock().expect("it").recv();
    });
    let server = proxy(to(&upstream));
    let log = ExpectLog::on(&server);
    let mut tcp = server.connect();
    tcp.write_all(first).expect("sent");
    tcp.set_write_timeout(Some(Duration::from_millis(100)))
        .expect("a socket");
    while tcp.write(piece).is_ok() {}
    let reset = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    reset.expect("a socket");
    drop(tcp);
    let line = log.expect("squall::access", "status=499");
    assert_eq!(line.field("path"), Some("/f/x"));
    drop(done);
}

#[test]
fn the_upstream_decides_whether_a_body_is_sent() {
    let upstream = script(|number, mut peer| {
        let head = peer.head().expect("a head");
        assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
        if number == 0 {
            peer.write("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(peer.read(5), b"hello");
            peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        } else {
            peer.write("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
            assert!(
                peer.is_closed(),
                "a connection without its body is not used again"
            );
        }
    });
    let server = proxy(to(&upstream));
    let ask = || {
        let mut tcp = server.connect();
        tcp.write_all(b"POST /f/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
            .expect("sent");
        tcp
    };
    let mut agreed = ask();
    let mut interim = [0; 25];
    agreed.read_exact(&mut interim).expect("100");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    agreed.write_all(b"hello").expect("sent");
    let mut answer = String::new();
    agreed.read_to_string(&mut answer).expect("the answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let mut refused = ask();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).expect("the answer");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_refusal_that_streams_asks_for_no_body_either() {
    let (go_on, goes_on) = mpsc::channel();
    let goes_on = Mutex::new(goes_on);
    let upstream = script(move |_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n");
        goes_on
            .lock()
            .expect("it")
            .recv()
            .expect("the head was seen");
        peer.write("2\r\nno\r\n0\r\n\r\n");
        assert!(peer.is_closed(), "the body was refused");
    });
    let server = proxy(to(&upstream));
    let mut tcp = server.connect();
    tcp.write_all(
        b"POST /f/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    )
    .expect("sent");
    let mut status = [0; 12];
    tcp.read_exact(&mut status).expect("an answer");
    assert_eq!(status.as_slice(), b"HTTP/1.1 401", "nothing is before it");
    go_on.send(()).expect("waited for");
    let mut rest = String::new();
    tcp.read_to_string(&mut rest).expect("the rest");
    assert!(rest.contains("\r\nConnection: close\r\n"), "{rest}");
    assert!(rest.ends_with("2\r\nno\r\n0\r\n\r\n"), "{rest}");
}

#[test]
fn an_expectation_of_http_1_0_is_none() {
    for expects in ["100-continue", "x"] {
        let head = relayed(
            to,
            &format!(
                "POST /f/x HTTP/1.0\r\nHost: a\r\nExpect: {expects}\r\nContent-Length: 1\r\n\r\na"
            ),
        );
        assert!(!head.contains("Expect"), "{head}");
    }
}

#[test]
fn trailers_go_along_in_both_directions() {
    let upstream = script(|_, mut peer| {
        let head = peer.head().expect("a head");
        assert!(head.contains("TE: trailers\r\n"), "{head}");
        assert!(head.contains("Connection: TE\r\n"), "{head}");
        let body = peer.read_until("\r\n\r\n");
        // As in a head, nobody says who it is, or where it came from.
        assert_eq!(body, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
        peer.write(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n",
        );
    });
    let answer = raw(
        &proxy(to(&upstream)),
        "POST /f/x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nVia: 1.1 x\r\nX-Sum: 1\r\n\r\n",
    );
    assert!(
        answer.ends_with("2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n"),
        "{answer}"
    );
}

#[test]
fn trailers_say_nothing_that_the_head_says_or_may_not_say() {
    for kept in [0, 1000] {
        let upstream = script(|_, mut peer| {
            let head = peer.head().expect("a head");
            assert!(head.contains("X-User: ann\r\n"), "{head}");
            assert!(!head.contains("X-Gone"), "{head}");
            let body = peer.read_until("\r\n\r\n");
            assert_eq!(body, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
        let forward = to(&upstream).replay_buffer(kept).rewrite(|_, onward| {
            onward.headers_mut().set("X-User", "ann")?;
            onward.headers_mut().remove("X-Gone");
            Ok(())
        });
        let answer = raw(
            &proxy(forward),
            "POST /f/x HTTP/1.1\r\nHost: a\r\nX-Gone: 1\r\nConnection: close, X-Hop\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nx-gone: 1\r\nx-user: eve\r\nX_User: eve\r\nX-Hop: 1\r\nX-Sum: 1\r\n\r\n",
        );
        assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    }
}
