//! Forwarding: what goes along in both directions, streaming, and how failures look.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use squall::forward::{Forward, forward};
use squall::testing::TestServer;
use squall::{Application, Request, Response, Result, any};

use super::client_script::{Script, answering, script};

fn proxy(upstream: Forward) -> TestServer {
    let relay = move |request: Request| {
        let upstream = upstream.clone();
        async move { Result::<Response>::Ok(forward(request, &upstream).await?) }
    };
    TestServer::start(Application::new().route("/f/{*path}", any(relay)))
}

fn to(script: &Script) -> Forward {
    Forward::to(&script.url("")).strip_prefix("/f")
}

/// Sends bytes on a connection of their own; what comes back until it is closed.
fn raw(server: &TestServer, request: &str) -> String {
    let mut tcp = TcpStream::connect(server.address()).expect("a connection");
    tcp.set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket");
    tcp.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let _ = tcp.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

/// The head that an upstream sees for a request.
fn relayed(forward: impl FnOnce(&Script) -> Forward, request: &str) -> String {
    let (seen, sees) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let _ = seen.send(head);
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    raw(&proxy(forward(&upstream)), request);
    let host = upstream.address.to_string();
    sees.recv().expect("a request").replace(&host, "UPSTREAM")
}

#[test]
fn a_request_keeps_its_bytes_and_loses_what_was_for_one_hop() {
    let head = relayed(
        to,
        "GET /f/a%2Fb//c?q=%zz&a;b HTTP/1.1\r\nHost: front.test\r\nConnection: close, X-Hop, X-Forwarded-For\r\n\
         X-Hop: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Authorization: x\r\nUpgrade: websocket\r\n\
         X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_Proto: https\r\nX-Forwarded-Prefix: /x\r\nForwarded: for=6.6.6.6\r\n\
         X-Real-IP: 6.6.6.6\r\nCookie: a=1\r\nX-Kept: 1\r\nx-kept: 2\r\n\r\n",
    );
    let expected = "GET /a%2Fb//c?q=%zz&a;b HTTP/1.1\r\nHost: UPSTREAM\r\nCookie: a=1\r\nX-Kept: 1\r\nx-kept: 2\r\n\
                    X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: front.test\r\nX-Forwarded-Proto: http\r\n\
                    Via: 1.1 squall\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn a_trusted_proxy_is_believed_and_the_host_can_be_kept() {
    let head = relayed(
        |upstream| to(upstream).trust_forwarded(true).preserve_host(true),
        "GET /f/x HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\nX-Forwarded-For: 9.9.9.9\r\n\
         X-Forwarded-Proto: https\r\nVia: 1.1 edge\r\nX-Real-IP: 9.9.9.9\r\n\r\n",
    );
    let expected = "GET /x HTTP/1.1\r\nHost: front.test\r\nX-Real-IP: 9.9.9.9\r\n\
                    X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\nX-Forwarded-Host: front.test\r\nX-Forwarded-Proto: https\r\n\
                    Via: 1.1 edge, 1.1 squall\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn an_answer_keeps_its_lines_and_loses_what_was_for_one_hop() {
    let upstream = answering(
        "HTTP/1.1 302 Found\r\nLocation: /there\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: X-Hop\r\n\
         X-Hop: 1\r\nAlt-Svc: h3\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let answer = proxy(to(&upstream)).get("/f/x");
    assert_eq!((answer.status, answer.text().as_str()), (302, "ok"));
    assert_eq!(answer.header("location"), Some("/there"));
    assert_eq!(answer.header("via"), Some("1.1 squall"));
    for gone in ["x-hop", "alt-svc", "keep-alive"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

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
fn an_upstream_that_fails_is_a_502() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let nobody = Forward::to(&format!("http://{}", closed.expect("a port")));
    assert_eq!(proxy(nobody).get("/f/x").status, 502);
    let mute = script(|_, mut peer| drop(peer.head()));
    assert_eq!(proxy(to(&mute)).get("/f/x").status, 502);
    let nonsense = answering("ICY 200 OK\r\n\r\n");
    assert_eq!(proxy(to(&nonsense)).get("/f/x").status, 502);
    assert_eq!(proxy(to(&nonsense)).get("/f/..%2fx").status, 400);
    assert_eq!(proxy(Forward::to("nonsense")).get("/f/x").status, 500);
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
