//! The client's words on the wire, and what it makes of a server's.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, SystemTime};

use squall::client::{AsyncHttpClient, FetchError, HttpRequest, Phase, RequestSent};
use squall::testing::Nobody;
use squall::{Body, BodyError, Bytes, Headers, IoLoop};
use squall_tests::{finished, on_one_lane, turned};

use super::client_script::{answering, script, silent};

fn fetch(request: HttpRequest) -> Result<(u16, String), FetchError> {
    on_one_lane(async move {
        let mut response = AsyncHttpClient::new().fetch(request).await?;
        Ok((response.code(), response.text().await?))
    })
}

/// The bytes of a request as the server sees them, `body` bytes behind the head included.
fn sent(make: impl FnOnce(String) -> HttpRequest, body: usize) -> (String, String) {
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        let head = peer.head().expect("a head");
        let body = String::from_utf8(peer.read(body)).expect("text");
        seen.send((head, body)).expect("waited for");
        peer.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let host = server.address().to_string();
    fetch(make(server.url("/a?b=c"))).expect("an answer");
    let (head, body) = sees.recv().expect("a request");
    (head.replace(&host, "HOST"), body)
}

const AGENT: &str = concat!("squall/", env!("CARGO_PKG_VERSION"));

#[test]
fn requests_are_framed_by_their_bodies() {
    let (head, _) = sent(HttpRequest::new, 0);
    assert_eq!(
        head,
        format!(
            "GET /a?b=c HTTP/1.1\r\nHost: HOST\r\nUser-Agent: {AGENT}\r\n\
             Accept-Encoding: zstd, br, gzip, deflate\r\n\r\n"
        )
    );
    let (head, _) = sent(HttpRequest::post, 0);
    assert!(head.ends_with("\r\nContent-Length: 0\r\n\r\n"), "{head}");
    let (head, body) = sent(|url| HttpRequest::post(url).json(&[1, 2]), 5);
    assert!(
        head.contains("\r\nContent-Type: application/json\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nContent-Length: 5\r\n"), "{head}");
    assert_eq!(body, "[1,2]");
    let stream = |url| {
        let mut left = vec!["b", "a"];
        HttpRequest::put(url).body(Body::from_fn(move || {
            let chunk = left.pop().map(|text| Ok::<_, BodyError>(Bytes::from(text)));
            async move { chunk }
        }))
    };
    let (head, body) = sent(stream, 12);
    assert!(
        head.contains("\r\nTransfer-Encoding: chunked\r\n"),
        "{head}"
    );
    assert!(!head.contains("Content-Length"), "{head}");
    assert_eq!(
        body, "2\r\nab\r\n0\r\n\r\n",
        "what is there at once is one chunk"
    );
}

#[test]
fn what_frames_a_message_cannot_be_set_by_hand() {
    let (head, body) = sent(
        |url| {
            HttpRequest::post(url)
                .header("Content-Length", "99")
                .header("transfer-encoding", "chunked")
                .header("Connection", "close")
                .header("X-A", "1")
                .header("Host", "other.test")
                .user_agent("")
                .body(b"hello".as_slice())
        },
        5,
    );
    let expected = "POST /a?b=c HTTP/1.1\r\nHost: other.test\r\nX-A: 1\r\n\
                    Accept-Encoding: zstd, br, gzip, deflate\r\n\
                    Content-Length: 5\r\nConnection: close\r\n\r\n";
    assert_eq!((head.as_str(), body.as_str()), (expected, "hello"));
}

#[test]
fn credentials_in_an_address_become_basic_authentication() {
    let (head, _) = sent(|url| HttpRequest::new(url.replace("//", "//u%40:p@")), 0);
    assert!(
        head.contains("\r\nAuthorization: Basic dUA6cA==\r\n"),
        "{head}"
    );
    assert!(!head.contains("u%40"), "{head}");
}

#[test]
fn invalid_requests_are_not_sent() {
    for (request, why) in [
        (HttpRequest::new("nonsense"), "no address"),
        (HttpRequest::new("ftp://a.test/"), "scheme"),
        (
            HttpRequest::new("http://a.test/").header("X-A", "1\r\nX-B: 2"),
            "X-A",
        ),
        (
            HttpRequest::new("http://a.test/").header("Host", "a b"),
            "Host",
        ),
        (
            HttpRequest::new("http://a.test/").basic_auth("a:b", "c"),
            "colon",
        ),
        (
            HttpRequest::new("http://a.test/").method("CONNECT".parse().expect("one")),
            "tunnel",
        ),
        (
            HttpRequest::new("http://a.test/")
                .method("TRACE".parse().expect("one"))
                .body("x"),
            "TRACE",
        ),
        (
            HttpRequest::new("http://a.test/").https_only(true),
            "https_only",
        ),
    ] {
        let error = fetch(request).expect_err("invalid");
        assert_eq!(
            (error.phase(), error.request_sent()),
            (Phase::Request, RequestSent::No)
        );
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_client_that_wants_https_is_asked_for_nothing_else() {
    let server = answering("HTTP/1.1 204 No Content\r\n\r\n");
    let url = server.url("/");
    let (refused, allowed) = on_one_lane(async move {
        let client = AsyncHttpClient::builder().https_only(true).build();
        let refused = client.fetch(&url).await.map(drop);
        let allowed = client.fetch(HttpRequest::new(&url).https_only(false)).await;
        (refused, allowed.map(|response| response.code()))
    });
    let refused = refused.expect_err("not https");
    assert!(
        refused.is_request() && refused.to_string().contains("https_only"),
        "{refused}"
    );
    assert_eq!(allowed.expect("an answer"), 204);
}

#[test]
fn a_time_is_sent_as_a_date() {
    let (head, _) = sent(
        |url| HttpRequest::new(url).if_modified_since(SystemTime::UNIX_EPOCH),
        0,
    );
    let date = "\r\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    assert!(head.contains(date), "{head}");
}

#[test]
fn a_client_whose_name_cannot_be_sent_says_so() {
    let error = on_one_lane(async {
        let client = AsyncHttpClient::builder().user_agent("a\r\nX-B: c").build();
        client.fetch("http://a.test/").await.map(drop)
    });
    let error = error.expect_err("invalid");
    assert!(error.to_string().contains("User-Agent"), "{error}");
}

#[test]
fn an_early_answer_wins_over_a_broken_upload() {
    let server = script(|_, mut peer| {
        peer.head();
        peer.read(64 << 10);
        peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    });
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    let body = Body::from_fn(move || {
        let chunk = chunk.clone();
        async move { Some(Ok::<_, BodyError>(chunk)) }
    });
    // A body without end: only the answer can stop it.
    match fetch(HttpRequest::post(server.url("/")).body(body)) {
        Ok(answer) => assert_eq!(answer, (413, "big".to_owned())),
        // The server's reset may overtake its answer; that is no fault of the client's.
        Err(error) => assert_eq!(error.request_sent(), RequestSent::Yes, "{error}"),
    }
}

#[test]
fn a_body_is_held_back_until_it_is_wanted() {
    let server = script(|number, mut peer| {
        let head = peer.head().expect("a head");
        assert!(head.contains("\r\nExpect: 100-continue\r\n"), "{head}");
        if number == 0 {
            peer.write(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n",
            );
            let body = peer.read(4);
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
            peer.write(body);
        } else {
            peer.write("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
            assert!(peer.is_closed(), "the body was refused");
        }
    });
    let (one, two) = (server.url("/"), server.url("/"));
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().max_idle_per_origin(0).build();
        let request = |url| HttpRequest::post(url).body("body").expect_continue(true);
        let mut welcome = client.fetch(request(one)).await.expect("an answer");
        assert_eq!(welcome.text().await.expect("a body"), "body");
        assert!(!welcome.headers().contains("link"));
        let refused = client.fetch(request(two)).await.expect("an answer");
        assert_eq!((refused.code(), client.stats().open), (413, 0));
    });
}

#[test]
fn another_messages_fields_leave_behind_what_was_for_its_hop() {
    let mut fields = Headers::new();
    for (name, value) in [
        ("Host", "elsewhere.test"),
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
        ("Proxy-Authorization", "Basic c2VjcmV0"),
        ("Proxy-Authenticate", "Basic"),
        ("Keep-Alive", "timeout=5"),
        ("X-Kept", "1"),
    ] {
        fields.append(name, value).expect("a field");
    }
    let (head, _) = sent(|url| HttpRequest::get(url).headers(&fields), 0);
    assert_eq!(
        head,
        format!(
            "GET /a?b=c HTTP/1.1\r\nHost: HOST\r\nX-Kept: 1\r\nUser-Agent: {AGENT}\r\n\
             Accept-Encoding: zstd, br, gzip, deflate\r\n\r\n"
        )
    );
}

#[test]
fn a_body_that_was_refused_is_not_sent_behind_the_answer() {
    let (go_on, goes_on) = mpsc::channel();
    let goes_on = Mutex::new(goes_on);
    let server = script(move |_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\n");
        goes_on.lock().expect("it").recv().expect("the time is up");
        peer.write("hm");
        assert!(peer.is_closed(), "the body was refused");
    });
    let (io_loop, clock) = turned();
    let (read, reads) = mpsc::channel();
    let request = HttpRequest::post(server.url("/"))
        .body("GET /admin HTTP/1.1\r\n\r\n")
        .expect_continue(true);
    let refused = io_loop.spawn(async move {
        let client = AsyncHttpClient::new();
        let mut refused = client.fetch(request).await?;
        let text = told_once(refused.text(), read).await?;
        Ok::<_, FetchError>((refused.code(), text, client.stats().idle))
    });
    reads.recv().expect("it waits for the answer's body");
    // Longer than a server may take to ask for a body.
    clock.advance(Duration::from_secs(5));
    io_loop.run(async {}).expect("the loop has seen the time");
    go_on.send(()).expect("waited for");
    let refused = finished(&io_loop, refused).expect("an answer");
    assert_eq!(refused, (413, "hm".to_owned(), 0));
    io_loop.stop();
}

#[test]
fn who_cannot_wait_for_a_body_is_asked_without_that() {
    let server = script(|_, mut peer| {
        let head = peer.head().expect("a head");
        if head.contains("\r\nExpect: ") {
            peer.write("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
            assert!(peer.is_closed(), "the body is on its way elsewhere");
        } else {
            assert_eq!(peer.read(4), b"body");
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let request = |url| HttpRequest::post(url).expect_continue(true);
    let again = fetch(request(server.url("/")).body("body")).expect("an answer");
    assert_eq!(again, (200, "ok".to_owned()));
    // What can be had once only may have been read.
    let once = Body::from_fn(async || None::<Result<Bytes, BodyError>>);
    let once = fetch(request(server.url("/")).body(once)).expect("an answer");
    assert_eq!(once.0, 417);
}

#[test]
fn a_server_that_says_something_is_not_silent() {
    let (go_on, goes_on) = mpsc::channel();
    let goes_on = Mutex::new(goes_on);
    let server = script(move |_, mut peer| {
        peer.head();
        let goes_on = goes_on.lock().expect("it");
        for part in ["HTTP/1.1 102 Processing\r\n\r\n"; 3] {
            peer.write(part);
            goes_on.recv().expect("the time is up");
        }
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let (io_loop, clock) = turned();
    let (heard, hears) = mpsc::channel();
    let request = HttpRequest::new(server.url("/"))
        .on_informational(move |_, _| heard.send(()).expect("waited for"))
        .connect_timeout(Duration::ZERO)
        .request_timeout(Duration::ZERO)
        .idle_timeout(Duration::from_secs(5));
    let fetched = io_loop.spawn(async move {
        let response = AsyncHttpClient::new().fetch(request).await;
        response.map(|response| response.code())
    });
    for _ in 0..3 {
        hears.recv().expect("it is told");
        // Behind the task that was told.
        io_loop.run(async {}).expect("it waits for the next part");
        clock.advance(Duration::from_secs(4));
        io_loop.run(async {}).expect("the loop has seen the time");
        go_on.send(()).expect("waited for");
    }
    assert_eq!(finished(&io_loop, fetched).expect("an answer"), 200);
    io_loop.stop();
}

/// Awaits, and tells when it first has to wait.
async fn told_once<F: Future>(future: F, told: mpsc::Sender<()>) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut told = Some(told);
    std::future::poll_fn(move |cx| {
        let polled = future.as_mut().poll(cx);
        if let Some(told) = told.take() {
            let _ = told.send(());
        }
        polled
    })
    .await
}

#[test]
fn a_body_that_is_cut_off_is_never_a_clean_end() {
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", None),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            None,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n",
            None,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", Some(200)),
    ] {
        let server = script(move |_, mut peer| {
            peer.head();
            peer.write(answer);
        });
        let result = fetch(HttpRequest::new(server.url("/")));
        match (result, code) {
            (Ok((got, body)), Some(code)) => assert_eq!((got, body.as_str()), (code, "hello")),
            (Err(error), None) => assert_eq!(error.phase(), Phase::Body, "{answer}"),
            (result, _) => panic!("{answer}: {result:?}"),
        }
    }
}

#[test]
fn errors_tell_the_phase_and_every_limit_its_name() {
    let nobody = Nobody::bind();
    let error = fetch(HttpRequest::new(nobody.url("/"))).expect_err("nobody listens");
    assert!(
        error.is_connect() && error.phase() == Phase::Connect,
        "{error}"
    );
    assert_eq!((error.code(), error.request_sent()), (599, RequestSent::No));

    let large = answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nmuch more");
    let request = HttpRequest::new(large.url("/?token=secret")).max_body_size(8);
    let error = fetch(request).expect_err("too large");
    assert!(
        error.is_too_large() && error.to_string().contains("max_body_size"),
        "{error}"
    );
    assert!(!error.to_string().contains("secret"), "{error}");

    let server = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let url = server.url("/");
    let error = on_one_lane(async move { AsyncHttpClient::new().fetch(url).await?.rethrow() });
    let error = error.expect_err("a status");
    assert_eq!((error.code(), error.phase()), (404, Phase::Status));
}

#[test]
fn trailers_are_asked_for_where_that_is_wanted() {
    let (head, _) = sent(|url| HttpRequest::new(url).header("TE", "trailers"), 0);
    assert!(
        head.contains("\r\nTE: trailers\r\nConnection: TE\r\n"),
        "{head}"
    );
    let close = |url| {
        HttpRequest::new(url)
            .header("TE", "gzip, trailers")
            .header("Connection", "close")
    };
    let (head, _) = sent(close, 0);
    assert!(
        head.contains("\r\nTE: trailers\r\nConnection: close, TE\r\n"),
        "{head}"
    );
}

#[test]
fn a_limit_of_zero_is_none() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let unlimited = HttpRequest::new(server.url("/"))
        .request_timeout(Duration::ZERO)
        .pool_timeout(Duration::ZERO)
        .dns_timeout(Duration::ZERO)
        .connect_timeout(Duration::ZERO)
        .first_byte_timeout(Duration::ZERO)
        .idle_timeout(Duration::ZERO);
    assert_eq!(fetch(unlimited).expect("an answer").0, 200);
}

#[test]
fn silence_has_an_end() {
    let (asked, asks) = mpsc::channel();
    let server = silent(move |number, peer| {
        if number == 1 {
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
        }
        let _ = asked.send(());
    });
    let (io_loop, clock) = turned();
    let fetch = |request: HttpRequest| {
        io_loop.spawn(async move {
            let mut response = AsyncHttpClient::new().fetch(request).await?;
            while response.chunk().await?.is_some() {}
            Ok::<_, FetchError>(())
        })
    };
    let whole = fetch(HttpRequest::new(server.url("/")));
    asks.recv().expect("it waits for the head");
    clock.advance(Duration::from_secs(20));
    let error = finished(&io_loop, whole).expect_err("late");
    assert!(
        error.is_timeout() && error.to_string().contains("request_timeout"),
        "{error}"
    );
    assert_eq!(error.phase(), Phase::WaitHead);

    let (read, reads) = mpsc::channel();
    let url = server.url("/");
    let streamed = io_loop.spawn(async move {
        let mut response = AsyncHttpClient::new().fetch(url).await?;
        response.chunk().await?;
        // The next one is waited for, so its limit is running when the clock is turned.
        told_once(response.chunk(), read).await
    });
    reads.recv().expect("it waits for the rest");
    clock.advance(Duration::from_secs(30));
    let error = finished(&io_loop, streamed).expect_err("silent");
    assert!(
        error.is_timeout() && error.phase() == Phase::Body,
        "{error}"
    );
    io_loop.stop();
}

#[test]
fn a_callback_gets_the_result_and_fetch_with_returns_at_once() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let url = server.url("/");
    let (done, is_done) = mpsc::channel();
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    io_loop.add_callback(move || {
        AsyncHttpClient::new().fetch_with(url, move |result| async move {
            let _ = done.send(result.map(|response| response.code()));
        });
    });
    let result = is_done.recv().expect("called");
    assert_eq!(result.expect("an answer"), 200);
    io_loop.stop();
}

#[test]
fn time_is_told_by_phase() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let url = server.url("/");
    on_one_lane(async move {
        let response = AsyncHttpClient::new().fetch(url).await.expect("an answer");
        let time = *response.time_info();
        let phases = [
            time.queue,
            time.namelookup,
            time.connect,
            time.appconnect,
            time.pretransfer,
            time.starttransfer,
            time.total,
        ];
        assert!(phases.is_sorted() && time.total > 0.0, "{time:?}");
        let json = serde_json::to_value(time).expect("JSON");
        assert!(json["starttransfer"].is_f64());
    });
}
