//! Bodies in all their kinds, and who a request says it is.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};

use squall::client::{AsyncHttpClient, HttpRequest, Multipart, RequestSent};
use squall::{Body, BodyError, BodyStream, Bytes};
use squall_tests::{OK, TempDir, on_one_lane};

use super::client_script::{Peer, answering, script};

const AGAIN: &str = "HTTP/1.1 307 Go\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";

/// The body of a request, however it is framed.
fn body(peer: &mut Peer, head: &str) -> String {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().expect("a length"))
    });
    match length {
        Some(length) => String::from_utf8(peer.read(length)).expect("text"),
        None if head.contains("Transfer-Encoding") => peer.read_until("0\r\n\r\n"),
        None => String::new(),
    }
}

/// Sends a request that is redirected once; the heads and bodies that came.
fn redirected<F>(make: impl FnOnce(String) -> F + Send + 'static) -> Vec<(String, String)>
where
    F: Future<Output = HttpRequest> + Send + 'static,
{
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let body = body(&mut peer, &head);
            let first = !head.contains(" /again ");
            let _ = seen.send((head, body));
            peer.write(if first { AGAIN } else { OK });
        }
    });
    let url = server.url("/");
    on_one_lane(async move {
        let request = make(url).await;
        let response = AsyncHttpClient::new().fetch(request).await;
        assert_eq!(response.expect("an answer").code(), 200);
    });
    sees.try_iter().collect()
}

fn stream(text: &'static str) -> Body {
    let mut pieces = text.split_inclusive(' ');
    Body::from_fn(move || {
        let piece = pieces
            .next()
            .map(|piece| Ok::<_, BodyError>(Bytes::from(piece)));
        async move { piece }
    })
}

#[test]
fn bodies_that_can_be_made_anew_are_sent_anew() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let requests = redirected(async move |url| {
        HttpRequest::post(url).body_with(move || {
            count.fetch_add(1, Ordering::SeqCst);
            stream("a b")
        })
    });
    let bodies: Vec<_> = requests.iter().map(|(_, body)| body.as_str()).collect();
    assert_eq!(bodies, ["3\r\na b\r\n0\r\n\r\n"; 2]);
    assert_eq!(made.load(Ordering::SeqCst), 2);

    let dir = TempDir::create();
    let path = dir.path().join("page.html");
    std::fs::write(&path, "<p>").expect("written");
    let file = path.clone();
    let requests =
        redirected(async move |url| HttpRequest::put(url).file(file).await.expect("a file"));
    for (head, body) in &requests {
        assert!(head.contains("\r\nContent-Length: 3\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Type: text/html\r\n"), "{head}");
        assert_eq!(body, "<p>");
    }
    assert_eq!(requests.len(), 2);

    let requests = redirected(async move |url| {
        let form = Multipart::new().text("a", "b").file("page", path).await;
        HttpRequest::post(url).multipart(form.expect("a file"))
    });
    let [(_, first), (_, second)] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    assert!(
        first.contains("<p>") && first == second,
        "{first}\n{second}"
    );
}

#[test]
fn a_producer_is_only_as_fast_as_the_connection() {
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        peer.head();
        let _ = seen.send(peer.read_until("0\r\n\r\n"));
        peer.write(OK);
    });
    let url = server.url("/");
    on_one_lane(async move {
        let request = HttpRequest::post(&url).body_producer(|mut body| async move {
            for piece in ["one ", "two"] {
                body.write(piece).await?;
                squall::yield_now().await;
            }
            Ok(())
        });
        let client = AsyncHttpClient::new();
        client.fetch(request).await.expect("an answer");
        assert_eq!(
            sees.recv().expect("a body"),
            "4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"
        );

        let request = HttpRequest::post(&url).body_producer(|mut body| async move {
            body.write("one ").await?;
            Err(BodyError::other("no more"))
        });
        let error = client.fetch(request).await.expect_err("it failed");
        assert!(error.to_string().contains("no more"), "{error}");
        // The head and the first piece are on the wire.
        assert_eq!(error.request_sent(), RequestSent::Maybe);
    });
}

/// Pieces that are all there at once, of so many bytes in all; then they fail, or end.
struct Pieces {
    piece: Bytes,
    left: usize,
    announced: bool,
    fails: bool,
}

impl Pieces {
    fn of(length: usize) -> Self {
        let piece: Vec<u8> = (0..8_191_u32).map(|at| (at % 251) as u8).collect();
        Self {
            piece: piece.into(),
            left: length,
            announced: false,
            fails: false,
        }
    }
}

impl BodyStream for Pieces {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let length = self.left.min(self.piece.len());
        self.left -= length;
        Poll::Ready(match length {
            0 if self.fails => Some(Err(BodyError::other("no more"))),
            0 => None,
            length => Some(Ok(self.piece.slice(..length))),
        })
    }

    fn remaining(&self) -> Option<u64> {
        self.announced.then_some(self.left as u64)
    }
}

/// A chunk of the body; empty is its end.
fn chunk(peer: &mut Peer) -> Vec<u8> {
    let size = peer.read_until("\r\n");
    let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
    let chunk = peer.read(size);
    assert_eq!(peer.read(2), b"\r\n");
    chunk
}

#[test]
fn pieces_that_are_there_at_once_are_sent_together() {
    const LENGTH: usize = 16 << 20;
    let piece = Pieces::of(LENGTH).piece;
    let expected: Vec<u8> = piece.iter().copied().cycle().take(LENGTH).collect();
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let (mut body, mut chunks) = (Vec::new(), 0);
            if head.contains("Transfer-Encoding") {
                loop {
                    let chunk = chunk(&mut peer);
                    if chunk.is_empty() {
                        break;
                    }
                    chunks += 1;
                    body.extend(chunk);
                }
            } else {
                body = peer.read(LENGTH);
            }
            let _ = seen.send((body, chunks));
            peer.write(OK);
        }
    });
    let url = server.url("/");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        for announced in [false, true] {
            let pieces = Pieces {
                announced,
                ..Pieces::of(LENGTH)
            };
            let request = HttpRequest::post(&url).body(Body::stream(pieces));
            assert_eq!(client.fetch(request).await.expect("an answer").code(), 200);
            let (body, chunks) = sees.recv().expect("a body");
            assert!(body == expected, "{} bytes", body.len());
            // At most 64 at a time, of 8 KiB.
            assert!(chunks < 40, "{chunks} chunks");
        }
    });
}

#[test]
fn what_came_before_a_body_failed_is_sent() {
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        peer.head();
        let _ = seen.send((chunk(&mut peer), peer.is_closed()));
    });
    let url = server.url("/");
    let error = on_one_lane(async move {
        let pieces = Pieces {
            fails: true,
            ..Pieces::of(20_000)
        };
        let request = HttpRequest::post(&url).body(Body::stream(pieces));
        AsyncHttpClient::new()
            .fetch(request)
            .await
            .expect_err("it failed")
    });
    assert!(error.to_string().contains("no more"), "{error}");
    let (body, closed) = sees.recv().expect("a body");
    assert_eq!((body.len(), closed), (20_000, true));
}

#[test]
fn a_content_type_of_ones_own_is_the_only_one() {
    const PATCH: &str = "application/merge-patch+json";
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            body(&mut peer, &head);
            let types = head
                .lines()
                .filter_map(|line| line.strip_prefix("Content-Type: "));
            let names = types.map(|kind| kind.split(';').next().unwrap_or_default());
            let _ = seen.send(names.collect::<Vec<_>>().join(" "));
            peer.write(OK);
        }
    });
    let url = server.url("/");
    let dir = TempDir::create();
    let path = dir.path().join("a.png");
    std::fs::write(&path, "png").expect("written");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let post = || HttpRequest::post(&url);
        let typed = |request: HttpRequest| request.header("Content-Type", PATCH);
        let form = || Multipart::new().text("a", "b");
        let file = async |request: HttpRequest| request.file(&path).await.expect("a file");
        for request in [
            post().json(&1),
            post().form([("a", "b")]),
            post().json(&1).form([("a", "b")]),
            file(post().json(&1)).await,
            typed(post().json(&1)),
            typed(post()).json(&1),
            typed(post()).form([("a", "b")]),
            typed(post().header("content-type", "a/b")).json(&1),
            file(typed(post())).await,
            typed(file(post()).await),
            typed(post()).multipart(form()),
        ] {
            client.fetch(request).await.expect("an answer");
        }
    });
    let form = "application/x-www-form-urlencoded";
    let mut expected = vec!["application/json", form, form, "image/png"];
    expected.extend([PATCH; 6]);
    expected.push("multipart/form-data");
    assert_eq!(sees.try_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_user_with_a_colon_is_not_sent_as_another_one() {
    let server = answering(OK);
    let (address, plain) = (server.address(), server.url("/"));
    let dir = TempDir::create();
    let path = dir.path().join("netrc");
    std::fs::write(&path, "machine 127.0.0.1 login a:b password p\n").expect("written");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        for (request, who) in [
            (
                HttpRequest::new(&plain).basic_auth("a:b", "p"),
                "basic_auth",
            ),
            (
                HttpRequest::new(format!("http://a%3Ab:p@{address}/")),
                "the address",
            ),
            (HttpRequest::new(&plain).netrc(Some(&path)), "netrc"),
        ] {
            let error = client.fetch(request).await.expect_err("a colon");
            let expected = format!("{who}: a user name with a colon cannot be sent");
            assert!(error.is_request(), "{error}");
            assert!(error.to_string().ends_with(&expected), "{error}");
        }
        let bearer = HttpRequest::new(&plain).bearer("a\nb");
        let error = client.fetch(bearer).await.expect_err("two lines");
        assert!(error.to_string().contains(": bearer: "), "{error}");
    });
    assert_eq!(server.accepted(), 0);
}

/// Asks for a digest, and checks nothing but that there is one.
fn challenging(challenge: &'static str) -> (super::client_script::Script, mpsc::Receiver<String>) {
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let body = body(&mut peer, &head);
            let proved = head.contains("\r\nAuthorization: Digest ");
            let _ = seen.send(format!("{head}{body}"));
            match proved {
                true => peer.write(OK),
                false => peer.write(format!(
                    "HTTP/1.1 401 No\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"
                )),
            }
        }
    });
    (server, sees)
}

#[test]
fn a_digest_is_given_when_it_is_asked_for() {
    let (server, sees) = challenging("Digest realm=\"r\", nonce=\"n\", qop=\"auth\", opaque=\"o\"");
    let url = server.url("/a?b=c");
    on_one_lane(async move {
        let request = HttpRequest::post(url).body("text").digest_auth("u", "p");
        let response = AsyncHttpClient::new().fetch(request).await;
        assert_eq!(response.expect("an answer").code(), 200);
    });
    let first = sees.recv().expect("a request");
    assert!(!first.contains("Authorization"), "{first}");
    let second = sees.recv().expect("another");
    for part in [
        "username=\"u\"",
        "realm=\"r\"",
        "nonce=\"n\"",
        "uri=\"/a?b=c\"",
        "opaque=\"o\"",
        "qop=auth, nc=00000001, cnonce=\"",
        "\r\n\r\ntext",
    ] {
        assert!(second.contains(part), "{part}: {second}");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_challenge_that_was_met_is_not_waited_for_again() {
    let (seen, sees) = mpsc::channel();
    // The second nonce is named in time, the third one when the second is old.
    let server = script(move |_, mut peer| {
        let mut nonce = 1;
        while let Some(head) = peer.head() {
            let proved = head.contains(&format!("nonce=\"{nonce}\""));
            let count = head
                .split_once("nc=")
                .map(|(_, count)| count[..8].to_owned());
            let user = head.contains("username=\"u\"").then_some('u');
            let _ = seen.send((user, proved.then_some(nonce), count));
            if !proved || head.contains("/old") && nonce == 2 {
                nonce = if head.contains("/old") { 3 } else { nonce };
                peer.write(format!(
                    "HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: \
                     Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\", stale={proved}\r\n\r\n"
                ));
                continue;
            }
            let mut info = "";
            if head.contains("/next") {
                nonce = 2;
                info = "Authentication-Info: nextnonce=\"2\"\r\n";
            }
            peer.write(format!(
                "HTTP/1.1 200 OK\r\n{info}Content-Length: 0\r\n\r\n"
            ));
        }
    });
    let base = server.url("");
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        for (user, path) in [
            ("u", "/"),
            ("u", "/a"),
            ("u", "/next"),
            ("u", "/b"),
            ("u", "/old"),
            ("v", "/"),
        ] {
            let request = HttpRequest::new(format!("{base}{path}")).digest_auth(user, "p");
            let response = client.fetch(request).await.expect("an answer");
            assert_eq!(response.code(), 200, "{path}");
        }
    });
    let nth = |user: bool, nonce, count: &str| (user.then_some('u'), nonce, Some(count.to_owned()));
    let expected = [
        (None, None, None),
        nth(true, Some(1), "00000001"),
        nth(true, Some(1), "00000002"),
        nth(true, Some(1), "00000003"),
        nth(true, Some(2), "00000001"),
        nth(true, Some(2), "00000002"),
        nth(true, Some(3), "00000001"),
        // Somebody else has to be asked.
        (None, None, None),
        nth(false, Some(3), "00000001"),
    ];
    assert_eq!(sees.try_iter().collect::<Vec<_>>(), expected);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_digest_that_is_wrong_or_cannot_be_given_ends_with_the_401() {
    let server = script(|_, mut peer| {
        while peer.head().is_some() {
            peer.write(
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n\
                 Content-Length: 0\r\n\r\n",
            );
        }
    });
    let url = server.url("/");
    on_one_lane(async move {
        let request = HttpRequest::new(url).digest_auth("u", "wrong");
        let response = AsyncHttpClient::new().fetch(request).await;
        assert_eq!(response.expect("an answer").code(), 401);
    });
    let (server, _sees) = challenging("Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"");
    let url = server.url("/");
    on_one_lane(async move {
        let request = HttpRequest::new(url).digest_auth("u", "p");
        let response = AsyncHttpClient::new().fetch(request).await;
        assert_eq!(response.expect("an answer").code(), 401);
    });
}

#[test]
fn a_netrc_file_is_asked_where_that_is_wanted_and_for_the_first_origin_only() {
    let (seen, sees) = mpsc::channel();
    let saw = seen.clone();
    let elsewhere = script(move |_, mut peer| {
        let _ = saw.send(peer.head().expect("a head"));
        peer.write(OK);
    });
    let there = elsewhere.url("/");
    let server = script(move |_, mut peer| {
        let _ = seen.send(peer.head().expect("a head"));
        peer.write(format!(
            "HTTP/1.1 302 Go\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
        ));
        peer.is_closed();
    });
    let dir = TempDir::create();
    let path = dir.path().join("netrc");
    std::fs::write(&path, "machine 127.0.0.1 login u password p\n").expect("written");
    let url = server.url("/");
    on_one_lane(async move {
        let request = HttpRequest::new(url).netrc(Some(&path));
        let response = AsyncHttpClient::new().fetch(request).await;
        assert_eq!(response.expect("an answer").code(), 200);
    });
    let first = sees.recv().expect("a request");
    assert!(
        first.contains("\r\nAuthorization: Basic dTpw\r\n"),
        "{first}"
    );
    // The other port is another origin, though the file knows the host.
    let second = sees.recv().expect("another");
    assert!(!second.contains("Authorization"), "{second}");
}

#[cfg(unix)]
#[test]
fn a_request_comes_from_the_address_it_was_given() {
    let server = script(|_, mut peer| {
        while peer.head().is_some() {
            peer.write(OK);
        }
    });
    let url = server.url("/");
    let source: IpAddr = [127, 0, 0, 9].into();
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        client.fetch(&url).await.expect("an answer");
        let from = |source| HttpRequest::new(&url).source_address(source);
        // Only Linux has all of 127/8.
        if cfg!(target_os = "linux") {
            let response = client.fetch(from(source)).await.expect("an answer");
            // Nothing of the first connection may be used: it comes from elsewhere.
            assert!(!response.reused());
        }
        let error = client.fetch(from([192, 0, 2, 1].into())).await;
        assert!(error.expect_err("not ours").is_connect());
        let error = client.fetch(from(IpAddr::from([0; 16]))).await;
        let error = error.expect_err("another family").to_string();
        assert!(error.contains("source_address"), "{error}");
    });
}

#[test]
fn a_field_of_the_client_is_in_every_request_that_has_not_its_own() {
    let (seen, sees) = mpsc::channel();
    let other = script({
        let seen = seen.clone();
        move |_, mut peer| {
            let _ = seen.send(peer.head().expect("a request"));
            peer.write(OK);
        }
    });
    let away = format!(
        "HTTP/1.1 302 Go\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        other.url("/")
    );
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let leads_away = head.starts_with("GET /away ");
            let _ = seen.send(head);
            peer.write(if leads_away { &away } else { OK });
        }
    });
    let urls = ["/", "/own", "/away"].map(|path| server.url(path));
    on_one_lane(async move {
        let client = AsyncHttpClient::builder()
            .default_header("X-Kind", "old")
            .default_header("X-Kind", "a")
            .default_header("Authorization", "Bearer t")
            .try_build();
        let client = client.expect("a client");
        for url in urls {
            let request = match url.ends_with("/own") {
                true => HttpRequest::get(url).header("x-kind", "b"),
                false => HttpRequest::get(url),
            };
            client.fetch(request).await.expect("an answer");
        }
        for name in ["Connection", "Host", "no name"] {
            let client = AsyncHttpClient::builder().default_header(name, "close");
            let error = client.user_agent("me").try_build().expect_err(name);
            assert!(error.to_string().contains("default_header"), "{error}");
        }
    });
    let heads: Vec<String> = sees.try_iter().collect();
    let has = |line: &str| {
        heads
            .iter()
            .map(|head| head.contains(line))
            .collect::<Vec<_>>()
    };
    assert_eq!(has("X-Kind: a\r\n"), [true, false, true, true]);
    assert_eq!(has("x-kind: b\r\n"), [false, true, false, false]);
    assert_eq!(
        has("Authorization: Bearer t\r\n"),
        [true, true, true, false]
    );
}
