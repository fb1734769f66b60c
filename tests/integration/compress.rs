//! Compression of answers and decompression of requests, at the wire.

use squall::coding::{Coding, DecodeLimits, Level, decode, encode};
use squall::testing::{TestResponse, TestServer};
use squall::{
    Application, Body, Bytes, Compression, Error, Request, Response, Result, StatusCode, any, get,
    post,
};
use squall_tests::on_two_lanes;

fn text() -> String {
    "the same words over and over, ".repeat(200)
}

fn server() -> TestServer {
    let typed = |content_type: &'static str, more: &'static [(&'static str, &'static str)]| {
        get(move || async move {
            let mut response = Response::new(StatusCode::OK, text());
            response.headers_mut().set("Content-Type", content_type)?;
            for (name, value) in more {
                response.headers_mut().set(name, value)?;
            }
            Ok::<_, Error>(response)
        })
    };
    TestServer::start(
        Application::new()
            .middleware(Compression::default().decompress_requests(DecodeLimits::default()))
            .route("/text", any(async || text()))
            .route("/short", async || "short")
            .route(
                "/json",
                typed("application/problem+json; charset=utf-8", &[]),
            )
            .route("/png", typed("image/png", &[]))
            .route(
                "/coded",
                typed("text/plain", &[("Content-Encoding", "gzip")]),
            )
            .route(
                "/no-transform",
                typed("text/plain", &[("Cache-Control", "public, no-transform")]),
            )
            .route(
                "/tagged",
                typed(
                    "text/plain",
                    &[
                        ("ETag", "\"a\""),
                        ("Vary", "Origin"),
                        ("Accept-Ranges", "bytes"),
                    ],
                ),
            )
            .route("/tagged-weak", typed("text/plain", &[("ETag", "W/\"a\"")]))
            .route("/partial", get(partial))
            .route("/unchanged", get(unchanged))
            .route("/stream", get(async || stream()))
            .route("/echo", post(async |body: String| body))
            .route("/count", post(count)),
    )
}

async fn partial() -> Result<Response> {
    let mut response = Response::new(StatusCode::PARTIAL_CONTENT, text());
    response
        .headers_mut()
        .set("Content-Range", "bytes 0-5999/7000")?;
    Ok(response)
}

async fn unchanged() -> Result<Response> {
    let mut response = Response::new(StatusCode::NOT_MODIFIED, Body::empty());
    response.headers_mut().set("ETag", "\"a\"")?;
    Ok(response)
}

async fn count(mut request: Request) -> Result<String> {
    let mut count = 0;
    while let Some(chunk) = request.body_mut().chunk().await {
        count += chunk?.len();
    }
    Ok(count.to_string())
}

/// Text in pieces, of no known length.
fn stream() -> Body {
    let mut pieces = 0..200;
    Body::from_fn(move || {
        let piece = pieces
            .next()
            .map(|_| Ok(Bytes::from("the same words over and over, ")));
        async move { piece }
    })
    .with_content_type("text/plain")
}

fn ask(server: &TestServer, target: &str, accept: &str) -> TestResponse {
    server.send("GET", target, &[("Accept-Encoding", accept)], b"")
}

fn plain(answer: &TestResponse, coding: Coding) -> String {
    let coded = answer.body.clone();
    let plain = on_two_lanes(async move {
        let mut body = decode(coded.into(), &[coding], &DecodeLimits::default())?;
        Ok::<_, Error>(body.collect(1 << 20).await?)
    });
    String::from_utf8(plain.expect("decoded").to_vec()).expect("text")
}

fn coded(plain: &[u8], coding: Coding) -> Vec<u8> {
    let mut body = encode(Bytes::copy_from_slice(plain).into(), coding, Level::Default);
    on_two_lanes(async move { body.collect(u64::MAX).await.expect("encoded").to_vec() })
}

#[test]
fn the_client_chooses_the_coding_by_its_weights() {
    let server = server();
    for (accept, coding) in [
        ("gzip", Some(Coding::Gzip)),
        ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
        ("br;q=1, zstd;q=0.9", Some(Coding::Br)),
        ("gzip;q=0", None),
        ("*;q=0.5, zstd;q=0, br;q=0", Some(Coding::Gzip)),
        ("identity", None),
        ("identity;q=0.5, gzip;q=0.1", None),
        ("deflate", None),
        ("", None),
    ] {
        let answer = ask(&server, "/text", accept);
        let name = coding.map(Coding::name);
        assert_eq!(answer.header("content-encoding"), name, "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{accept}");
        match coding {
            Some(coding) => {
                assert_eq!(plain(&answer, coding), text(), "{accept}");
                assert!(answer.body.len() < text().len() / 10);
                // Small enough to be compressed before the head is sent.
                assert!(answer.header("content-length").is_some());
            }
            None => assert_eq!(answer.text(), text(), "{accept}"),
        }
    }
}

#[test]
fn what_would_not_gain_is_sent_as_it_is() {
    let server = server();
    for target in ["/short", "/png", "/no-transform", "/partial"] {
        let answer = ask(&server, target, "gzip");
        assert_eq!(answer.header("content-encoding"), None, "{target}");
        assert_eq!(answer.header("vary"), None, "{target}");
    }
    let once = ask(&server, "/coded", "gzip");
    assert_eq!(once.text(), text(), "coded twice");
    let json = ask(&server, "/json", "gzip");
    assert_eq!(json.header("content-encoding"), Some("gzip"));
    assert_eq!(
        json.header("content-type"),
        Some("application/problem+json; charset=utf-8")
    );
}

#[test]
fn a_client_that_refuses_plain_answers_gets_none_where_one_can_be_made() {
    let server = server();
    let answer = ask(&server, "/short", "identity;q=0, gzip");
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(plain(&answer, Coding::Gzip), "short");
    assert_eq!(ask(&server, "/short", "*;q=0").text(), "short");
}

#[test]
fn validators_say_that_the_bytes_are_others() {
    let server = server();
    let answer = ask(&server, "/tagged", "gzip");
    assert_eq!(answer.header("etag"), Some("W/\"a\""));
    assert_eq!(answer.header("accept-ranges"), None);
    let vary = |answer: &TestResponse| {
        let all = answer
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
        all.map(|(_, value)| value.to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(vary(&answer), "Origin, Accept-Encoding");
    let plain = ask(&server, "/tagged", "identity");
    assert_eq!(plain.header("etag"), Some("\"a\""));
    assert_eq!(plain.header("accept-ranges"), Some("bytes"));
    assert_eq!(vary(&plain), "Origin, Accept-Encoding");
    assert_eq!(
        ask(&server, "/tagged-weak", "gzip").header("etag"),
        Some("W/\"a\"")
    );

    let tag = |value| {
        let headers = [("Accept-Encoding", "gzip"), ("If-None-Match", value)];
        let answer = server.send("GET", "/unchanged", &headers, b"");
        answer.header("etag").map(str::to_owned)
    };
    assert_eq!(tag("W/\"a\"").as_deref(), Some("W/\"a\""));
    assert_eq!(tag("\"a\"").as_deref(), Some("\"a\""));
}

#[test]
fn head_tells_what_get_would_send() {
    let server = server();
    let answer = server.send("HEAD", "/text", &[("Accept-Encoding", "br")], b"");
    assert_eq!(answer.header("content-encoding"), Some("br"));
    // It is not compressed only to be counted.
    assert_eq!(answer.header("content-length"), None);
    assert!(answer.body.is_empty());
}

#[test]
fn a_stream_is_compressed_as_it_comes() {
    let server = server();
    for coding in [Coding::Zstd, Coding::Br, Coding::Gzip] {
        let answer = ask(&server, "/stream", coding.name());
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(plain(&answer, coding), text());
    }
}

#[test]
fn requests_are_decompressed_within_limits() {
    let server = server();
    for coding in Coding::ALL {
        let body = coded(b"a form", coding);
        let answer = server.send(
            "POST",
            "/echo",
            &[("Content-Encoding", coding.name())],
            &body,
        );
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "a form"),
            "{coding}"
        );
    }
    let unknown = server.send("POST", "/echo", &[("Content-Encoding", "sdch")], b"x");
    assert_eq!(unknown.status, 415);
    assert_eq!(
        unknown.header("accept-encoding"),
        Some("zstd, br, gzip, deflate")
    );
    assert!(unknown.text().contains("sdch"), "{}", unknown.text());

    let broken = server.send(
        "POST",
        "/echo",
        &[("Content-Encoding", "gzip")],
        b"no gzip at all",
    );
    assert_eq!(broken.status, 400, "{}", broken.text());
    let bomb = coded(&vec![0; 16 << 20], Coding::Gzip);
    let refused = server.send("POST", "/count", &[("Content-Encoding", "gzip")], &bomb);
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("max_ratio"), "{}", refused.text());
    let layer = coded(&vec![0; 256 << 10], Coding::Gzip).repeat(64);
    let twice = [("Content-Encoding", "gzip, gzip")];
    let refused = server.send("POST", "/count", &twice, &coded(&layer, Coding::Gzip));
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert!(refused.text().contains("max_ratio"), "{}", refused.text());
}

#[test]
fn requests_are_left_alone_unless_told_otherwise() {
    let server = TestServer::start(
        Application::new()
            .middleware(Compression::default())
            .route("/count", post(count)),
    );
    let answer = server.send("POST", "/count", &[("Content-Encoding", "sdch")], b"12345");
    assert_eq!(answer.text(), "5");
}
