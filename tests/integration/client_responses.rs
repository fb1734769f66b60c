//! What an answer offers beside its body's bytes.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use squall::client::{AsyncHttpClient, FetchError, HttpRequest, HttpResponse, Phase};
use squall::coding::{Coding, Level, encode};
use squall::with_timeout;
use squall_tests::{OK, TempDir, on_one_lane};

use super::client_script::{answering, script};

#[test]
fn informational_answers_are_shown_and_counted() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n";
    let server = script(move |number, mut peer| {
        peer.head();
        let many = if number == 0 { 2 } else { 11 };
        peer.write(hints.repeat(many));
        peer.write(OK);
        peer.is_closed();
    });
    let (few, many) = (server.url("/"), server.url("/"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = seen.clone();
    let (code, error) = on_one_lane(async move {
        let client = AsyncHttpClient::builder().max_idle_per_origin(0).build();
        let request = HttpRequest::new(few).on_informational(move |status, headers| {
            let link = headers.get("link").map(str::to_owned);
            sees.lock().expect("a list").push((status.as_u16(), link));
        });
        let response = client.fetch(request).await.expect("an answer");
        assert!(!response.headers().contains("link"), "it has its own");
        let error = client.fetch(many).await.expect_err("a flood");
        (response.code(), error)
    });
    let hint = (103, Some("<a>".to_owned()));
    assert_eq!(*seen.lock().expect("a list"), [hint.clone(), hint]);
    assert_eq!(code, 200);
    assert!(error.to_string().contains("informational"), "{error}");
}

#[test]
fn the_way_to_an_answer_is_told() {
    let server = script(|_, mut peer| {
        while let Some(head) = peer.head() {
            match head.split(' ').nth(1) {
                Some("/a") => {
                    peer.write("HTTP/1.1 302 Go\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")
                }
                Some("/b") => {
                    peer.write("HTTP/1.1 307 Go\r\nLocation: /c\r\nContent-Length: 0\r\n\r\n")
                }
                _ => peer.write(OK),
            }
        }
    });
    let url = server.url("/a");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let response = client.fetch(url).await.expect("an answer");
        let way: Vec<_> = (response.history().iter())
            .map(|hop| (hop.url.path(), hop.status.as_u16()))
            .collect();
        assert_eq!(way, [("/a", 302), ("/b", 307)]);
        assert_eq!(response.effective_url().path(), "/c");
        let time = response.time_info();
        assert!(
            time.redirect > 0.0 && time.redirect <= time.queue,
            "{time:?}"
        );
        assert_eq!(response.retries(), 0);
    });
}

/// `ok`, and a trailer.
const TRAILED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
     2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n";

#[test]
fn trailers_come_after_the_body() {
    let server = answering(TRAILED);
    let url = server.url("/");
    on_one_lane(async move {
        let mut response = AsyncHttpClient::new().fetch(url).await.expect("an answer");
        assert!(response.take_trailers().is_none());
        while response.chunk().await.expect("a chunk").is_some() {}
        let trailers = response.take_trailers().expect("trailers");
        assert_eq!(trailers.get("x-sum"), Some("1"));
        assert!(!response.headers().contains("x-sum"));
    });
}

#[test]
fn trailers_outlive_a_body_that_was_read_as_a_whole() {
    let server = answering(TRAILED);
    let url = server.url("/");
    on_one_lane(async move {
        let mut response = AsyncHttpClient::new().fetch(url).await.expect("an answer");
        for _ in 0..2 {
            assert_eq!(response.text().await.expect("a body"), "ok");
        }
        let trailers = response.take_trailers().expect("trailers");
        assert_eq!(trailers.get("x-sum"), Some("1"));
        assert!(response.take_trailers().is_none());
    });
}

#[test]
fn a_body_is_saved_whole_or_not_at_all() {
    let body = "x".repeat(300_000);
    let sent = format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{body}");
    let server = script(move |number, mut peer| {
        peer.head();
        match number {
            0 => peer.write(&sent),
            _ => peer.write(&sent[..200_000]),
        }
    });
    let (whole, cut) = (server.url("/"), server.url("/"));
    let dir = TempDir::create();
    let path = dir.path().join("saved");
    let saved = path.clone();
    let (told, error) = on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let mut response = client.fetch(whole).await.expect("an answer");
        let mut told = Vec::new();
        let progress = |done, of| told.push((done, of));
        let len = response.save_with_progress(&saved, progress).await;
        assert_eq!(len.expect("saved"), 300_000);
        let mut response = client.fetch(cut).await.expect("an answer");
        let error = response.save_to(&saved).await.expect_err("cut off");
        (told, error)
    });
    assert_eq!(told.last(), Some(&(300_000, Some(300_000))));
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(error.phase(), Phase::Body);
    // The file of before is still there, and nothing else.
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), body);
    assert_eq!(dir.path().read_dir().expect("a directory").count(), 1);
}

/// Saves an answer, and gives that up once so many bytes have come.
async fn save_the_first(bytes: u64, response: &mut HttpResponse, path: &Path) {
    let came = AtomicU64::new(0);
    let on_progress = |done, _| came.store(done, Ordering::Relaxed);
    let mut saving = pin!(response.save_with_progress(path, on_progress));
    poll_fn(|cx| {
        assert!(saving.as_mut().poll(cx).is_pending(), "it never ends");
        match came.load(Ordering::Relaxed) < bytes {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
}

/// Whoever goes on after a failed or cancelled reading does not get the rest for the whole.
#[test]
fn a_reading_that_has_failed_or_was_given_up_has_no_end_later() {
    let server = script(|_, mut peer| {
        let head = peer.head().expect("a request");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        if head.starts_with("GET /wait ") {
            peer.is_closed();
        }
    });
    let (cut, wait) = (server.url("/cut"), server.url("/wait"));
    let dir = TempDir::create();
    let path = dir.path().join("saved");
    std::fs::write(&path, "of before").expect("written");
    let saved = path.clone();
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let mut response = client.fetch(&cut).await.expect("an answer");
        for _ in 0..2 {
            let error = response.save_to(&saved).await.expect_err("cut off");
            assert_eq!(error.phase(), Phase::Body);
        }
        let mut response = client.fetch(&cut).await.expect("an answer");
        for _ in 0..2 {
            response.json::<u32>().await.expect_err("cut off");
            assert_eq!(response.body(), None);
        }
        let mut response = client.fetch(&cut).await.expect("an answer");
        let piece = response.chunk().await.expect("a piece");
        assert_eq!(piece.as_deref(), Some(&b"hello"[..]));
        for _ in 0..2 {
            response.chunk().await.expect_err("cut off");
        }
        for reading in [true, false] {
            let mut response = client.fetch(&wait).await.expect("an answer");
            if reading {
                let begun = with_timeout(Duration::ZERO, response.bytes()).await;
                begun.expect_err("it never ends");
            } else {
                save_the_first(5, &mut response, &saved).await;
            }
            let errors = [
                response.text().await.map(drop),
                response.save_to(&saved).await.map(drop),
            ];
            for error in errors {
                let error = error.expect_err("some of it is gone").to_string();
                assert!(error.contains("given up"), "{error}");
            }
        }
    });
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "of before");
}

#[test]
fn the_longest_names_are_names() {
    let dir = TempDir::create();
    let places = ["a".repeat(255), "\u{e9}".repeat(127)].map(|name| dir.path().join(name));
    let server = answering(OK);
    let url = server.url("/");
    on_one_lane(async move {
        for place in places {
            let mut response = AsyncHttpClient::new().fetch(&url).await.expect("an answer");
            assert_eq!(response.save_to(&place).await.expect("saved"), 2);
            assert_eq!(std::fs::read_to_string(&place).expect("a file"), "ok");
        }
    });
}

/// A device that were replaced by a file would be gone for everybody.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_written_to_and_stays() {
    let dir = TempDir::create();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let (url, place) = (server.url("/"), pipe.clone());
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe));
    on_one_lane(async move {
        let mut response = AsyncHttpClient::new().fetch(url).await.expect("an answer");
        assert_eq!(response.save_to(&place).await.expect("saved"), 5);
        assert!(!std::fs::metadata(&place).expect("still there").is_file());
    });
    assert_eq!(reader.join().expect("no panic").expect("text"), "hello");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let server = answering(OK);
    let url = server.url("/");
    let error = on_one_lane(async move {
        let mut response = AsyncHttpClient::new().fetch(url).await?;
        response.save_to("/nowhere/at/all").await.map(drop)
    });
    let error: FetchError = error.expect_err("no such directory");
    assert_eq!(error.phase(), Phase::Save);
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    // Our own disk is no gateway.
    assert_eq!(squall::Error::from(error).status_code(), 500);
}

#[test]
fn an_error_status_is_an_error_where_that_is_wanted() {
    let server = answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let url = server.url("/");
    on_one_lane(async move {
        let tornado = AsyncHttpClient::builder().raise_error(true).build();
        let error = tornado.fetch(&url).await.expect_err("an error");
        assert!(error.is_status() && error.code() == 503, "{error}");
        let request = HttpRequest::new(&url).raise_error(false);
        assert_eq!(tornado.fetch(request).await.expect("an answer").code(), 503);
        let response = AsyncHttpClient::new().fetch(&url).await;
        assert_eq!(response.expect("an answer").code(), 503);
    });
}

#[test]
fn a_connection_switches_to_the_protocol_that_was_asked_for_and_no_other() {
    let (heard, hears) = mpsc::channel();
    let server = script(move |number, mut peer| {
        let head = peer.head().expect("a head");
        assert!(head.contains("\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"));
        let other = if number == 0 { "ECHO" } else { "other" };
        peer.write(format!(
            "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: {other}\r\n\r\nhello"
        ));
        if number == 0 {
            let _ = heard.send(peer.read(3));
        }
        peer.is_closed();
    });
    let (agreed, other) = (server.url("/"), server.url("/"));
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let request = HttpRequest::new(agreed).upgrade("echo");
        let response = client.fetch(request).await.expect("an answer");
        assert_eq!(response.code(), 101);
        let upgraded = response.into_upgraded().expect("a stream");
        let (read_ahead, stream, keep) = upgraded.into_parts();
        let mut got = read_ahead.to_vec();
        let mut buffer = [0; 16];
        while got.len() < 5 {
            let read = poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await;
            got.extend_from_slice(&buffer[..read.expect("bytes")]);
        }
        assert_eq!(got, b"hello");
        let written = poll_fn(|cx| stream.poll_write(cx, b"bye")).await;
        assert_eq!(written.expect("written"), 3);
        assert_eq!(hears.recv().expect("heard"), b"bye");
        // It is in use, until what came with it is dropped, and never idle.
        assert_eq!((client.stats().open, client.stats().idle), (1, 0));
        drop((stream, keep));
        assert_eq!(client.stats().open, 0);

        let request = HttpRequest::new(other).upgrade("echo");
        let error = client.fetch(request).await.expect_err("another protocol");
        assert!(error.to_string().contains("switches protocols"), "{error}");
    });
}

/// `hello`, five bytes, as gzip makes it.
const HELLO: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";

#[test]
fn a_compressed_answer_is_decoded_unless_it_is_wanted_as_it_comes() {
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let _ = seen.send(head);
            let coding = "Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n";
            peer.write(format!("HTTP/1.1 200 OK\r\n{coding}"));
            peer.write(HELLO);
        }
    });
    let url = server.url("/");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let mut response = client.fetch(&url).await.expect("an answer");
        assert_eq!(response.text().await.expect("text"), "hello");
        let headers = response.headers();
        assert_eq!(headers.get("x-consumed-content-encoding"), Some("gzip"));
        assert!(!headers.contains("content-encoding"));
        assert!(!headers.contains("content-length"));
        let raw = HttpRequest::new(&url).decompress(false);
        let mut response = client.fetch(raw).await.expect("an answer");
        assert_eq!(response.bytes().await.expect("bytes"), HELLO);
        assert_eq!(response.headers().get("content-encoding"), Some("gzip"));
        assert!(response.reused());
    });
    let head = sees.recv().expect("a request");
    assert!(head.contains("\r\nAccept-Encoding: zstd, br, gzip, deflate\r\n"));
    assert!(!sees.recv().expect("another").contains("Accept-Encoding"));
}

fn gzipped(plain: Vec<u8>) -> Vec<u8> {
    on_one_lane(async move {
        let mut body = encode(plain.into(), Coding::Gzip, Level::Default);
        body.collect(u64::MAX).await.expect("encoded").to_vec()
    })
}

#[test]
fn a_bomb_in_two_layers_is_too_large() {
    // Neither layer is a thousand times as large as what is within it.
    let bomb = gzipped(gzipped(vec![0; 256 << 10]).repeat(64));
    let server = script(move |_, mut peer| {
        while peer.head().is_some() {
            let length = bomb.len();
            peer.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: {length}\r\n\r\n"
            ));
            peer.write(&bomb);
        }
    });
    let dir = TempDir::create();
    let (url, path) = (server.url("/"), dir.path().join("saved"));
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let mut response = client.fetch(&url).await.expect("an answer");
        let saved = response.save_to(&path).await.expect_err("a bomb");
        let mut response = client.fetch(&url).await.expect("an answer");
        let mut come = 0;
        let broken = loop {
            match response.chunk().await {
                Ok(chunk) => come += chunk.expect("no end").len(),
                Err(error) => break error,
            }
        };
        assert!(come <= 2 << 20, "{come} bytes came before the refusal");
        for error in [saved, broken] {
            assert!(error.is_body() && error.is_too_large(), "{error}");
            // No setting of the client has the name that a server's has.
            assert!(error.to_string().ends_with("(decompress)"), "{error}");
        }
    });
    assert_eq!(dir.path().read_dir().expect("a directory").count(), 0);
}

#[test]
fn more_codings_than_two_are_not_taken_off() {
    let server = answering(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, br\r\nContent-Length: 1\r\n\r\nx",
    );
    let url = server.url("/");
    let error = on_one_lane(async move { AsyncHttpClient::new().fetch(url).await.map(drop) });
    let error = error.expect_err("three codings");
    assert!(error.is_body() && !error.is_too_large(), "{error}");
    assert!(error.to_string().ends_with("(decompress)"), "{error}");
}
