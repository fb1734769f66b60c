//! Codings of the content.

use super::{Close, Keep, Reused, check, fetched};

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
