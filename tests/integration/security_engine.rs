//! Attacks on the engine, each by name.
//!
//! | attack | where it was seen | test |
//! |---|---|---|
//! | a request behind a request with two lengths | RUSTSEC-2021-0081, hyper 1.11, CVE-2022-1705 | `engine_wire::lengths_that_two_parsers_could_read_differently` |
//! | `chunked` twice, in a list, misspelt, with HTTP/1.0 | RUSTSEC-2021-0020, RUSTSEC-2020-0031, CVE-2019-16276 | the same |
//! | signs, prefixes and overflow in sizes | RUSTSEC-2021-0078, RUSTSEC-2021-0079, CVE-2023-40225 | the same, `engine_wire::malformed_chunks` |
//! | bare line ends, empty size lines, spaces in chunk framing | CVE-2025-22871, hyper 829153865 | `engine_wire::malformed_chunks` |
//! | a malformed chunk that ends the process | robyn 0.88 | [`malformed_bodies_end_their_connection_and_nothing_else`] |
//! | an unread body taken for a request | RUSTSEC-2020-0093, RUSTSEC-2025-0037 | `engine_limits::a_body_that_nobody_reads_is_drained_or_the_connection_closed` |
//! | a body that is skipped after a refused `Expect` | CVE-2024-24791 | `engine_limits::who_waits_for_leave_is_let_in_or_told_otherwise` |
//! | a request behind an upgrade that did not happen | RUSTSEC-2026-0033 | `engine_wire::requests` |
//! | names that end early, or with a space | CVE-2023-25725, CVE-2019-16276 | `engine_wire::malformed_heads` |
//! | a `Host` that is two, or a path | RFC 9112 section 3.2 | `engine_wire::targets_and_hosts` |
//! | CR and LF in an answer's fields | CVE-2012-2374, RUSTSEC-2017-0002 | [`an_answer_cannot_be_split`] |
//! | a reason phrase as a vehicle | CVE-2025-67724 | [`an_answer_cannot_be_split`]: there is none to set |
//! | control bytes in the log | RUSTSEC-2025-0055, CVE-2026-42507 | `engine_wire::malformed_heads`: they are refused; `squall::log` escapes the rest |
//! | chunk extensions without end | CVE-2023-39326 | `engine_limits::each_size_has_a_name_and_an_answer` |
//! | heads, fields, targets, trailers without end | CVE-2021-31525 | the same |
//! | bodies without end | RUSTSEC-2022-0055 | the same |
//! | an answer that is cut and looks whole, with HTTP/1.0 | Tornado 6.5.9 | [`an_answer_that_only_its_connection_ends_is_never_cut_to_look_whole`] |
//! | many fields, each costing more than the last | CVE-2025-67725 | [`a_head_costs_what_its_bytes_cost`] |
//! | a head, a body, an answer at a byte a second | slowloris, R.U.D.Y., slow read | `engine_timeouts`, `conformance::slowhttptest` |
//! | silence before a protocol is known | CVE-2026-56853 | `engine_timeouts::an_idle_connection_is_closed_without_a_word` |
//! | pipelining without end | aiohttp 3.14.1 | [`a_pipelining_client_is_read_no_further_than_it_is_answered`] |
//! | a peer that closes its half early | hyper 1.10.1 | [`a_half_closed_connection_costs_no_cpu`] |
//! | connections without end | axum#2400 | `engine_limits`, `engine_descriptors` |

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use squall::testing::{TestResponse, TestServer};
use squall::{
    Application, Body, BodyError, Bytes, Error, Headers, Json, Multipart, Path, Response, Result,
    StatusCode, any, get, post,
};

use super::latch::{Latch, told};

#[test]
fn malformed_bodies_end_their_connection_and_nothing_else() {
    async fn bytes(body: Bytes) -> String {
        body.len().to_string()
    }
    async fn text(body: String) -> String {
        body
    }
    async fn json(Json(body): Json<serde_json::Value>) -> String {
        body.to_string()
    }
    async fn form(mut form: Multipart) -> Result<String> {
        let mut parts = 0;
        while form.next_part().await?.is_some() {
            parts += 1;
        }
        Ok(parts.to_string())
    }
    async fn echo(body: Body) -> Response {
        Response::new(StatusCode::OK, body)
    }
    let server = TestServer::start(
        Application::new()
            .route("/bytes", post(bytes))
            .route("/text", post(text))
            .route("/json", post(json))
            .route("/form", post(form))
            .route("/echo", post(echo))
            .route("/alive", async || "alive"),
    );
    for (path, content_type) in [
        ("/bytes", "application/octet-stream"),
        ("/text", "text/plain"),
        ("/json", "application/json"),
        ("/form", "multipart/form-data; boundary=b"),
    ] {
        for body in [
            "x\r\n",
            "1\r\nab",
            "ffffffffffffffff1\r\n",
            "1;\0",
            "0\r\nx\r\n\r\n",
        ] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            );
            let answer = TestResponse::parse(&server.raw(request.as_bytes()));
            assert_eq!(answer.status, 400, "{path} {body:?}: {}", answer.text());
            assert_eq!(
                answer.header("connection"),
                Some("close"),
                "{path} {body:?}"
            );
        }
    }
    // An answer that has begun is cut: it must not look whole.
    let request = "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx";
    let answer = server.raw(request.as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(!answer.ends_with(b"0\r\n\r\n"));
    assert_eq!(server.get("/alive").text(), "alive");
}

#[test]
fn an_answer_that_only_its_connection_ends_is_never_cut_to_look_whole() {
    /// Pieces of those lengths; none is a failure.
    async fn breaks(Path(lengths): Path<String>) -> Response {
        let lengths: Vec<usize> = lengths.split(',').map_while(|n| n.parse().ok()).collect();
        let mut pieces = lengths.into_iter().map(|length| match length {
            0 => Err(BodyError::other("it breaks off")),
            _ => Ok(Bytes::from(vec![b'x'; length])),
        });
        let body = Body::from_fn(move || {
            let piece = pieces.next();
            async move { piece }
        });
        Response::new(StatusCode::OK, body)
    }
    let server = TestServer::start(Application::new().route("/{lengths}", breaks));
    let answer = |lengths: &str| {
        let mut tcp = server.connect();
        write!(tcp, "GET /{lengths} HTTP/1.0\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        let end = tcp.read_to_end(&mut answer).map_err(|error| error.kind());
        (String::from_utf8_lossy(&answer).into_owned(), end)
    };
    let (whole, end) = answer("100000,100000");
    let shown: String = whole.chars().take(400).collect();
    assert!(
        whole.len() > 200_000 && end == Ok(whole.len()),
        "{end:?} {shown}"
    );
    for lengths in ["5,0", "0", "100000,0"] {
        let (_, end) = answer(lengths);
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "{lengths}");
    }
}

#[test]
fn an_answer_cannot_be_split() {
    let injections = [
        "a\r\nX-Injected: 1",
        "a\nX-Injected: 1",
        "a\rX-Injected: 1",
        "a\0",
        "a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ];
    let mut headers = Headers::new();
    for injection in injections {
        assert!(headers.set("X-A", injection).is_err(), "{injection:?}");
        assert!(headers.append(injection, "a").is_err(), "{injection:?}");
    }
    assert_eq!(headers.iter().count(), 0);

    async fn reflects(
        squall::Query(value): squall::Query<Vec<(String, String)>>,
    ) -> Result<Response> {
        let mut response = Response::new(StatusCode::OK, "reflected");
        for (name, value) in &value {
            response.headers_mut().set(name, value)?;
        }
        Ok(response)
    }
    async fn shows(squall::Query(value): squall::Query<Vec<(String, String)>>) -> Result<()> {
        let detail = value
            .into_iter()
            .map(|(_, value)| value)
            .collect::<String>();
        Err(Error::status(StatusCode::BAD_REQUEST).show(detail))
    }
    async fn sends(squall::Query(value): squall::Query<Vec<(String, String)>>) -> squall::Redirect {
        squall::Redirect::to(
            value
                .into_iter()
                .map(|(_, value)| value)
                .collect::<String>(),
        )
    }
    let server = TestServer::start(
        Application::new()
            .route("/reflects", reflects)
            .route("/shows", shows)
            .route("/sends", sends),
    );
    let escaped = "a%0d%0aX-Injected:%201%0d%0a%0d%0aHTTP/1.1%20200%20OK";
    for target in [
        format!("/reflects?X-A={escaped}"),
        format!("/reflects?{escaped}=a"),
        format!("/shows?x={escaped}"),
        format!("/sends?x=/{escaped}"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let answers = server.raw(request.as_bytes());
        let answer = TestResponse::parse(&answers);
        assert_ne!(answer.status, 200, "{target}");
        assert_eq!(answer.header("x-injected"), None, "{target}");
        let text = String::from_utf8_lossy(&answers);
        assert!(!text.contains("\r\nX-Injected"), "{target}: {text}");
    }
}

#[test]
fn a_head_costs_what_its_bytes_cost() {
    let mut settings = squall::Settings::default();
    settings.server.max_header_size = 4 << 20;
    let server = TestServer::start(
        Application::new()
            .route("/", async || "here")
            .settings(settings),
    );
    // A megabyte of value, byte by byte as far as the parser is concerned: were each
    // piece looked at from the start, these would be a hundred billion steps.
    let mut tcp = server.connect();
    tcp.set_nodelay(true).expect("a socket");
    let begun = Instant::now();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nX: ")
        .expect("sent");
    for _ in 0..2_000 {
        tcp.write_all(&[b'a'; 500]).expect("sent");
    }
    tcp.write_all(b"\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("an answer");
    assert_eq!(TestResponse::parse(&answer).status, 200);
    assert!(begun.elapsed() < Duration::from_secs(20));
    // Many fields are refused before they are all there.
    let flood = format!(
        "GET / HTTP/1.1\r\nHost: t\r\n{}\r\n",
        "a: b\r\n".repeat(20_000)
    );
    assert_eq!(
        TestResponse::parse(&server.raw(flood.as_bytes())).status,
        431
    );
}

#[test]
fn a_pipelining_client_is_read_no_further_than_it_is_answered() {
    let (told, hears) = told();
    let latch = Latch::default();
    let held = latch.clone();
    let waits = move || {
        let (told, latch) = (told.clone(), held.clone());
        async move {
            told.say("begun");
            let _ = squall::run_on_executor(move || latch.block()).await;
            "done"
        }
    };
    let server = TestServer::start(Application::new().route("/", get(waits)));
    let mut tcp = server.connect();
    tcp.set_write_timeout(Some(Duration::from_millis(300)))
        .expect("a socket");
    let requests = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n".repeat(40_000);
    let mut sent = 0;
    // Both sockets' buffers fill; then nobody takes any more of it.
    while let Ok(written) = tcp.write(&requests) {
        sent += written;
        assert!(sent < 256 << 20, "the server reads without end");
    }
    assert_eq!(hears.next(), "begun");
    latch.open();
    let mut answer = [0; 15];
    tcp.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[test]
fn a_half_closed_connection_costs_no_cpu() {
    // The body will never be complete: that is an answer, not a wait.
    let server = TestServer::start(
        Application::new().route("/", any(async |body: Bytes| body.len().to_string())),
    );
    let mut tcp = server.connect();
    tcp.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc")
        .expect("sent");
    tcp.shutdown(Shutdown::Write).expect("a socket");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("an answer");
    assert_eq!(TestResponse::parse(&answer).status, 400);
}
