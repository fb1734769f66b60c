//! The engine, byte for byte: what is a request, and what is refused.
//!
//! Each case is sent in one piece and byte by byte, with a request behind it that must
//! never be answered when the case is refused: what is refused closes its connection.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use squall::testing::TestServer;
use squall::{Application, Body, Request, Response, Result, State, StatusCode, any};

/// Requests to `/behind`, which come behind the cases.
#[derive(Default)]
struct Behind(AtomicUsize);

/// Answers with what was read: method, target, host and body.
async fn seen(State(behind): State<Arc<Behind>>, mut request: Request) -> Result<Response> {
    if request.path() == "/behind" {
        behind.0.fetch_add(1, Ordering::SeqCst);
    }
    let mut body = Vec::new();
    while let Some(piece) = request.body_mut().chunk().await {
        body.extend_from_slice(&piece?);
    }
    let host = request.host().unwrap_or("-");
    let mut seen = format!("{} {} {host} ", request.method(), request.target()).into_bytes();
    seen.append(&mut body);
    Ok(Response::new(StatusCode::OK, Body::from(seen)))
}

fn server() -> (TestServer, Arc<Behind>) {
    let behind = Arc::new(Behind::default());
    let application = Application::new()
        .route("/{*path}", any(seen))
        .route("/", any(seen))
        .state(behind.clone());
    (TestServer::start(application), behind)
}

const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

/// Sends the case and [`BEHIND`], in one piece or byte by byte; everything that comes
/// back until the server closes.
fn exchange(server: &TestServer, case: &[u8], piece: usize) -> Vec<u8> {
    let mut tcp = server.connect();
    tcp.set_nodelay(true).expect("a socket");
    let request = [case, BEHIND].concat();
    for piece in request.chunks(piece) {
        // The server may have answered and closed.
        if tcp.write_all(piece).is_err() {
            break;
        }
    }
    let mut answers = Vec::new();
    let read = tcp.read_to_end(&mut answers);
    assert!(read.is_ok() || !answers.is_empty(), "no answer: {read:?}");
    answers
}

/// The statuses of the final answers, in order.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answers);
    text.split("HTTP/1.")
        .skip(1)
        .filter_map(|answer| answer.split(' ').nth(1)?.parse().ok())
        .filter(|status| *status >= 200)
        .collect()
}

/// Cases are refused with this status, and nothing behind them is read.
#[track_caller]
fn refuses(status: u16, cases: &[(&str, &[u8])]) {
    let (server, behind) = server();
    for (name, case) in cases {
        for piece in [usize::MAX, 1] {
            let answers = exchange(&server, case, piece);
            let text = String::from_utf8_lossy(&answers);
            assert_eq!(statuses(&answers), [status], "{name}, by {piece}: {text}");
            assert!(text.contains("\r\nConnection: close\r\n"), "{name}: {text}");
            assert!(text.contains("\r\nContent-Length: "), "{name}: {text}");
        }
    }
    assert_eq!(behind.0.load(Ordering::SeqCst), 0, "nothing was smuggled");
}

/// Cases are answered with 200 and these words, and so is what comes behind them.
#[track_caller]
fn accepts(cases: &[(&str, &[u8], &str)]) {
    let (server, behind) = server();
    for (name, case, expected) in cases {
        for piece in [usize::MAX, 1] {
            let answers = exchange(&server, case, piece);
            let text = String::from_utf8_lossy(&answers);
            assert_eq!(statuses(&answers), [200, 200], "{name}, by {piece}: {text}");
            assert!(text.contains(expected), "{name}, by {piece}: {text}");
        }
    }
    let expected = 2 * cases.len();
    assert_eq!(behind.0.load(Ordering::SeqCst), expected, "each was framed");
}

#[test]
fn requests() {
    accepts(&[
        ("plain", b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a a "),
        (
            "an empty line before",
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / a ",
        ),
        (
            "a minor version above ours",
            b"GET / HTTP/1.9\r\nHost: a\r\n\r\n",
            "GET / a ",
        ),
        (
            "HTTP/1.0 that asks to go on, without Host",
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET / - ",
        ),
        (
            "an unknown method",
            b"PURGE / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PURGE / a ",
        ),
        (
            "methods have case",
            b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
            "get / a ",
        ),
        (
            "absolute form: its host wins",
            b"GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b:81/x?y b:81 ",
        ),
        ("an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET /  "),
        (
            "an IPv6 Host",
            b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            "GET / [::1]:80 ",
        ),
        (
            "space around a value",
            b"GET / HTTP/1.1\r\nHost: \t a \t\r\nX: \t\r\n\r\n",
            "GET / a ",
        ),
        (
            "bytes above ASCII in a value",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xe9\r\n\r\n",
            "GET / a ",
        ),
        (
            "a counted body",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc",
            "POST / a abc",
        ),
        (
            "a body that looks like a request",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 21\r\n\r\nGET /b HTTP/1.1\r\nHost",
            "GET /b HTTP/1.1\r\nHost",
        ),
        (
            "a body of a GET",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na",
            "GET / a a",
        ),
        (
            "chunks",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n00B\r\nbcdefghijkl\r\n0\r\n\r\n",
            "POST / a abcdefghijkl",
        ),
        (
            "chunks with extensions",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b;c\r\na\r\n1 ; x = \"q\\\"\"\r\nb\r\n0;z\r\n\r\n",
            "200",
        ),
        (
            "trailers",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n",
            "POST / a a",
        ),
        (
            "close in a longer word is no close",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed, x-close\r\n\r\n",
            "GET / a ",
        ),
        (
            "Expect of a client that does not wait",
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\na",
            "POST / a a",
        ),
        (
            "HTTP/1.0 has no expectations",
            b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: x\r\nContent-Length: 1\r\n\r\na",
            "POST / - a",
        ),
        (
            "an underscore makes another field",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nContent-Length: 1\r\n\r\na",
            "POST / a a",
        ),
        (
            "an upgrade that is not done",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\na",
            "GET / a a",
        ),
    ]);
}

#[test]
fn malformed_heads() {
    refuses(
        400,
        &[
            ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("no version", b"GET /\r\nHost: a\r\n\r\n"),
            ("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a space behind", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
            ("a space before", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a tab", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                "a space in the target",
                b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "a method with a colon",
                b"G:T / HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("lower case http", b"GET / http/1.1\r\nHost: a\r\n\r\n"),
            ("a long version", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
            ("a comma version", b"GET / HTTP/1,1\r\nHost: a\r\n\r\n"),
            (
                "a bare LF in the request line",
                b"GET / HTTP/1.1\nHost: a\r\n\r\n",
            ),
            (
                "a bare LF in a field line",
                b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            ),
            ("a bare LF at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
            (
                "a bare CR in a value",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            ),
            (
                "a NUL in a value",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            ),
            (
                "a control in a value",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x07b\r\n\r\n",
            ),
            (
                "a DEL in a value",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
            ),
            (
                "a folded value",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
            ),
            (
                "a folded first line",
                b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n",
            ),
            (
                "a space before the colon",
                b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
            ),
            (
                "a tab before the colon",
                b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n",
            ),
            ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
            ("no name", b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n"),
            (
                "a name above ASCII",
                b"GET / HTTP/1.1\r\nHost: a\r\nX\xe9: a\r\n\r\n",
            ),
            (
                "a NUL in a name",
                b"GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n",
            ),
            (
                "a name in parentheses",
                b"GET / HTTP/1.1\r\nHost: a\r\n(X): a\r\n\r\n",
            ),
            (
                "many empty lines",
                b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "an empty line that is a bare LF",
                b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "a TLS handshake",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            ),
        ],
    );
    refuses(
        505,
        &[
            ("HTTP/2 in words", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
            ("HTTP/0.9 in words", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
        ],
    );
}

#[test]
fn targets_and_hosts() {
    refuses(
        400,
        &[
            ("a relative path", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a fragment", b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a backslash", b"GET /\\a HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                "bytes above ASCII",
                b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            ("a NUL", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("an encoded NUL", b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("half an escape", b"GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("no escape", b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("* of a GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                "an authority of a GET",
                b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "another scheme",
                b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "a user in the target",
                b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "no host in the target",
                b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "CONNECT of a path",
                b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            ("no Host", b"GET / HTTP/1.1\r\n\r\n"),
            ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
            (
                "two Hosts, absolute",
                b"GET http://a/ HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
            ),
            ("a list of hosts", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            ("a path in Host", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            ("a user in Host", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
            ("a space in Host", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
            (
                "a port that is no number",
                b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            ),
            (
                "a port above 65535",
                b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
            ),
            (
                "a bad Host in HTTP/1.0",
                b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n",
            ),
        ],
    );
    refuses(
        501,
        &[(
            "a proxy's work",
            b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        )],
    );
}

#[test]
fn lengths_that_two_parsers_could_read_differently() {
    let case = |fields: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}").into_bytes()
    };
    let lengths = [
        "+5",
        "-5",
        "0x5",
        "5_0",
        "5 5",
        "5,5",
        "5, 5",
        "5.0",
        "5;a",
        "a",
        "\"5\"",
        "",
        "\u{665}",
        "18446744073709551616",
        "99999999999999999999999",
        "5\u{b}",
        "%35",
        "5e0",
        "0b1",
        "0o5",
    ];
    let codings = [
        "gzip",
        "xchunked",
        "chunkedx",
        "identity",
        "chunked, chunked",
        "chunked, gzip",
        ",chunked",
        "chunked,",
        ", chunked",
        "chunked;a=b",
        "\"chunked\"",
        "",
        "chunked\u{b}",
        "\u{a0}chunked",
        "chunked chunked",
        "identity, chunked",
        "chunked, identity",
        "chunk ed",
    ];
    let mut cases = Vec::new();
    for length in lengths {
        cases.push((
            format!("Content-Length {length:?}"),
            case(&format!("Content-Length: {length}"), "hello"),
        ));
    }
    for coding in codings {
        let field = format!("Transfer-Encoding: {coding}");
        cases.push((
            format!("Transfer-Encoding {coding:?}"),
            case(&field, "5\r\nhello\r\n0\r\n\r\n"),
        ));
    }
    for (name, fields) in [
        ("both", "Content-Length: 5\r\nTransfer-Encoding: chunked"),
        (
            "both, the other way round",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
        ),
        (
            "a length of zero and chunks",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
        ),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6"),
        (
            "the same length twice",
            "Content-Length: 5\r\nContent-Length: 5",
        ),
        (
            "two codings",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ),
        (
            "a coding in two fields",
            "Transfer-Encoding: chunked\r\ntransfer-encoding: identity",
        ),
        (
            "an empty length behind",
            "Content-Length: 5\r\nContent-Length:",
        ),
        ("a folded coding", "Transfer-Encoding:\r\n chunked"),
        ("a length behind a bare CR", "X: a\rContent-Length: 5"),
        (
            "a coding behind a bare LF",
            "X: a\nTransfer-Encoding: chunked",
        ),
    ] {
        cases.push((name.to_owned(), case(fields, "5\r\nhello\r\n0\r\n\r\n")));
    }
    cases.push((
        "chunks of HTTP/1.0".to_owned(),
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_vec(),
    ));
    let cases: Vec<_> = (cases.iter())
        .map(|(name, case)| (&**name, &**case))
        .collect();
    refuses(400, &cases);
    let unknown = case("Transfer-Encoding: gzip, chunked", "0\r\n\r\n");
    refuses(501, &[("a coding we do not know", &unknown)]);
}

#[test]
fn malformed_chunks() {
    let cases: Vec<_> = [
        "\r\n",
        "g\r\n",
        "0x1\r\na\r\n",
        "+1\r\na\r\n",
        "-1\r\na\r\n",
        "1_0\r\na\r\n",
        " 1\r\na\r\n",
        "\t1\r\na\r\n",
        "1\na\r\n",
        "1\r\na\n",
        "1\r\nab\r\n",
        "1\r\n\r\na",
        "1\ra\r\n",
        "1;\na\r\n",
        "1;a\nb\r\na\r\n",
        "1;a=\"b\r\na\r\n",
        "1;=b\r\na\r\n",
        "1 a\r\na\r\n",
        "1,1\r\na\r\n",
        "1;a=b c\r\na\r\n",
        "1;\0\r\na\r\n",
        "1.0\r\na\r\n",
        "10000000000000000\r\na\r\n",
        "fffffffffffffffff\r\na\r\n",
        "00000000000000001\r\na\r\n",
        "1\r\na\r\n\r\n0\r\n\r\n",
        "1\r\naX\r\n0\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX: a\0b\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n: y\r\n\r\n",
        "0\r\nX: a\r\n b\r\n\r\n",
        "1\u{660}\r\na\r\n",
        "\"1\"\r\na\r\n",
    ]
    .map(|body| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        (format!("{body:?}"), format!("{head}{body}").into_bytes())
    })
    .into();
    let cases: Vec<_> = (cases.iter())
        .map(|(name, case)| (&**name, &**case))
        .collect();
    refuses(400, &cases);
}

#[test]
fn expectations_that_nobody_can_meet() {
    refuses(
        417,
        &[
            ("another", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na"),
            ("two", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\nContent-Length: 1\r\n\r\na"),
            ("an obfuscated one", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: y 100-continue\r\nContent-Length: 1\r\n\r\na"),
            ("an empty one", b"POST / HTTP/1.1\r\nHost: a\r\nExpect:\r\nContent-Length: 1\r\n\r\na"),
        ],
    );
}

#[test]
fn answers_have_the_framing_of_their_requests() {
    let (server, _) = server();
    let head = exchange(&server, b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", usize::MAX);
    let text = String::from_utf8_lossy(&head);
    let (first, behind) = text.split_once("\r\n\r\n").expect("a head");
    assert!(first.contains("\r\nContent-Length: 10"), "{text}");
    assert!(behind.starts_with("HTTP/1.1 200"), "no body: {text}");

    let refused = b"HEAD /x HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n";
    let refused = exchange(&server, refused, usize::MAX);
    let refused = String::from_utf8_lossy(&refused);
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(!refused.contains("\r\nContent-Length: 0"), "{refused}");
    assert!(refused.ends_with("\r\n\r\n"), "no body: {refused}");

    let old = b"GET / HTTP/1.0\r\n\r\n";
    let answers = exchange(&server, old, usize::MAX);
    assert_eq!(statuses(&answers), [200], "HTTP/1.0 ends with one answer");

    let close = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n";
    let answers = exchange(&server, close, usize::MAX);
    assert_eq!(statuses(&answers), [200], "what was asked is done");

    let asterisk = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(statuses(&exchange(&server, asterisk, 1)), [204, 200]);

    let pipelined = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let answers = exchange(&server, &pipelined, usize::MAX);
    assert_eq!(statuses(&answers).len(), 101);
}
