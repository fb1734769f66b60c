//! Requests that have come by other proxies: circles, and how far a request may go.

use std::io::{Read, Write};
use std::net::TcpStream;

use squall::forward::Forward;
use squall::testing::TestServer;
use squall::{Application, Listener, any};
use squall_tests::OK;

use super::client_script::{Script, answering};
use super::forward::{proxy, raw, relayed, to};

fn asks(fields: &str) -> String {
    format!("GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n")
}

fn edge(upstream: &Script) -> Forward {
    to(upstream).via("edge-1.test:80")
}

#[test]
fn a_proxy_says_its_name_in_both_directions() {
    let head = relayed(edge, &asks(""));
    assert!(head.contains("\r\nVia: 1.1 edge-1.test:80\r\n"), "{head}");
    let head = relayed(edge, &asks("Via: 1.0 a (b, c)\r\nVia: 1.1 d\r\n"));
    let all = "\r\nVia: 1.0 a (b, c), 1.1 d, 1.1 edge-1.test:80\r\n";
    assert!(head.contains(all), "{head}");
    let upstream = answering("HTTP/1.1 200 OK\r\nVia: 1.1 b\r\nContent-Length: 0\r\n\r\n");
    let answer = proxy(edge(&upstream)).get("/f/x");
    assert_eq!(answer.header("via"), Some("1.1 b, 1.1 edge-1.test:80"));
    let old = "GET /f/x HTTP/1.0\r\nHost: a\r\n\r\n";
    assert!(relayed(edge, old).contains("\r\nVia: 1.0 edge-1.test:80\r\n"));
}

#[test]
fn a_request_that_comes_back_is_a_508() {
    let upstream = answering(OK);
    let named = proxy(edge(&upstream));
    for via in [
        "1.1 edge-1.test:80",
        "HTTP/1.1 a, 1.1 EDGE-1.test:80 (x), 1.1 b",
    ] {
        let answer = raw(&named, &asks(&format!("Via: {via}\r\n")));
        assert!(answer.starts_with("HTTP/1.1 508 "), "{via}: {answer}");
    }
    for via in [
        "1.1 squall, 1.1 edge-2.test:80",
        "edge-1.test:80",
        "1.1 edge-1.test",
    ] {
        let answer = raw(&named, &asks(&format!("Via: {via}\r\n")));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{via}: {answer}");
    }
    // Others are called as we are unless told otherwise.
    let unnamed = proxy(to(&upstream));
    let times = |times| asks(&"Via: 1.1 squall\r\n".repeat(times));
    assert!(raw(&unnamed, &times(8)).starts_with("HTTP/1.1 200 "));
    assert!(raw(&unnamed, &times(9)).starts_with("HTTP/1.1 508 "));
}

#[test]
fn a_proxy_that_forwards_to_itself_says_so() {
    let listener = Listener::tcp("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let itself = Forward::to(format!("http://{address}"));
    let application = Application::new().route("/f/{*path}", any(itself));
    let server = TestServer::start(application.listen_on(listener).expect("complete"));
    let mut tcp = TcpStream::connect(address).expect("a connection");
    tcp.write_all(asks("").as_bytes()).expect("sent");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 508 "), "{answer}");
    assert_eq!(
        server.app().stats().requests,
        10,
        "it has come by nine times"
    );
}

#[test]
fn a_name_that_cannot_stand_there_is_a_500() {
    for name in ["", "a b", "a,b", "a\r\nX: y", "(a)"] {
        let upstream = answering(OK);
        assert_eq!(
            proxy(to(&upstream).via(name)).get("/f/x").status,
            500,
            "{name:?}"
        );
        assert_eq!(upstream.accepted(), 0, "{name:?}");
    }
}

#[test]
fn a_request_goes_no_further_than_it_may() {
    let method = |method: &str, left: &str| {
        asks(&format!("Max-Forwards: {left}\r\n")).replace("GET", method)
    };
    for (request, says) in [
        (method("OPTIONS", "5"), "Max-Forwards: 4\r\n"),
        (method("TRACE", "1"), "Max-Forwards: 0\r\n"),
        // Only those two count (RFC 9110 section 7.6.2).
        (method("GET", "0"), "Max-Forwards: 0\r\n"),
        (method("OPTIONS", "x"), "Max-Forwards: x\r\n"),
    ] {
        let head = relayed(to, &request);
        assert!(head.contains(says), "{request}: {head}");
    }
    let upstream = answering(OK);
    let server = proxy(to(&upstream));
    let ended = raw(&server, &method("OPTIONS", "0"));
    assert!(ended.starts_with("HTTP/1.1 204 "), "{ended}");
    let ended = raw(&server, &method("TRACE", "0"));
    assert!(ended.starts_with("HTTP/1.1 501 "), "{ended}");
    assert_eq!(upstream.accepted(), 0);
}
