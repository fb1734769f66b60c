//! Servers that others wrote: the client fetches from them what everybody fetches.

use std::fs;
use std::path::Path;
use std::time::Duration;

use squall::client::{AsyncHttpClient, HttpRequest, HttpResponse, Multipart};
use squall::{Body, BodyError, Bytes};
use squall_tests::{on_two_lanes, times};

use super::servers::{LARGE, Server, Version, apache, haproxy, lighttpd, nginx, text};

/// Uploads that are refused, of each server.
const REFUSALS: usize = 20;

/// A client that takes its time for what is large, and waits for a server whose machine is
/// busy with other things.
fn client() -> AsyncHttpClient {
    AsyncHttpClient::builder()
        .request_timeout(Duration::ZERO)
        .idle_timeout(Duration::from_secs(600))
        .build()
}

fn large() -> Bytes {
    Bytes::from_static(LARGE.as_slice())
}

/// A body whose length nobody is told.
fn in_pieces(mut bytes: Bytes) -> Body {
    Body::from_fn(move || {
        let next = bytes.split_to(bytes.len().min(64 << 10));
        async move { (!next.is_empty()).then_some(Ok::<_, BodyError>(next)) }
    })
}

async fn code(client: &AsyncHttpClient, request: HttpRequest) -> u16 {
    let mut response = client.fetch(request).await.expect("an answer");
    response.bytes().await.expect("its body");
    response.code()
}

/// What every server has to give: text by its coding, a large file, and one connection
/// for as many requests as one likes.
fn downloads(server: &Server, coding: Option<&'static str>) {
    let (small, large) = (server.url("/text.txt"), server.url("/large.bin"));
    let saved = server.dir.path().join("saved");
    on_two_lanes(async move {
        let client = client();
        let mut response = client.fetch(&small).await.expect("an answer");
        assert_eq!(response.text().await.expect("text"), text());
        let taken_off = response.headers().get("x-consumed-content-encoding");
        assert_eq!(taken_off, coding);
        let missing = HttpRequest::new(small.replace("text", "missing"));
        assert_eq!(code(&client, missing).await, 404);
        let mut response = client.fetch(&large).await.expect("an answer");
        let len = response.save_to(&saved).await.expect("saved");
        assert_eq!(len, LARGE.len() as u64);
        assert!(fs::read(&saved).expect("a file") == *LARGE);
        let mut connections = 0;
        for _ in 0..times(1000) {
            let head = HttpRequest::head(&small);
            let response: HttpResponse = client.fetch(head).await.expect("an answer");
            assert_eq!(response.code(), 200);
            connections += usize::from(!response.reused());
        }
        // The one of before may have been closed while the files were compared.
        assert!(connections <= 1, "{connections}");
    });
}

/// Bodies of each kind, and a large one, arrive at `behind` as they were sent to `server`.
fn uploads(server: &Server, behind: &Server, folder: &str) {
    let base = server.url(folder);
    let large = behind.dir.path().join("www/large.bin");
    let kinds = on_two_lanes(async move {
        let client = client();
        let put = |name: &str| HttpRequest::put(format!("{base}/{name}"));
        let chunk = || Ok::<_, BodyError>(Bytes::from_static(b"chunk "));
        let mut chunks = std::iter::repeat_with(chunk).take(1000);
        let stream = Body::from_fn(move || {
            let next = chunks.next();
            async move { next }
        });
        let produced = put("produced").body_producer(|mut body| async move {
            for _ in 0..1000 {
                body.write("piece ").await?;
            }
            Ok(())
        });
        let form = Multipart::new().text("a", "b").file("file", &large).await;
        let form = form.expect("a file");
        let form_length = form.len().expect("a length");
        for request in [
            put("bytes").body("bytes"),
            put("json").json(&[1, 2]),
            put("form").form([("a", "b c")]),
            put("stream").body(stream),
            put("chunked").body(in_pieces(self::large())),
            produced,
            put("file").file(&large).await.expect("a file"),
            put("multipart").multipart(form),
            put("expect").body("wanted").expect_continue(true),
        ] {
            assert!(matches!(code(&client, request).await, 201 | 204));
        }
        assert_eq!(client.stats().open, 1, "one after the other");
        form_length
    });
    let folder = folder.trim_start_matches('/');
    let read = |name: &str| behind.read(&Path::new(folder).join(name).to_string_lossy());
    assert_eq!(read("bytes"), b"bytes");
    assert_eq!(read("json"), b"[1,2]");
    assert_eq!(read("form"), b"a=b+c");
    assert_eq!(read("stream"), b"chunk ".repeat(1000));
    assert_eq!(read("produced"), b"piece ".repeat(1000));
    assert_eq!(read("expect"), b"wanted");
    assert!(read("chunked") == *LARGE && read("file") == *LARGE);
    assert_eq!(read("multipart").len() as u64, kinds);
}

/// A server that does not want an upload is heard while it is on its way.
fn refuses(server: &Server) {
    let url = server.url("/refused/x");
    on_two_lanes(async move {
        let client = client();
        for _ in 0..REFUSALS {
            let request = HttpRequest::put(&url).body(large());
            let response = client.fetch(request).await.expect("its refusal");
            assert_eq!(response.code(), 413);
        }
        let stream = in_pieces(large());
        // That it is too long shows when it is on its way, unless nobody looks.
        let response = client.fetch(HttpRequest::put(&url).body(stream)).await;
        assert!(matches!(response.expect("its refusal").code(), 404 | 413));
    });
}

fn over_its_socket(server: &Server) {
    let socket = server.dir.path().join("socket");
    on_two_lanes(async move {
        let request = HttpRequest::new("http://any.test/text.txt").unix_socket(socket);
        let mut response = client().fetch(request).await.expect("an answer");
        assert_eq!(response.text().await.expect("text"), text());
        assert_eq!(response.remote_addr(), None);
    });
}

/// Its certificate is checked, and it checks the client's.
fn over_tls(server: &Server, version: Version) {
    let port = server.tls_port;
    let pem = |name: &str| fs::read(server.dir.path().join(name)).expect("a file");
    let (ca, cert, key) = (pem("ca.pem"), pem("client-cert.pem"), pem("client-key.pem"));
    on_two_lanes(async move {
        let client = AsyncHttpClient::builder().ca_certs(ca).build();
        let url = format!("https://localhost:{port}/text.txt");
        let known = HttpRequest::new(&url).client_cert(&cert, &key);
        for (request, verified) in [(HttpRequest::new(&url), "NONE"), (known, "SUCCESS")] {
            let mut response = client.fetch(request).await.expect("an answer");
            assert_eq!(response.text().await.expect("text"), text());
            let who = response.headers().get("x-who").unwrap_or_default();
            assert_eq!(who, format!("{version} {verified}"));
            // Whoever is known shares no connection with whoever is not.
            assert!(!response.reused());
        }
        let address = format!("https://127.0.0.1:{port}/text.txt");
        let error = client.fetch(&address).await.expect_err("another name");
        assert!(error.is_tls(), "{error}");
        let named = HttpRequest::new(&address).server_name("localhost");
        assert_eq!(code(&client, named).await, 200);
    });
}

const VERSIONS: [Version; 2] = ["TLSv1.2", "TLSv1.3"];

#[test]
fn nginx_gives_and_takes() {
    let Some(server) = nginx(None) else { return };
    downloads(&server, Some("gzip"));
    uploads(&server, &server, "/upload");
    refuses(&server);
    over_its_socket(&server);
    let url = server.url("/trailing/text.txt");
    on_two_lanes(async move {
        let mut response = client().fetch(url).await.expect("an answer");
        let mut whole = Vec::new();
        while let Some(chunk) = response.chunk().await.expect("a body") {
            whole.extend_from_slice(&chunk);
        }
        assert!(whole == text().as_bytes());
        let trailers = response.take_trailers().expect("trailers");
        assert_eq!(trailers.get("x-sum"), Some("done"));
    });
}

#[test]
fn apache_gives_and_takes() {
    let Some(server) = apache(None) else { return };
    downloads(&server, Some("br"));
    uploads(&server, &server, "");
    refuses(&server);
}

#[test]
fn lighttpd_gives_and_takes() {
    let Some(server) = lighttpd(None) else { return };
    downloads(&server, Some("gzip"));
    uploads(&server, &server, "/upload");
    refuses(&server);
    over_its_socket(&server);
}

#[test]
fn haproxy_passes_on() {
    let Some(server) = nginx(None) else { return };
    let Some(proxy) = haproxy(&server, None) else {
        return;
    };
    downloads(&proxy, Some("gzip"));
    uploads(&proxy, &server, "/upload");
    refuses(&proxy);
    over_its_socket(&proxy);
}

#[test]
fn servers_check_and_are_checked_over_tls() {
    for version in VERSIONS {
        for start in [nginx, apache, lighttpd] {
            if let Some(server) = start(Some(version)) {
                over_tls(&server, version);
            }
        }
    }
}

#[test]
fn haproxy_checks_and_is_checked_over_tls() {
    let Some(server) = nginx(None) else { return };
    for version in VERSIONS {
        if let Some(proxy) = haproxy(&server, Some(version)) {
            over_tls(&proxy, version);
        }
    }
}
