//! What the client makes of answers, byte for byte: which it takes, how much of them, and
//! whether their connection is used again.
//!
//! Every answer comes twice in one piece and twice byte by byte, which must not matter. A
//! connection that carried a broken answer is never used again.

mod bodyless;
mod chunks;
mod codings;
mod heads;

use squall::client::{AsyncHttpClient, FetchError, HttpRequest};
use squall_tests::on_two_lanes;

use super::client_script::script;

/// What the server does behind its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    Reset,
}
use Then::{Close, Keep, Reset};

/// What has to come of it.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// A status, a body, and the connection is used again.
    Reused(u16, &'static str),
    /// The same, and it is not.
    Closed(u16, &'static str),
    Refused,
}
use Expected::{Closed, Refused, Reused};

const HELLO: Expected = Reused(200, "hello");
const LAST_HELLO: Expected = Closed(200, "hello");

/// The status and the body.
type Outcome = Result<(u16, Vec<u8>), FetchError>;

/// Two fetches of one client, and how many connections they took.
fn fetched(method: &'static str, wire: Vec<u8>, then: Then, drips: bool) -> (Vec<Outcome>, usize) {
    let server = script(move |_, mut peer| {
        while peer.head().is_some() {
            for piece in wire.chunks(if drips { 1 } else { usize::MAX }) {
                peer.write(piece);
            }
            match then {
                Keep => {}
                Close => return,
                Reset => return peer.reset(),
            }
        }
    });
    let url = server.url("/");
    let outcomes = on_two_lanes(async move {
        let client = AsyncHttpClient::new();
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            let request = HttpRequest::new(&url).method(method.parse().expect("a method"));
            outcomes.push(match client.fetch(request).await {
                Ok(mut response) => {
                    let body = response.bytes().await;
                    body.map(|body| (response.code(), body.to_vec()))
                }
                Err(error) => Err(error),
            });
        }
        outcomes
    });
    (outcomes, server.accepted())
}

#[track_caller]
fn check(method: &'static str, wire: &[u8], then: Then, expected: Expected) {
    for drips in [false, true] {
        let (outcomes, connections) = fetched(method, wire.to_vec(), then, drips);
        let case = format!("{method} {} {then:?}", wire.escape_ascii());
        for outcome in outcomes {
            match (&outcome, expected) {
                (Ok((code, body)), Reused(status, text) | Closed(status, text)) => {
                    assert_eq!((*code, &body[..]), (status, text.as_bytes()), "{case}");
                }
                (Err(error), Refused) => assert!(!error.is_timeout(), "{case}: {error}"),
                _ => panic!("{case}: {outcome:?}, not {expected:?}"),
            }
        }
        let reused = matches!(expected, Reused(..));
        assert_eq!(connections, if reused { 1 } else { 2 }, "{case}");
    }
}

/// Answers to GET whose first line and last empty line are as usual.
#[track_caller]
fn fields(cases: &[(&str, &str, Then, Expected)]) {
    for (fields, body, then, expected) in cases {
        let wire = format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}");
        check("GET", wire.as_bytes(), *then, *expected);
    }
}

/// Bodies in chunks.
#[track_caller]
fn chunked(cases: &[(&str, Then, Expected)]) {
    for (body, then, expected) in cases {
        fields(&[("Transfer-Encoding: chunked\r\n", body, *then, *expected)]);
    }
}

#[test]
fn a_length_is_one_number() {
    for length in ["5", " 5", "\t5 \t", "005", "5, 5", "5 ,5", "5, 5, 05"] {
        fields(&[(
            &format!("Content-Length: {length}\r\n"),
            "hello",
            Keep,
            HELLO,
        )]);
    }
    let twice = "Content-Length: 5\r\ncontent-length: 5\r\n";
    fields(&[(twice, "hello", Keep, HELLO)]);
    let zeros = format!("Content-Length: {}5\r\n", "0".repeat(40));
    fields(&[(&zeros, "hello", Keep, HELLO)]);
    for length in [
        "",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5_",
        "5.0",
        "5e0",
        "5 5",
        "5;",
        "5,",
        ",5",
        "5, 6",
        "\"5\"",
        "five",
        "\u{a0}5",
        "18446744073709551616",
        "99999999999999999999999",
        "5\x0b",
        "5\0",
        "5\r0",
        "5/1",
        "5h",
        "5, 5, 6",
        "5\r\nContent-Length:",
        "5\r\nContent-Length: 5\r\nContent-Length: 4",
        "9223372036854775808",
    ] {
        let bytes: Vec<u8> = length.chars().map(|char| char as u8).collect();
        let head = [
            b"HTTP/1.1 200 OK\r\nContent-Length: ",
            &bytes[..],
            b"\r\n\r\nhello",
        ];
        check("GET", &head.concat(), Close, Refused);
    }
    fields(&[
        (
            "Content-Length: 4\r\nContent-Length: 5\r\n",
            "hello",
            Close,
            Refused,
        ),
        ("Content-Length : 5\r\n", "hello", Close, Refused),
        ("Content-Length\r\n", "hello", Close, Refused),
        ("Content Length: 5\r\n", "hello", Close, Refused),
        // Nobody else's name, whatever it looks like.
        (
            "Content_Length: 5\r\nContent-Length: 5\r\n",
            "hello",
            Keep,
            HELLO,
        ),
    ]);
}

#[test]
fn a_body_that_is_cut_short_is_none() {
    for then in [Close, Reset] {
        fields(&[
            ("Content-Length: 10\r\n", "hello", then, Refused),
            (
                "Content-Length: 18446744073709551615\r\n",
                "hello",
                then,
                Refused,
            ),
        ]);
        chunked(&[
            ("", then, Refused),
            ("5", then, Refused),
            ("5\r\n", then, Refused),
            ("5\r\nhel", then, Refused),
            ("5\r\nhello", then, Refused),
            ("5\r\nhello\r\n", then, Refused),
            ("5\r\nhello\r\n0\r\n", then, Refused),
            ("5\r\nhello\r\n0\r\nX: y\r\n", then, Refused),
        ]);
    }
    for head in [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n",
        "HTT",
        "HTTP/1.1 200",
    ] {
        check("GET", head.as_bytes(), Close, Refused);
        check("GET", head.as_bytes(), Reset, Refused);
    }
}

#[test]
fn a_body_without_a_length_ends_with_its_connection() {
    fields(&[
        ("", "hello", Close, LAST_HELLO),
        ("Connection: keep-alive\r\n", "hello", Close, LAST_HELLO),
        ("", "", Close, Closed(200, "")),
    ]);
    for head in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
    ] {
        check("GET", format!("{head}hello").as_bytes(), Close, LAST_HELLO);
    }
    // A reset may overtake what was sent; an end it is not.
    let (outcomes, _) = fetched(
        "GET",
        b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec(),
        Reset,
        false,
    );
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
}

#[test]
fn a_connection_lives_on_only_where_both_sides_say_so() {
    for close in [
        "close",
        "CLOSE",
        "keep-alive, close",
        "close, keep-alive",
        "a\r\nConnection: close",
        ", ,close",
    ] {
        let field = format!("Connection: {close}\r\nContent-Length: 5\r\n");
        fields(&[(&field, "hello", Keep, LAST_HELLO)]);
    }
    for open in ["keep-alive", "upgrade", "closed", "x-close", ""] {
        let field = format!("Connection: {open}\r\nContent-Length: 5\r\n");
        fields(&[(&field, "hello", Keep, HELLO)]);
    }
    let old = |fields: &str| format!("HTTP/1.0 200 OK\r\n{fields}Content-Length: 5\r\n\r\nhello");
    check("GET", old("").as_bytes(), Keep, LAST_HELLO);
    check(
        "GET",
        old("Connection: Keep-Alive\r\n").as_bytes(),
        Keep,
        HELLO,
    );
    check(
        "GET",
        old("Connection: Keep-Alive, close\r\n").as_bytes(),
        Keep,
        LAST_HELLO,
    );
    fields(&[
        (
            "Keep-Alive: timeout=0\r\nContent-Length: 5\r\n",
            "hello",
            Keep,
            LAST_HELLO,
        ),
        (
            "Keep-Alive: timeout=1\r\nContent-Length: 5\r\n",
            "hello",
            Keep,
            LAST_HELLO,
        ),
        (
            "Keep-Alive: timeout=x\r\nContent-Length: 5\r\n",
            "hello",
            Keep,
            HELLO,
        ),
    ]);
}

#[test]
fn what_follows_an_answer_is_never_the_next_one() {
    let second = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (method, answer, status, text) in [
        (
            "GET",
            "200 OK\r\nContent-Length: 5\r\n\r\nhello",
            200,
            "hello",
        ),
        (
            "GET",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            200,
            "hello",
        ),
        ("HEAD", "200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, ""),
        ("GET", "204 No Content\r\n\r\n", 204, ""),
        ("GET", "304 Not Modified\r\n\r\n", 304, ""),
        ("GET", "200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
        (
            "GET",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
            200,
            "",
        ),
        (
            "HEAD",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            200,
            "",
        ),
        (
            "GET",
            "304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
            304,
            "",
        ),
        ("GET", "200 OK\r\nContent-Length: 0\r\n\r\n\r\n", 200, ""),
    ] {
        let wire = format!("HTTP/1.1 {answer}{second}");
        let (outcomes, connections) = fetched(method, wire.into_bytes(), Keep, false);
        for outcome in outcomes {
            let (code, body) = outcome.expect("an answer");
            assert_eq!((code, &body[..]), (status, text.as_bytes()), "{answer}");
        }
        assert_eq!(connections, 2, "{answer}");
    }
}
