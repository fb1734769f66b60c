//! TLS of the server: certificates by name, reloading, clients' certificates, and what
//! comes in the open where it should not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use squall::testing::{TestResponse, TestServer};
use squall::tls::{ClientAuth, Pem, Tls};
use squall::{Application, Exchange, Json, Settings, post};
use squall_tests::{Authority, Identity, TempDir, TlsClient};

/// A server whose second address speaks TLS.
fn server(tls: Tls, settings: Settings) -> (TestServer, SocketAddr) {
    let application = Application::new()
        .route("/", async || "It works")
        .route("/who", who)
        .settings(settings)
        .listen_tls("127.0.0.1:0", tls)
        .expect("a port");
    let address = application.local_addr().expect("an address");
    (TestServer::start(application), address)
}

fn one(identity: &Identity) -> Tls {
    Tls::from_pem(&identity.cert, &identity.key).expect("a certificate")
}

/// What the handshake has settled: version, name, protocol, and the clients' chain.
async fn who(exchange: Exchange) -> Json<(String, Option<String>, Option<String>, Vec<Vec<u8>>)> {
    let tls = exchange.tls().expect("an encrypted connection");
    let alpn = tls
        .alpn
        .map(|name| String::from_utf8_lossy(&name).into_owned());
    let chain = tls.peer_certificates.iter().map(|cert| cert.to_vec());
    Json((
        tls.version.to_owned(),
        tls.server_name,
        alpn,
        chain.collect(),
    ))
}

#[test]
fn a_client_gets_the_certificate_for_the_name_it_asks_for() {
    let first = Identity::of(&["first.test"]);
    let wild = Identity::of(&["*.example.com"]);
    let exact = Identity::of(&["api.example.com"]);
    let mut tls = Tls::builder();
    for identity in [&first, &wild, &exact] {
        tls = tls.certificate(Pem::text(&identity.cert), Pem::text(&identity.key));
    }
    let (_server, address) = server(tls.build().expect("certificates"), Settings::default());
    for (name, identity) in [
        ("first.test", &first),
        ("www.example.com", &wild),
        ("WWW.EXAMPLE.COM", &wild),
        ("api.example.com", &exact),
        ("other.test", &first),
        ("127.0.0.1", &first), // asks for no name
    ] {
        let mut client = TlsClient::connect(address, name, None).expect("a handshake");
        assert!(client.certificate() == identity.der, "{name}");
        assert_eq!(client.get("/").expect("an answer").text(), "It works");
    }
}

#[test]
fn a_handler_sees_what_the_handshake_settled() {
    let (_server, address) = server(one(&Identity::of(&["a.test"])), Settings::default());
    let mut client = TlsClient::connect(address, "a.test", None).expect("a handshake");
    let seen = client.get("/who").expect("an answer").json();
    assert_eq!(seen, serde_json::json!(["TLSv1.3", "a.test", null, []]));
}

#[test]
fn new_connections_get_the_certificate_that_was_reloaded() {
    let dir = TempDir::create();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let put = |identity: &Identity| {
        std::fs::write(&cert, &identity.cert).expect("a file");
        std::fs::write(&key, &identity.key).expect("a file");
    };
    let (old, new) = (Identity::of(&["a.test"]), Identity::of(&["a.test"]));
    put(&old);
    let tls = Tls::from_pem_files(&cert, &key).expect("a certificate");
    let (_server, address) = server(tls.clone(), Settings::default());
    let connect = || TlsClient::connect(address, "a.test", None).expect("a handshake");
    let mut before = connect();
    assert!(before.certificate() == old.der);
    assert_eq!(before.get("/").expect("an answer").status, 200);

    put(&new);
    assert!(
        connect().certificate() == old.der,
        "nobody has reloaded yet"
    );
    tls.reload().expect("a good certificate");
    assert!(connect().certificate() == new.der);
    assert_eq!(before.get("/").expect("still open").status, 200);

    std::fs::write(&cert, &old.cert).expect("a file");
    let error = tls
        .reload()
        .expect_err("the key is the new one's")
        .to_string();
    assert!(
        error.contains("key.pem") && error.contains("cert.pem"),
        "{error}"
    );
    assert!(connect().certificate() == new.der, "what was good stays");
    assert_eq!(before.get("/").expect("still open").status, 200);
}

#[test]
fn clients_show_certificates_where_they_are_asked() {
    let authority = Authority::new();
    let (known, stranger) = (
        authority.sign(&["client"]),
        Authority::new().sign(&["client"]),
    );
    let identity = Identity::of(&["a.test"]);
    let asking = |auth| {
        (Tls::builder().certificate(Pem::text(&identity.cert), Pem::text(&identity.key)))
            .client_auth(auth, Pem::text(authority.cert()))
            .build()
            .expect("a configuration")
    };
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let (_server, address) = server(asking(auth), Settings::default());
        let who = |shown: Option<&Identity>| {
            let chain = |answer: TestResponse| answer.json()[3].clone();
            TlsClient::connect(address, "a.test", shown)
                .and_then(|mut client| client.get("/who"))
                .map(chain)
        };
        let chain = who(Some(&known)).expect("an answer");
        assert_eq!(chain, serde_json::json!([known.der]), "{auth:?}");
        who(Some(&stranger)).expect_err("another authority's");
        match auth {
            ClientAuth::Optional => {
                assert_eq!(who(None).expect("an answer"), serde_json::json!([]));
            }
            ClientAuth::Required => {
                who(None).expect_err("none was shown");
            }
        }
    }
}

/// Everything that comes until the server closes.
fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    (socket.set_read_timeout(Some(Duration::from_secs(30)))).expect("a timeout");
    socket.read_to_end(&mut bytes).expect("an end in order");
    bytes
}

#[test]
fn http_on_the_port_of_https_is_told_so() {
    let (_server, address) = server(one(&Identity::of(&["a.test"])), Settings::default());
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .expect("sent");
    let answer = TestResponse::parse(&rest(&mut socket));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(answer.text().contains("speaks https"), "{}", answer.text());

    // What is neither is closed, with TLS's own alert.
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.write_all(b"\x17\x03\x03\x00\x01x").expect("sent");
    let alert = rest(&mut socket);
    assert_eq!(alert.first(), Some(&21), "{alert:?}");
}

#[test]
fn requests_in_the_open_are_sent_to_https() {
    let tls = one(&Identity::of(&["a.test"]));
    for (port, host, location) in [
        (443, "a.test", "https://a.test/a%20b?c=d&e"),
        (443, "a.test:8080", "https://a.test/a%20b?c=d&e"),
        (8443, "a.test:8080", "https://a.test:8443/a%20b?c=d&e"),
        (8443, "[::1]:80", "https://[::1]:8443/a%20b?c=d&e"),
        (8443, "[::1]", "https://[::1]:8443/a%20b?c=d&e"),
    ] {
        let application = Application::new()
            .route("/a b", async || "in the open")
            .redirect_to_https("127.0.0.1:0", port)
            .and_then(|application| application.listen_tls("127.0.0.1:0", tls.clone()))
            .expect("ports");
        let address = application.local_addr().expect("an address");
        let _server = TestServer::start(application);
        let mut socket = TcpStream::connect(address).expect("a connection");
        write!(
            socket,
            "POST /a%20b?c=d&e HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Length: 2\r\n\r\nhi"
        )
        .expect("sent");
        let answer = TestResponse::parse(&rest(&mut socket));
        assert_eq!(
            (answer.status, answer.header("location")),
            (308, Some(location))
        );
    }
}

#[test]
fn a_handshake_that_does_not_end_is_closed() {
    let mut settings = Settings::default();
    settings.server.handshake_timeout = Duration::from_millis(50);
    let (_server, address) = server(one(&Identity::of(&["a.test"])), settings);
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut socket = TcpStream::connect(address).expect("a connection");
        socket.write_all(begun).expect("sent");
        assert_eq!(rest(&mut socket), b"");
    }
}

#[test]
fn of_too_many_handshakes_the_oldest_is_given_up() {
    let mut settings = Settings::default();
    settings.server.max_handshakes = 2;
    let (_server, address) = server(one(&Identity::of(&["a.test"])), settings);
    let idle = || TcpStream::connect(address).expect("a connection");
    let (mut first, _second, _third) = (idle(), idle(), idle());
    assert_eq!(rest(&mut first), b"", "closed for the third");
    // Whoever means it is served, however many hold their places.
    let mut client = TlsClient::connect(address, "a.test", None).expect("a handshake");
    assert_eq!(client.get("/").expect("an answer").status, 200);
}

#[test]
fn who_shakes_hands_holds_a_place_and_never_all_of_them() {
    let mut settings = Settings::default();
    settings.server.max_connections = 4;
    let (_server, address) = server(one(&Identity::of(&["a.test"])), settings);
    let connect = || TlsClient::connect(address, "a.test", None).expect("a handshake");
    let mut first = connect();
    let mut second = connect();
    for client in [&mut first, &mut second] {
        assert_eq!(client.get("/").expect("an answer").status, 200);
    }
    let idle = || TcpStream::connect(address).expect("a connection");
    let (mut oldest, _other, _third) = (idle(), idle(), idle());
    assert_eq!(rest(&mut oldest), b"", "two places are for handshakes");
    assert!(first.get("/").is_err(), "it gave way to the third");
    assert_eq!(second.get("/").expect("an answer").status, 200);
}

#[test]
fn a_handshake_in_pieces_is_one() {
    let (_server, address) = server(one(&Identity::of(&["a.test"])), Settings::default());
    let mut client = TlsClient::connect_in_pieces(address, "a.test").expect("a handshake");
    assert_eq!(client.get("/").expect("an answer").text(), "It works");
}

#[test]
fn a_body_that_no_handler_reads_is_not_taken_in() {
    const MOST: usize = 64 << 20;
    let application = Application::new()
        .route("/", post(std::future::pending::<&str>))
        .listen_tls("127.0.0.1:0", one(&Identity::of(&["a.test"])))
        .expect("a port");
    let address = application.local_addr().expect("an address");
    let _server = TestServer::start(application);
    let socket = TcpStream::connect(address).expect("a connection");
    let own = socket.try_clone().expect("the same socket");
    let mut client = TlsClient::over(socket, "a.test", None).expect("a handshake");
    // Who cannot write looks whether there is something to read first.
    let patience = Some(Duration::from_millis(500));
    own.set_write_timeout(patience).expect("a timeout");
    own.set_read_timeout(patience).expect("a timeout");
    let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {MOST}\r\n\r\n");
    client.send(head.as_bytes()).expect("sent");
    // The system's buffers take some of it, and nobody else.
    let piece = [0; 16 << 10];
    let sent = (0..MOST / piece.len()).take_while(|_| client.send(&piece).is_ok());
    assert!(sent.count() < MOST / piece.len(), "all of it was taken");
}

#[test]
fn an_alert_in_place_of_a_handshake_ends_it() {
    let mut settings = Settings::default();
    settings.server.handshake_timeout = Duration::from_millis(50);
    let (_server, address) = server(one(&Identity::of(&["a.test"])), settings);
    // close_notify, as a warning.
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket
        .write_all(b"\x15\x03\x03\x00\x02\x01\x00")
        .expect("sent");
    let answer = rest(&mut socket);
    // An alert, or none.
    assert!(matches!(answer[..], [] | [0x15, ..]), "{answer:?}");
}
