//! Proxies before the server: the PROXY protocol, and the fields that say who the client
//! is. What a trusted one says counts, and what anybody else says does not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use squall::settings::ForwardedBy;
use squall::testing::{TestResponse, TestServer};
use squall::{Application, Path, RemoteAddr, Request, Router, Settings, TrustedPeers};
use squall_tests::{Identity, TlsClient};

/// A server that answers with the client's address, scheme and host.
fn server(settings: Settings) -> TestServer {
    TestServer::start(application().settings(settings))
}

fn application() -> Application {
    Application::new().route("/", async |mut request: Request| {
        let RemoteAddr(remote) = request.extract().await?;
        let scheme = if request.is_https() { "https" } else { "http" };
        let peer = request.exchange().remote_addr();
        let direct = if peer == remote { "direct" } else { "told" };
        let client = remote.ip().map_or("unix".to_owned(), |ip| ip.to_string());
        let host = request.host().unwrap_or("-");
        squall::Result::<_>::Ok(format!("{client} {direct} {scheme} {host}"))
    })
}

fn trusted(entries: &[&str]) -> TrustedPeers {
    TrustedPeers::new(entries.iter().copied()).expect("networks")
}

fn proxy_protocol(entries: &[&str]) -> Settings {
    let mut settings = Settings::default();
    settings.server.proxy_protocol = trusted(entries);
    settings
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

fn block(address: [u8; 4]) -> Vec<u8> {
    let mut block = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    block.extend(address);
    block.extend([127, 0, 0, 1, 0x12, 0x67, 0, 80]);
    block
}

/// Everything that comes until the server closes, by an end or a reset.
fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer
}

#[test]
fn a_proxy_header_of_a_trusted_peer_names_the_client() {
    let server = server(proxy_protocol(&["127.0.0.0/8"]));
    for (header, client) in [
        (
            b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n".to_vec(),
            "192.0.2.7",
        ),
        (
            b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec(),
            "2001:db8::7",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (block([192, 0, 2, 8]), "192.0.2.8"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), "127.0.0.1"),
    ] {
        let answer = TestResponse::parse(&server.raw(&[&header[..], REQUEST].concat()));
        assert_eq!(answer.text(), format!("{client} direct http a.test"));
        // The same, byte by byte.
        let mut socket = server.connect();
        socket.set_nodelay(true).expect("an option");
        for byte in [&header[..], REQUEST].concat() {
            socket.write_all(&[byte]).expect("sent");
        }
        let answer = TestResponse::parse(&rest(&mut socket));
        assert_eq!(answer.text(), format!("{client} direct http a.test"));
    }
}

#[test]
fn a_trusted_peer_has_to_send_a_proxy_header() {
    let server = server(proxy_protocol(&["127.0.0.1"]));
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
    for begin in [
        REQUEST,
        b"PROXY TCP4 192.0.2.7\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"PROXY TCP9 192.0.2.7 127.0.0.1 4711 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x41\x11\0\x0c0123456789ab",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        &endless,
    ] {
        let mut socket = server.connect();
        let _ = socket.write_all(begin);
        assert_eq!(rest(&mut socket), b"", "{begin:?}");
    }
}

#[test]
fn a_proxy_header_of_anybody_else_is_refused() {
    for peers in [&["192.0.2.0/24"][..], &[]] {
        let server = server(proxy_protocol(peers));
        for header in [
            &b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n"[..],
            &block([192, 0, 2, 7]),
        ] {
            let answer = TestResponse::parse(&server.raw(&[header, REQUEST].concat()));
            assert_eq!(answer.status, 400, "{peers:?}");
        }
        let answer = TestResponse::parse(&server.raw(REQUEST));
        assert_eq!(answer.text(), "127.0.0.1 direct http a.test");
    }
}

#[test]
fn a_proxy_header_that_does_not_come_is_not_waited_for() {
    let mut settings = proxy_protocol(&["127.0.0.1"]);
    settings.server.handshake_timeout = Duration::from_millis(50);
    let server = server(settings);
    for begin in [
        &b""[..],
        b"PROXY TCP4 192",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    ] {
        let mut socket = server.connect();
        socket.write_all(begin).expect("sent");
        assert_eq!(rest(&mut socket), b"");
    }
}

#[test]
fn a_proxy_header_comes_before_tls() {
    let identity = Identity::of(&["a.test"]);
    let tls = squall::tls::Tls::from_pem(&identity.cert, &identity.key).expect("a certificate");
    let application = application()
        .settings(proxy_protocol(&["127.0.0.1"]))
        .listen_tls("127.0.0.1:0", tls)
        .expect("a port");
    let address = application.local_addr().expect("an address");
    let _server = TestServer::start(application);
    for header in [
        &b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n"[..],
        &block([192, 0, 2, 7]),
    ] {
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.write_all(header).expect("sent");
        let mut client = TlsClient::over(socket, "a.test", None).expect("a handshake");
        let answer = client.get("/").expect("an answer");
        assert_eq!(answer.text(), "192.0.2.7 direct https a.test");
    }
}

fn behind(proxies: &[&str], by: ForwardedBy) -> TestServer {
    let mut settings = Settings::default();
    settings.trusted_proxies = trusted(proxies);
    settings.forwarded_by = by;
    server(settings)
}

const SPOOFED: [(&str, &str); 4] = [
    ("X-Forwarded-For", "192.0.2.66"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.test"),
    ("Forwarded", "for=192.0.2.66;proto=https;host=evil.test"),
];

#[test]
fn nobody_says_who_he_is_unless_he_is_trusted() {
    for proxies in [&[][..], &["192.0.2.0/24", "unix"]] {
        for by in [ForwardedBy::XForwarded, ForwardedBy::Forwarded] {
            let answer = behind(proxies, by).send("GET", "/", &SPOOFED, b"");
            assert_eq!(answer.text(), "127.0.0.1 direct http test");
        }
    }
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let server = behind(&["127.0.0.1", "10.0.0.0/8"], ForwardedBy::XForwarded);
    for (chain, seen) in [
        ("192.0.2.7", "192.0.2.7 told https a.test"),
        (
            "192.0.2.66, 192.0.2.7, 10.0.0.1",
            "192.0.2.7 told https a.test",
        ),
        ("192.0.2.66, nonsense", "127.0.0.1 direct https a.test"),
    ] {
        let fields = [
            ("X-Forwarded-For", chain),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "a.test"),
            // This proxy does not know it, so the client may have sent it.
            ("Forwarded", "for=192.0.2.66;proto=http;host=evil.test"),
        ];
        assert_eq!(
            server.send("GET", "/", &fields, b"").text(),
            seen,
            "{chain}"
        );
    }
    let server = behind(&["127.0.0.1", "10.0.0.0/8"], ForwardedBy::Forwarded);
    let fields = [
        ("X-Forwarded-For", "192.0.2.66"),
        ("X-Forwarded-Proto", "http"),
        ("Forwarded", "for=192.0.2.66;host=evil.test"),
        (
            "Forwarded",
            "for=\"[2001:db8::7]:1\";proto=https;host=a.test, for=10.0.0.1",
        ),
    ];
    let answer = server.send("GET", "/", &fields, b"");
    assert_eq!(answer.text(), "2001:db8::7 told https a.test");
}

#[test]
fn a_target_of_https_is_not_served_in_the_open() {
    let absolute = |scheme: &str, field: &str| {
        format!(
            "GET {scheme}://a.test/ HTTP/1.1\r\nHost: a.test\r\n{field}Connection: close\r\n\r\n"
        )
    };
    let told = "X-Forwarded-Proto: https\r\n";
    for (proxies, scheme, field, status) in [
        (&[][..], "http", "", 200),
        (&[], "https", "", 421),
        (&[], "HTTPS", "", 421),
        (&[], "https", told, 421),
        (&["127.0.0.1"], "https", "", 421),
        (&["127.0.0.1"], "https", told, 200),
        (&["127.0.0.1"], "http", told, 200),
    ] {
        let server = behind(proxies, ForwardedBy::XForwarded);
        let answer = TestResponse::parse(&server.raw(absolute(scheme, field).as_bytes()));
        assert_eq!(answer.status, status, "{proxies:?} {scheme} {field}");
    }
}

#[test]
fn a_target_of_either_scheme_is_served_over_tls() {
    let identity = Identity::of(&["a.test"]);
    let tls = squall::tls::Tls::from_pem(&identity.cert, &identity.key).expect("a certificate");
    let application = application()
        .listen_tls("127.0.0.1:0", tls)
        .expect("a port");
    let address = application.local_addr().expect("an address");
    let _server = TestServer::start(application);
    for scheme in ["http", "https"] {
        let socket = TcpStream::connect(address).expect("it listens");
        let mut client = TlsClient::over(socket, "a.test", None).expect("a handshake");
        let answer = client.get(&format!("{scheme}://a.test/"));
        assert_eq!(answer.expect("an answer").status, 200, "{scheme}");
    }
}

#[test]
fn a_host_is_routed_by_what_a_trusted_proxy_was_asked_for() {
    for (proxies, seen) in [(&["127.0.0.1"][..], "ann"), (&[], "everybody")] {
        let mut settings = Settings::default();
        settings.trusted_proxies = trusted(proxies);
        let users = Router::new().route("/", async |Path(user): Path<String>| user);
        let application = Application::new()
            .route("/", async || "everybody")
            .host("{user}.example.com", users)
            .settings(settings);
        let server = TestServer::start(application);
        let fields = [("X-Forwarded-Host", "ann.Example.com:8443")];
        assert_eq!(server.send("GET", "/", &fields, b"").text(), seen);
    }
}

#[cfg(unix)]
#[test]
fn a_proxy_over_a_unix_socket_may_be_trusted() {
    use std::os::unix::net::UnixStream;

    let dir = squall_tests::TempDir::create();
    for (entries, seen) in [
        (&["unix"][..], "192.0.2.7 told http test"),
        (&["0.0.0.0/0", "::/0"], "unix direct http test"),
    ] {
        let path = dir.path().join("socket");
        let mut settings = Settings::default();
        settings.trusted_proxies = trusted(entries);
        let application = application().settings(settings);
        let application = application.listen_unix(&path, 0o600).expect("it is free");
        let mut server = TestServer::start(application);
        let mut socket = UnixStream::connect(&path).expect("it listens");
        socket
            .write_all(
                b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 192.0.2.7\r\n\
                  Connection: close\r\n\r\n",
            )
            .expect("sent");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an answer");
        assert_eq!(TestResponse::parse(&answer).text(), seen);
        server.shutdown(Duration::from_secs(10));
    }
}
