//! Codings of the transfer: chunks, their sizes and extensions, and trailers.

use super::{Close, HELLO, Keep, LAST_HELLO, Refused, Reused, check, chunked, fields};

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
        "chunked\0",
        "chun\tked",
        "chunked ; x",
        "chunked, chunked, chunked",
        "\"a,b\", chunked",
        "trailers",
        "x\r\nContent-Length: 5",
        "\r\nContent-Length: 5",
        "identity\r\nContent-Length: 5",
    ] {
        fields(&[(
            &format!("Transfer-Encoding: {coding}\r\n"),
            FIVE,
            Close,
            Refused,
        )]);
    }
    fields(&[("Transfer-Encoding : chunked\r\n", FIVE, Close, Refused)]);
    fields(&[("Transfer-Encoding\u{a0}: chunked\r\n", FIVE, Close, Refused)]);
    for more in ["", "Connection: keep-alive\r\n", "Content-Length: 5\r\n"] {
        let old = format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n{more}\r\n{FIVE}");
        check("GET", old.as_bytes(), Close, Refused);
    }
    let newer = format!("HTTP/1.2 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{FIVE}");
    check("GET", newer.as_bytes(), Keep, HELLO);
    let last = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
    fields(&[(last, FIVE, Keep, LAST_HELLO)]);
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
        "5\x0b",
        "5\n",
        "4",
        "6",
        "7fffffffffffffff",
        "ffffffffffffffff",
        "8000000000000005",
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
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\n-0\r\n\r\n",
        "5\r\nhello\r\n0x0\r\n\r\n",
        "5\r\nhello\r\n0\r\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r",
        "5\r\nhello\r\n\r\n",
        "hello",
        "\r\n",
        "0",
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
        " ; a",
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
        ";a=\"\\\r\"",
        ";a=\x01",
        ";a=\u{ff}",
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
        "\u{ff}: y\r\n",
        "X: \0\r\n",
        &format!("X: {}\r\n", "a".repeat(17_000)),
    ] {
        chunked(&[(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n"), Close, Refused)]);
    }
    let many = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    chunked(&[
        (&many(100), Keep, Reused(200, "")),
        (&many(101), Close, Refused),
    ]);
}
