//! TLS, on both sides: who is trusted, what is said about who is not, and bytes in bulk.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use squall::client::{AsyncHttpClient, ClientBuilder, FetchError, HttpRequest, Phase, Retry};
use squall::forward::{Forward, forward};
use squall::testing::{Nobody, TestServer};
use squall::{Application, Request, Response, any};
use squall_http::Stream;
use squall_http::tls::{ClientAuth, Pem, Tls};
use squall_loop::net::TcpListener;
use squall_loop::run_on_executor;
use squall_tests::on_one_lane;

use super::client_script::{script, silent};

struct Identity {
    cert: String,
    config: Arc<rustls::ServerConfig>,
}

fn identity(names: &[&str]) -> Identity {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    configured(made.cert.pem(), &made.signing_key)
}

fn configured(cert: String, key: &rcgen::KeyPair) -> Identity {
    let key = key.serialize_pem();
    let config = Tls::from_pem(&cert, key).expect("a configuration").config();
    Identity { cert, config }
}

/// As `openssl req -x509` makes them: an authority that serves itself.
fn authority(name: &str, adapt: impl FnOnce(&mut rcgen::CertificateParams)) -> Identity {
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    adapt(&mut params);
    let key = rcgen::KeyPair::generate().expect("a key");
    let cert = params.self_signed(&key).expect("a certificate");
    configured(cert.pem(), &key)
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
    on_one_lane(async move {
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
fn another_name_is_asked_for_where_the_request_says_so() {
    let named = fetch(identity(&["other.test"]), 1, |url, cert| {
        (HttpRequest::post(url).body("x"))
            .ca_certs(cert)
            .server_name("other.test")
    });
    assert_eq!(named.expect("trusted"), (1, true));
}

#[test]
fn a_connection_is_for_the_name_that_was_asked_for() {
    on_one_lane(async {
        let server = identity(&["a.test", "b.test"]);
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let url = format!("https://{}/", listener.local_addr().expect("an address"));
        drop(squall::IoLoop::current().spawn(serve(listener, server.config, 0)));
        let client = AsyncHttpClient::builder().ca_certs(server.cert).build();
        for (name, reused) in [
            ("a.test", false),
            ("b.test", false),
            ("a.test", true),
            ("b.test", true),
        ] {
            let request = HttpRequest::get(&url).server_name(name);
            let response = client.fetch(request).await.expect("an answer");
            assert_eq!(response.reused(), reused, "{name}");
        }
    });
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
    let server = script(|_, mut peer| {
        peer.read(1);
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let url = server.url("/").replace("http:", "https:");
    let error = on_one_lane(async move { AsyncHttpClient::new().fetch(url).await.map(drop) });
    let error = error.expect_err("no TLS");
    assert_eq!(error.phase(), Phase::Tls, "{error}");
}

#[test]
fn an_authority_that_serves_itself_is_accepted_when_it_is_named() {
    let named = fetch(authority("localhost", |_| ()), 1, |url, cert| {
        HttpRequest::post(url).body("x").ca_certs(cert)
    });
    assert_eq!(named.expect("trusted"), (1, true));

    let refused = |server, named: Option<String>| {
        let error = fetch(server, 0, move |url, cert| {
            HttpRequest::new(url).ca_certs(named.as_deref().unwrap_or(cert))
        });
        let error = error.expect_err("not trusted");
        assert_eq!(error.phase(), Phase::Tls, "{error}");
        error.to_string()
    };
    let text = refused(authority("other.test", |_| ()), None);
    assert!(text.contains("another host name"), "{text}");
    let expired = authority("localhost", |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    });
    let text = refused(expired, None);
    assert!(text.contains("it has expired"), "{text}");
    let other = authority("localhost", |_| ()).cert;
    let text = refused(authority("localhost", |_| ()), Some(other));
    for words in ["self-signed", "ca_certs(pem)", "validate_cert(false)"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn ca_certs_without_a_certificate_are_an_error_before_anything_is_tried() {
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    for pem in [String::new(), "no PEM".to_owned(), key] {
        let settings = AsyncHttpClient::builder().ca_certs(&pem);
        let early = settings.clone().try_build().expect_err("no certificate");
        let (late, request) = on_one_lane(async move {
            let url = "https://localhost:1/";
            let late = settings.build().fetch(url).await.map(drop);
            let request = HttpRequest::new(url).ca_certs(&pem);
            let request = AsyncHttpClient::new().fetch(request).await.map(drop);
            (late, request)
        });
        for error in [early, late.expect_err("late"), request.expect_err("one")] {
            assert_eq!(error.phase(), Phase::Request, "{error}");
            let text = error.to_string();
            assert!(text.contains("ca_certs cannot be used: no CERT"), "{text}");
        }
    }
    assert!(AsyncHttpClient::builder().try_build().is_ok());
}

/// Answers by way of the service at `upstream`: `/fetch`, which waits so long for an
/// answer, and `/forward/…`.
fn front(upstream: &str, patience: Duration) -> TestServer {
    let (address, upstream) = (upstream.to_owned(), Forward::to(upstream));
    let fetching = move |_: Request| {
        let address = address.clone();
        async move {
            // From the moment when the request is sent: connecting takes what it takes.
            let request = HttpRequest::new(address).first_byte_timeout(patience);
            AsyncHttpClient::new().fetch(request).await?;
            squall::Result::<Response>::Err(squall::Error::not_found("it answered"))
        }
    };
    let relay = move |request: Request| {
        let upstream = upstream.clone();
        async move {
            forward(request, &upstream).await.map_err(|error| {
                let fetch = error.fetch_error().expect("it was tried");
                assert!(fetch.url().ends_with("/forward/a"), "{fetch}");
                let url = fetch.url().to_owned();
                let error = squall::Error::from(error);
                // The log has the whole story.
                assert!(error.to_string().contains(&url), "{error}");
                error
            })
        }
    };
    TestServer::start(
        Application::new()
            .route("/fetch", any(fetching))
            .route("/forward/{*path}", any(relay)),
    )
}

fn assert_told(server: &TestServer, path: &str, status: u16, detail: &str) {
    let answer = server.get(path);
    let expected = format!("the service behind this one cannot be used: {detail}");
    let problem: serde_json::Value = serde_json::from_str(&answer.text()).expect("a problem");
    let told = problem["detail"].as_str();
    assert_eq!((answer.status, told), (status, Some(&*expected)), "{path}");
}

#[test]
fn a_client_is_told_where_it_failed_and_no_address() {
    let long = Duration::from_secs(30);
    let nobody = Nobody::bind();
    let vain = front(&nobody.url(""), long);
    for path in ["/fetch", "/forward/a?secret"] {
        assert_told(&vain, path, 502, "connecting: connection refused");
    }

    let silent = silent(|_, _| ());
    let mute = front(&silent.url(""), Duration::from_millis(50));
    assert_told(&mute, "/fetch", 504, "waiting for the answer: timed out");
    let closing = script(|_, mut peer| drop(peer.head()));
    let hasty = front(&closing.url(""), long);
    let closed = "waiting for the answer: the connection was closed";
    assert_told(&hasty, "/forward/a", 502, closed);

    for (server, words) in [
        (
            authority("localhost", |_| ()),
            "the certificate is self-signed",
        ),
        (
            identity(&["localhost"]),
            "the certificate is self-signed, or signed by an authority that is not trusted",
        ),
    ] {
        let config = server.config;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for mut tcp in listener.incoming().map_while(Result::ok) {
                let mut tls = rustls::ServerConnection::new(config.clone()).expect("TLS");
                // It ends when the client refuses.
                let _ = tls.complete_io(&mut tcp);
            }
        });
        let server = front(&format!("https://localhost:{port}"), long);
        for path in ["/fetch", "/forward/a"] {
            assert_told(&server, path, 502, &format!("TLS handshake: {words}"));
        }
    }
}

/// Serves TLS connections, one after another; its port.
fn tls_server(
    config: Arc<rustls::ServerConfig>,
    serve: impl Fn(rustls::ServerConnection, TcpStream) + Send + 'static,
) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            serve(
                rustls::ServerConnection::new(config.clone()).expect("TLS"),
                tcp,
            );
        }
    });
    port
}

#[test]
fn a_certificate_that_the_client_does_not_show_is_missed_in_words_and_once() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("one");
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = Tls::builder()
        .certificate(Pem::text(&cert), Pem::text(key))
        .client_auth(ClientAuth::Required, Pem::text(&cert))
        .build();
    let (seen, sees) = mpsc::channel();
    let port = tls_server(
        tls.expect("a configuration").config(),
        move |mut tls, mut tcp| {
            // Before the client can hear of it.
            seen.send(()).expect("waited for");
            // In TLS 1.3 the client's side of the handshake is over before.
            tls.complete_io(&mut tcp).expect_err("no certificate");
            // It stays, so that no reset overtakes the alert.
            let _ = std::io::copy(&mut tcp, &mut std::io::sink());
        },
    );
    let request = HttpRequest::new(format!("https://localhost:{port}/"))
        .ca_certs(cert)
        .retry(Retry::times(2));
    let error = on_one_lane(async move { AsyncHttpClient::new().fetch(request).await.map(drop) });
    let error = error.expect_err("refused");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    assert_eq!(sees.try_iter().count(), 1);
}

#[test]
fn the_end_of_an_idle_connection_is_announced() {
    let short = Duration::from_millis(1);
    for adapt in [
        (|client| client) as fn(ClientBuilder) -> ClientBuilder,
        |client| client.max_idle_per_origin(0),
        |client| client.max_age(Duration::ZERO),
    ] {
        let Identity { cert, config } = identity(&["localhost"]);
        let (seen, sees) = mpsc::channel();
        let port = tls_server(config, move |tls, tcp| {
            let mut stream = rustls::StreamOwned::new(tls, tcp);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a head");
                head.extend(byte);
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).expect("sent");
            let end = stream.read(&mut [0]).map_err(|error| error.kind());
            seen.send(end).expect("waited for");
        });
        let end = on_one_lane(async move {
            let client = AsyncHttpClient::builder().ca_certs(cert).keep_idle(short);
            let client = adapt(client).build();
            let url = format!("https://localhost:{port}/");
            let mut response = client.fetch(url).await.expect("an answer");
            response.bytes().await.expect("a body");
            // The client lives on, and closes what it does not use.
            run_on_executor(move || sees.recv()).await
        });
        assert_eq!(end.expect("no panic"), Ok(Ok(0)));
    }
}
