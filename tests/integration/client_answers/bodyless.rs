//! Answers that have no body, whatever their heads say of one.

use super::{Closed, Keep, Reused, check};

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
        (
            "GET",
            "204 No Content\r\nContent-Length: x\r\n",
            Closed(204, ""),
        ),
        (
            "GET",
            "204 No Content\r\nContent-Length: 0\r\nContent-Length: 5\r\n",
            Closed(204, ""),
        ),
        (
            "GET",
            "204 No Content\r\nContent-Length: 00\r\n",
            Reused(204, ""),
        ),
        (
            "GET",
            "204 No Content\r\nConnection: close\r\n",
            Closed(204, ""),
        ),
        (
            "GET",
            "304 Not Modified\r\nConnection: close\r\n",
            Closed(304, ""),
        ),
        ("HEAD", "204 No Content\r\n", Reused(204, "")),
        (
            "HEAD",
            "206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n",
            Reused(206, ""),
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

/// What cannot be read one way on an answer with a body is no better on one without: whoever
/// wrote it may write anything behind it.
#[test]
fn an_answer_without_a_body_that_frames_one_in_two_ways_is_the_last_one() {
    for method_and_line in ["HEAD 200 OK", "HEAD 404 Not Found", "GET 304 Not Modified"] {
        let (method, line) = method_and_line.split_once(' ').expect("two words");
        let status = line[..3].parse().expect("a number");
        for framing in [
            "Content-Length: 5, 6",
            "Content-Length: x",
            "Content-Length: -1",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: chunked, chunked",
        ] {
            let wire = format!("HTTP/1.1 {line}\r\n{framing}\r\n\r\n");
            check(method, wire.as_bytes(), Keep, Closed(status, ""));
        }
        for framing in [
            "Content-Length: 18446744073709551615",
            "Content-Length: 5, 5",
            "Transfer-Encoding: chunked",
        ] {
            let wire = format!("HTTP/1.1 {line}\r\n{framing}\r\n\r\n");
            check(method, wire.as_bytes(), Keep, Reused(status, ""));
        }
    }
}

#[test]
fn methods_other_than_head_have_the_body_that_is_framed() {
    for method in [
        "GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "QUERY",
    ] {
        for (line, expected) in [
            ("200 OK", Reused(200, "hello")),
            ("205 Reset Content", Reused(205, "hello")),
            ("500 Oh", Reused(500, "hello")),
        ] {
            let wire = format!("HTTP/1.1 {line}\r\nContent-Length: 5\r\n\r\nhello");
            check(method, wire.as_bytes(), Keep, expected);
        }
    }
}
