//! First lines and fields, and the interim answers before the one that counts.

use super::{Close, Closed, HELLO, Keep, LAST_HELLO, Refused, Reused, check, fields};

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
        "HTTP/1.0 100 Continue\r\n\r\n",
        "HTTP/1.1 100\r\n\r\n",
        "HTTP/1.1 100 \r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n\r\n",
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
        ("HTTP/1.1 100 Continue\r\n".to_owned(), Close),
        ("HTTP/1.1 103 Early Hints\r\n\r\n".to_owned(), Close),
        (
            format!("HTTP/1.1 103 E\r\nBad Name: x\r\n\r\n{LAST}"),
            Close,
        ),
        (format!("HTTP/1.1 100 C\n\n{LAST}"), Close),
        (format!("HTTP/1.1 1000 C\r\n\r\n{LAST}"), Close),
        (
            format!("HTTP/1.1 100 C\r\n\r\n{}{LAST}", "\r\n".repeat(9)),
            Close,
        ),
        (
            "HTTP/1.1 101 S\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            Close,
        ),
        (
            "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                .to_owned(),
            Close,
        ),
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
        ("HTTP/1.1 200 OK ", 200),
        ("HTTP/1.1 200  OK", 200),
        ("HTTP/1.1 600 None", 600),
        ("HTTP/1.1 299 None", 299),
        ("HTTP/1.1 599 None", 599),
        ("HTTP/1.1 999 None", 999),
        ("HTTP/1.2 200 OK", 200),
        ("\r\nHTTP/1.1 200 OK", 200),
        (&format!("{}HTTP/1.1 200 OK", "\r\n".repeat(8)), 200),
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
        "HTTP/1.1 200 \x1b[31m",
        "HTTP/1.1 200 OK\r",
        "HTTP/1.1 200 OK\0",
        "HTTP/1.1 200\x0bOK",
        "HTTP/1.1\x0b200 OK",
        "HTTP/1.1 \x00200 OK",
        "HTTP/1.1 00200 OK",
        "HTTP/1.1 2 00 OK",
        "HTTP/1.1 200.1 OK",
        "HTTP/1.1 1e3 OK",
        "HTTP/1.1 0x200 OK",
        "HTTP/1.10 200 OK",
        "HTTP/01.1 200 OK",
        "HTTP/ 1.1 200 OK",
        "HTTP /1.1 200 OK",
        "HTTP/1.1. 200 OK",
        "HTTP/1,1 200 OK",
        "HTTP/-1.1 200 OK",
        "HTTP/1.a 200 OK",
        "HTTP/a.1 200 OK",
        "HTTP/3 200 OK",
        "Http/1.1 200 OK",
        "HTTP\\1.1 200 OK",
        "\0HTTP/1.1 200 OK",
        "\u{feff}HTTP/1.1 200 OK",
        "\rHTTP/1.1 200 OK",
        "\n\nHTTP/1.1 200 OK",
        " \r\nHTTP/1.1 200 OK",
        "RTSP/1.0 200 OK",
        "220 mail.test ESMTP",
        "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK",
        &format!("{}HTTP/1.1 200 OK", "\r\n".repeat(9)),
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
        "X\0Y: a",
        "X\x7f: a",
        "X,Y: a",
        "X\u{ff}: a",
        ":",
        ": ",
        "\r",
        "X: \x1b[2J",
        "X: a\x0bb",
        "X: \x0ca",
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
        ("X: a\r b\r\nContent-Length: 5\r\n", "hello", Close, Refused),
        ("X: a\r\n \r\nContent-Length: 5\r\n", "hello", Keep, HELLO),
        (
            "X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "hello",
            Keep,
            HELLO,
        ),
        (
            "X: a\r\n Content-Length: 0\r\nContent-Length: 5\r\n",
            "hello",
            Keep,
            HELLO,
        ),
        (
            "Connection:\r\n close\r\nContent-Length: 5\r\n",
            "hello",
            Keep,
            LAST_HELLO,
        ),
    ]);
    let folds = " b\r\n".repeat(200);
    fields(&[(&format!("X: a\r\n{folds}{FIVE}"), "hello", Keep, HELLO)]);
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
        "Content-Length: 1\r\n 0\r\n",
        "Transfer-Encoding:\r\n\tchunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: x\r\n chunked\r\n",
        "Transfer-Encoding: chunked\r\n x\r\n",
    ] {
        fields(&[(fields_, "hello", Close, Refused)]);
    }
    // A fold is a space (RFC 9112 section 5.2), and spaces around a value mean nothing.
    fields(&[
        ("Content-Length:\r\n 5\r\n", "hello", Keep, HELLO),
        ("Content-Length: 5\r\n \r\n", "hello", Keep, HELLO),
        (
            "Transfer-Encoding:\r\n\tchunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            Keep,
            HELLO,
        ),
    ]);
}

/// Other fields look like those that frame a message, or speak of them.
#[test]
fn only_two_fields_frame_a_message() {
    const FIVE: &str = "Content-Length: 5\r\n";
    const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";
    for field in [
        "X-Transfer-Encoding: chunked",
        "Transfer_Encoding: chunked",
        "TE: chunked",
        "Trailer: Content-Length",
        "Proxy-Connection: close",
        "Connection: Content-Length",
        "Connection: \"close\"",
        "Keep-Alive: timeout=-1",
        "Keep-Alive: timeout=4294967296",
        "Keep-Alive: timeout=99999999999999999999",
        "Keep-Alive: timeout=\"5\"",
        "Keep-Alive: max=0",
        "Upgrade: h2c\r\nConnection: upgrade",
    ] {
        fields(&[(&format!("{field}\r\n{FIVE}"), "hello", Keep, HELLO)]);
    }
    fields(&[(
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
        CHUNKS,
        Keep,
        HELLO,
    )]);
    // RFC 9110 section 14.6: that type ends itself no more.
    let ranges =
        "HTTP/1.1 206 Partial\r\nContent-Type: multipart/byteranges; boundary=b\r\n\r\n--b--\r\n";
    check("GET", ranges.as_bytes(), Close, Closed(206, "--b--\r\n"));
}

#[test]
fn a_head_has_an_end() {
    const FIVE: &str = "Content-Length: 5\r\n";
    let long = |length| "a".repeat(length);
    fields(&[
        (
            &format!("X: {}\r\n{FIVE}", long(60_000)),
            "hello",
            Keep,
            HELLO,
        ),
        (
            &format!("X: {}\r\n{FIVE}", long(66_000)),
            "hello",
            Close,
            Refused,
        ),
        (
            &format!("{}: a\r\n{FIVE}", long(66_000)),
            "hello",
            Close,
            Refused,
        ),
    ]);
    for (reason, expected) in [(9_000, HELLO), (66_000, Refused)] {
        let reason = long(reason);
        let wire = format!("HTTP/1.1 200 {reason}\r\n{FIVE}\r\nhello");
        check("GET", wire.as_bytes(), Keep, expected);
    }
    let interim = format!("HTTP/1.1 103 Early Hints\r\nX: {}\r\n\r\n", long(66_000));
    check("GET", interim.as_bytes(), Close, Refused);
}
