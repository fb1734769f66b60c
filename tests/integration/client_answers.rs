//! What the client makes of answers, byte for byte: which it takes, how much of them, and
//! whether their connection is used again.
//!
//! Every answer comes twice in one piece and twice byte by byte, which must not matter. A
//! connection that carried a broken answer is never used again.

use squall::client::{AsyncHttpClient, FetchError, HttpRequest};
use squall_tests::on_loop;

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
    let outcomes = on_loop(async move {
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
    for length in ["5", " 5", "\t5 \t", "005", "5, 5", "5 ,5"] {
        fields(&[(
            &format!("Content-Length: {length}\r\n"),
            "hello",
            Keep,
            HELLO,
        )]);
    }
    let twice = "Content-Length: 5\r\ncontent-length: 5\r\n";
    fields(&[(twice, "hello", Keep, HELLO)]);
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
fn some_answers_have_no_body_whatever_they_say() {
    for (method, head, expected) in [
        ("HEAD", "200 OK\r\nContent-Length: 5\r\n", Reused(200, "")),
        (
            "HEAD",
            "200 OK\r\nTransfer-Encoding: chunked\r\n",
            Reused(200, ""),
        ),
        ("HEAD", "200 OK\r\n", Reused(200, "")),
        (
            "HEAD",
            "404 Not Found\r\nContent-Length: 5\r\n",
            Reused(404, ""),
        ),
        ("GET", "204 No Content\r\n", Reused(204, "")),
        (
            "GET",
            "204 No Content\r\nContent-Length: 0\r\n",
            Reused(204, ""),
        ),
        ("GET", "304 Not Modified\r\n", Reused(304, "")),
        (
            "GET",
            "304 Not Modified\r\nContent-Length: 5\r\n",
            Reused(304, ""),
        ),
        (
            "GET",
            "205 Reset Content\r\nContent-Length: 0\r\n",
            Reused(205, ""),
        ),
        // It announces what it must not have: who knows what comes behind it.
        (
            "GET",
            "204 No Content\r\nContent-Length: 5\r\n",
            Closed(204, ""),
        ),
        (
            "GET",
            "204 No Content\r\nTransfer-Encoding: chunked\r\n",
            Closed(204, ""),
        ),
    ] {
        check(
            method,
            format!("HTTP/1.1 {head}\r\n").as_bytes(),
            Keep,
            expected,
        );
    }
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

#[test]
fn codings_of_the_transfer_are_chunked_and_nothing_else() {
    const FIVE: &str = "5\r\nhello\r\n0\r\n\r\n";
    for coding in ["chunked", "CHUNKED", " chunked\t"] {
        fields(&[(
            &format!("Transfer-Encoding: {coding}\r\n"),
            FIVE,
            Keep,
            HELLO,
        )]);
    }
    for coding in [
        "",
        "xchunked",
        "chunkedx",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        ", chunked",
        "chunked,",
        "chunked;q=1",
        "\"chunked\"",
        "\x0bchunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "gzip\r\nTransfer-Encoding: chunked",
        "chunked\r\nContent-Length: 5",
        "chunked\r\nContent-Length: 0",
    ] {
        fields(&[(
            &format!("Transfer-Encoding: {coding}\r\n"),
            FIVE,
            Close,
            Refused,
        )]);
    }
    fields(&[("Transfer-Encoding : chunked\r\n", FIVE, Close, Refused)]);
    let old = format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{FIVE}");
    check("GET", old.as_bytes(), Close, Refused);
}

#[test]
fn chunks_are_sized_in_plain_hexadecimal() {
    chunked(&[
        ("5\r\nhello\r\n0\r\n\r\n", Keep, HELLO),
        ("1\r\nh\r\n4\r\nello\r\n00\r\n\r\n", Keep, HELLO),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", Keep, HELLO),
        ("0\r\n\r\n", Keep, Reused(200, "")),
    ]);
    let ten = "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n";
    chunked(&[(ten, Keep, Reused(200, "01234567890123456789"))]);
    for size in [
        "",
        "+5",
        "-5",
        "0x5",
        "5_",
        " 5",
        "5 ",
        "\t5",
        "5\t",
        "5g",
        "g",
        "5,",
        "5.0",
        "\u{a0}5",
        "00000000000000005",
        "ffffffffffffffff5",
        "10000000000000005",
        "5\r",
        "5\0",
    ] {
        chunked(&[(&format!("{size}\r\nhello\r\n0\r\n\r\n"), Close, Refused)]);
    }
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        chunked(&[(body, Close, Refused)]);
    }
}

#[test]
fn extensions_of_chunks_are_read_over_and_counted() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        "; a = b",
        " ;a",
        ";a;b=c",
        ";a=\"\\\"\"",
        ";a=\"b;c\"",
        ";a=\"b c\"",
    ] {
        chunked(&[(
            &format!("5{extension}\r\nhello\r\n0;z\r\n\r\n"),
            Keep,
            HELLO,
        )]);
    }
    for extension in [
        ";a\nb",
        ";a\rb",
        ";a=\"b",
        ";a=\"b\nc\"",
        ";",
        ";;",
        ";=b",
        ";a=",
        ";a b",
        ";a\0",
        ";a=\"\r\n\"",
    ] {
        chunked(&[(
            &format!("5{extension}\r\nhello\r\n0\r\n\r\n"),
            Close,
            Refused,
        )]);
    }
    let long = |length: usize| format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(length));
    chunked(&[(&long(4000), Keep, HELLO), (&long(5000), Close, Refused)]);
}

#[test]
fn trailers_are_fields_and_frame_nothing() {
    for trailer in [
        "X: y\r\n",
        "X:\r\n",
        "X: y\r\nZ: \t z\r\n",
        "Content-Length: 99\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Connection: close\r\n",
    ] {
        chunked(&[(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n"), Keep, HELLO)]);
    }
    for trailer in [
        "X\r\n",
        ": y\r\n",
        "X : y\r\n",
        " X: y\r\n",
        "X: y\r\n z\r\n",
        "X: y\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "X\n: y\r\n",
    ] {
        chunked(&[(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n"), Close, Refused)]);
    }
    let many = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    chunked(&[
        (&many(100), Keep, Reused(200, "")),
        (&many(101), Close, Refused),
    ]);
}

#[test]
fn interim_answers_have_no_body_and_an_end() {
    const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nConnection: x\r\n\r\n",
        "HTTP/1.1 199 Who knows\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        check("GET", format!("{interim}{LAST}").as_bytes(), Keep, HELLO);
    }
    let ten = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10);
    check("GET", format!("{ten}{LAST}").as_bytes(), Keep, HELLO);
    for (wire, then) in [
        (format!("{ten}HTTP/1.1 100 Continue\r\n\r\n{LAST}"), Close),
        (
            "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nhi".to_owned() + LAST,
            Close,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                .to_owned(),
            Keep,
        ),
        (
            format!("HTTP/1.1 101 Switching Protocols\r\n\r\n{LAST}"),
            Keep,
        ),
        ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), Close),
    ] {
        check("GET", wire.as_bytes(), then, Refused);
    }
}

#[test]
fn the_first_line_has_three_digits_in_it() {
    const REST: &str = "\r\nContent-Length: 5\r\n\r\nhello";
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.1 200 a b\tc", 200),
        ("HTTP/1.1 299 None", 299),
        ("HTTP/1.1 599 None", 599),
        ("HTTP/1.1 999 None", 999),
        ("HTTP/1.2 200 OK", 200),
        ("\r\nHTTP/1.1 200 OK", 200),
    ] {
        check(
            "GET",
            format!("{line}{REST}").as_bytes(),
            Keep,
            Reused(status, "hello"),
        );
    }
    check(
        "GET",
        format!("HTTP/1.1 200 D\u{e9}j\u{e0}{REST}").as_bytes(),
        Keep,
        HELLO,
    );
    for line in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 000 X",
        "HTTP/1.1 099 X",
        "HTTP/1.1 -20 X",
        "HTTP/1.1 +20 X",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200OK",
        "HTTP/1.1",
        "HTTP/1.1 OK",
        "HTTP/1.11 200 OK",
        "HTTP/11 200 OK",
        "HTTP/1 200 OK",
        "HTTP/2 200",
        "HTTP/2.0 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "HTTPS/1.1 200 OK",
        "XHTTP/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "\nHTTP/1.1 200 OK",
        "ICY 200 OK",
        "SSH-2.0-OpenSSH_9",
        "<html>",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\x7fK",
        "GET / HTTP/1.1",
    ] {
        check("GET", format!("{line}{REST}").as_bytes(), Close, Refused);
    }
}

#[test]
fn fields_have_names_and_lines_have_ends() {
    const FIVE: &str = "Content-Length: 5\r\n";
    for field in [
        "X: a",
        "X:a",
        "X:",
        "X: \t",
        "X: a\tb",
        "x-y!#$%&'*+.^_`|~9: a",
    ] {
        fields(&[(&format!("{field}\r\n{FIVE}"), "hello", Keep, HELLO)]);
    }
    let latin = [
        b"HTTP/1.1 200 OK\r\nX: \xff\xe9\r\n",
        FIVE.as_bytes(),
        b"\r\nhello",
    ]
    .concat();
    check("GET", &latin, Keep, HELLO);
    for field in [
        "X",
        ": a",
        "X : a",
        "X\t: a",
        "X a: b",
        "\u{e9}: a",
        "X: a\0b",
        "X: a\x01b",
        "X: a\x7fb",
        "X: a\rb",
        "(X): a",
        "X\0: a",
        "\x0bX: a",
        "[X]: a",
        "X\r: a",
    ] {
        fields(&[(&format!("{field}\r\n{FIVE}"), "hello", Close, Refused)]);
    }
    for head in [
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello",
        "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n Content-Length: 5\r\n\r\nhello",
    ] {
        check("GET", head.as_bytes(), Close, Refused);
    }
    // Folded lines are unfolded, as RFC 9112 section 5.2 asks of user agents.
    fields(&[
        ("X: a\r\n b\r\nContent-Length: 5\r\n", "hello", Keep, HELLO),
        (
            "X: a\r\n\tb\r\n c\r\nContent-Length: 5\r\n",
            "hello",
            Keep,
            HELLO,
        ),
        ("X: a\n b\r\nContent-Length: 5\r\n", "hello", Close, Refused),
    ]);
    let many = |count: usize| "X: y\r\n".repeat(count) + FIVE;
    fields(&[
        (&many(99), "hello", Keep, HELLO),
        (&many(300), "hello", Close, Refused),
    ]);
}

/// What frames a message may not be said in a way that others read differently.
#[test]
fn framing_fields_are_not_folded_into_another_meaning() {
    for fields_ in [
        "Content-Length: 5\r\n 5\r\n",
        "Transfer-Encoding: x\r\n chunked\r\n",
        "Transfer-Encoding: chunked\r\n x\r\n",
    ] {
        fields(&[(fields_, "hello", Close, Refused)]);
    }
}

/// `hello` as gzip makes it.
const GZIPPED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";

#[test]
fn codings_of_the_content_are_taken_off_or_left_whole() {
    let coded = |coding: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let twice = [GZIPPED, GZIPPED].concat();
    for (coding, body, text) in [
        ("gzip", GZIPPED, "hello"),
        ("GZip", GZIPPED, "hello"),
        ("x-gzip", GZIPPED, "hello"),
        ("identity, gzip", GZIPPED, "hello"),
        (", gzip,", GZIPPED, "hello"),
        ("identity", b"hello", "hello"),
        ("", b"hello", "hello"),
        ("unheard-of", b"hello", "hello"),
        ("gzip, unheard-of", b"hello", "hello"),
        // Several members are one body (RFC 1952 section 2.2).
        ("gzip", &twice, "hellohello"),
        ("gzip", b"", ""),
        ("deflate", b"", ""),
        ("br", b"", ""),
        ("zstd", b"", ""),
    ] {
        check("GET", &coded(coding, body), Keep, Reused(200, text));
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n";
    check("HEAD", head.as_bytes(), Keep, Reused(200, ""));
    let same = "HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\n\r\n";
    check("GET", same.as_bytes(), Keep, Reused(304, ""));

    let mut wrong_sum = GZIPPED.to_vec();
    wrong_sum[18] ^= 1;
    let mut wrong_length = GZIPPED.to_vec();
    wrong_length[21] ^= 1;
    for (coding, body) in [
        ("gzip", b"hello".as_slice()),
        ("gzip", &GZIPPED[..24]),
        ("gzip", &GZIPPED[..12]),
        ("gzip", &[GZIPPED, b"\0"].concat()),
        ("gzip", &[GZIPPED, b"junk"].concat()),
        ("gzip", &[GZIPPED, &GZIPPED[..5]].concat()),
        ("gzip", &wrong_sum),
        ("gzip", &wrong_length),
        ("deflate", GZIPPED),
        ("br", b"\xff\xff\xff\xff"),
        ("zstd", GZIPPED),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        // A window of 128 MiB (RFC 9659 allows 8).
        ("zstd", b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00"),
        ("gzip, gzip", GZIPPED),
        ("gzip, gzip, gzip", GZIPPED),
    ] {
        let wire = coded(coding, body);
        for outcome in fetched("GET", wire, Close, false).0 {
            let error = outcome.expect_err(coding);
            assert!(error.is_body(), "{coding}: {error}");
        }
    }
}
