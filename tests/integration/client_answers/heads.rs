//! First lines and fields, and the interim answers before the one that counts.

use super::{Close, HELLO, Keep, Refused, Reused, check, fields};

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
