//! TLS, on both sides: who is trusted, what is said about who is not, and bytes in bulk.

use std::sync::Arc;

use squall::client::{AsyncHttpClient, FetchError, HttpRequest, Phase};
use squall_http::Stream;
use squall_http::tls::server_config;
use squall_loop::net::TcpListener;

use super::client_script::on_loop;

struct Identity {
    cert: String,
    config: Arc<rustls::ServerConfig>,
}

fn identity(names: &[&str]) -> Identity {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let config = server_config(cert.as_bytes(), key.as_bytes()).expect("a configuration");
    Identity { cert, config }
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let written = std::future::poll_fn(|cx| stream.poll_write(cx, bytes)).await?;
        bytes = &bytes[written..];
    }
    std::future::poll_fn(|cx| stream.poll_flush(cx)).await
}

/// Serves TLS connections: reads a head and a body of `body` bytes, and answers with as
/// many.
async fn serve(listener: TcpListener, config: Arc<rustls::ServerConfig>, body: usize) {
    while let Ok((tcp, _)) = listener.accept().await {
        let config = config.clone();
        squall::IoLoop::current().spawn_callback(move || async move {
            if let Ok(stream) = Stream::accept_tls(tcp, config).await {
                // It ends when the client closes, however it does.
                let _ = exchanges(&stream, body).await;
            }
        });
    }
}

async fn exchanges(stream: &Stream, body: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let mut received = Vec::new();
        let whole = |received: &[u8]| {
            let head = received.windows(4).position(|end| end == b"\r\n\r\n");
            head.is_some_and(|head| received.len() >= head + 4 + body)
        };
        while !whole(&received) {
            let read = std::future::poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await?;
            if read == 0 {
                return Ok(());
            }
            received.extend_from_slice(&buffer[..read]);
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n");
        write_all(stream, head.as_bytes()).await?;
        write_all(stream, &vec![b'x'; body]).await?;
    }
}

fn fetch(
    server: Identity,
    body: usize,
    make: impl FnOnce(String, &str) -> HttpRequest + Send + 'static,
) -> Result<(usize, bool), FetchError> {
    on_loop(async move {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(squall::IoLoop::current().spawn(serve(listener, server.config, body)));
        let client = AsyncHttpClient::new();
        let url = format!("https://localhost:{port}/");
        let request = make(url.clone(), &server.cert);
        let mut first = client.fetch(request).await?;
        assert!(first.time_info().appconnect >= first.time_info().connect);
        let len = first.bytes().await?.len();
        // Its certificate is trusted by that request only, so nothing may be reused.
        let other = client.fetch(HttpRequest::new(url)).await;
        let refused = other.is_err_and(|error| error.is_tls() && !error.is_timeout());
        Ok((len, refused))
    })
}

#[test]
fn a_self_signed_certificate_is_refused_in_words() {
    let error = fetch(identity(&["localhost"]), 0, |url, _| HttpRequest::new(url));
    let error = error.expect_err("not trusted");
    assert!(error.is_tls() && error.is_connect());
    assert_eq!(error.phase(), Phase::Tls);
    let text = error.to_string();
    for words in [
        "self-signed",
        "ca_certs",
        "validate_cert(false)",
        "https://localhost:",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn it_is_accepted_when_it_is_named_or_not_asked_for() {
    let named = fetch(identity(&["localhost"]), 1, |url, cert| {
        HttpRequest::post(url).body("x").ca_certs(cert)
    });
    assert_eq!(named.expect("trusted"), (1, true));
    let blind = fetch(identity(&["other.test"]), 1, |url, _| {
        HttpRequest::post(url).body("x").validate_cert(false)
    });
    assert_eq!(blind.expect("not checked"), (1, true));
}

#[test]
fn a_certificate_is_for_its_names_only() {
    let error = fetch(identity(&["other.test"]), 0, |url, cert| {
        HttpRequest::new(url).ca_certs(cert)
    });
    let text = error.expect_err("another name").to_string();
    assert!(text.contains("another host name"), "{text}");
}

#[test]
fn bodies_go_both_ways_in_bulk() {
    const BODY: usize = 3 << 20;
    let result = fetch(identity(&["localhost"]), BODY, |url, cert| {
        HttpRequest::post(url).body(vec![b'y'; BODY]).ca_certs(cert)
    });
    assert_eq!(result.expect("an answer"), (BODY, true));
}

#[test]
fn a_server_without_tls_is_told_so() {
    let server = super::client_script::script(|_, mut peer| {
        peer.read(1);
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let url = server.url("/").replace("http:", "https:");
    let error = on_loop(async move { AsyncHttpClient::new().fetch(url).await.map(drop) });
    let error = error.expect_err("no TLS");
    assert_eq!(error.phase(), Phase::Tls, "{error}");
}
