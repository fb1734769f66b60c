//! Framing through a forward: generated for each side from what it speaks, never copied.

use super::client_script::{answering, script};
use super::forward::{proxy, raw, relayed, to};

/// What a client gets, without the fields that are not about its body.
fn answer(request: &str, upstream: &'static str) -> String {
    let upstream = answering_and_closing(upstream);
    let whole = raw(&proxy(to(&upstream)), request);
    let (head, body) = whole.split_once("\r\n\r\n").expect("a head");
    let framing = head.lines().skip(1).filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        ["Content-Length", "Transfer-Encoding", "Connection"].contains(&name)
    });
    let status = head.split(' ').nth(1).unwrap_or_default();
    let framing: Vec<_> = framing.collect();
    format!("{status} [{}] {body}", framing.join(", "))
}

/// An upstream that closes behind its answer.
fn answering_and_closing(answer: &'static str) -> super::client_script::Script {
    script(move |_, mut peer| {
        peer.head();
        peer.write(answer);
    })
}

#[test]
fn an_answer_is_framed_as_its_client_reads_it() {
    const NEW: &str = "GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const OLD: &str = "GET /f/x HTTP/1.0\r\nHost: a\r\n\r\n";
    const HEAD: &str = "HEAD /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (request, upstream, expected) in [
        (
            NEW,
            "HTTP/1.0 200 OK\r\n\r\nhello",
            "200 [Transfer-Encoding: chunked, Connection: close] 5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            OLD,
            "HTTP/1.0 200 OK\r\n\r\nhello",
            "200 [Connection: close] hello",
        ),
        (
            OLD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
            "200 [Connection: close] hello",
        ),
        (
            NEW,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            "200 [Content-Length: 5, Connection: close] hello",
        ),
        // What is too much is nobody's.
        (
            NEW,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloevil",
            "200 [Content-Length: 5, Connection: close] hello",
        ),
        (
            NEW,
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
            "200 [Content-Length: 5, Connection: close] hello",
        ),
        (
            NEW,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "200 [Content-Length: 0, Connection: close] ",
        ),
        (
            NEW,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "200 [Transfer-Encoding: chunked, Connection: close] 0\r\n\r\n",
        ),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "200 [Content-Length: 5, Connection: close] ",
        ),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200 [Connection: close] ",
        ),
        (HEAD, "HTTP/1.1 200 OK\r\n\r\n", "200 [Connection: close] "),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
            "200 [Content-Length: 5, Connection: close] ",
        ),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "200 [Connection: close] ",
        ),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
            "200 [Connection: close] ",
        ),
        (
            NEW,
            "HTTP/1.1 204 No Content\r\n\r\n",
            "204 [Connection: close] ",
        ),
        (
            NEW,
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nevil!",
            "204 [Connection: close] ",
        ),
        (
            NEW,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "304 [Connection: close] ",
        ),
        (
            NEW,
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            "205 [Content-Length: 0, Connection: close] ",
        ),
    ] {
        assert_eq!(answer(request, upstream), expected, "{request}{upstream}");
    }
}

#[test]
fn a_request_is_framed_by_the_body_it_has() {
    let head_of = |request: String| {
        let head = relayed(to, &request);
        let lines = head.lines().skip(1).filter(|line| {
            line.starts_with("Content-Length") || line.starts_with("Transfer-Encoding")
        });
        lines.map(str::to_owned).collect::<Vec<_>>().join(", ")
    };
    let with = |method: &str, rest: &str| {
        format!("{method} /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{rest}")
    };
    for (method, rest, expected) in [
        ("GET", "\r\n", ""),
        ("GET", "Content-Length: 0\r\n\r\n", ""),
        ("DELETE", "\r\n", ""),
        ("POST", "\r\n", "Content-Length: 0"),
        ("POST", "Content-Length: 0\r\n\r\n", "Content-Length: 0"),
        (
            "POST",
            "Content-Length: 005\r\n\r\nhello",
            "Content-Length: 5",
        ),
        ("GET", "Content-Length: 5\r\n\r\nhello", "Content-Length: 5"),
        (
            "PUT",
            "Transfer-Encoding: CHUNKED\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked",
        ),
    ] {
        assert_eq!(head_of(with(method, rest)), expected, "{method} {rest}");
    }
}

#[test]
fn what_an_upstream_says_of_its_own_connection_is_not_said_to_clients() {
    let upstream = answering(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok",
    );
    let server = proxy(to(&upstream));
    let twice = "GET /f/x HTTP/1.1\r\nHost: a\r\n\r\nGET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = raw(&server, twice);
    assert_eq!(answers.matches("\r\n\r\nok").count(), 2, "{answers}");
    assert!(!answers.contains("Keep-Alive"), "{answers}");
    assert_eq!(upstream.accepted(), 2);
}
