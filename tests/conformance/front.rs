//! What stands before the server: TLS clients and proxies that others wrote.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use squall::testing::{TestResponse, TestServer};
use squall::tls::Tls;
use squall::{Application, Exchange, Request, Settings, TrustedPeers};
use squall_tests::{Authority, TempDir};

use super::{program, run, text};

/// A server with TLS, and a file with the certificate of its authority.
fn tls_server(dir: &TempDir) -> (TestServer, SocketAddr, String) {
    let authority = Authority::new();
    let identity = authority.sign(&["localhost"]);
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, authority.cert()).expect("a file");
    let application = Application::new()
        .route("/", async |exchange: Exchange| {
            exchange.tls().map_or("in the open", |tls| tls.version)
        })
        .listen_tls(
            "127.0.0.1:0",
            Tls::from_pem(identity.cert, identity.key).expect("a certificate"),
        )
        .expect("a port");
    let address = application.local_addr().expect("an address");
    let server = TestServer::start(application);
    (server, address, ca.display().to_string())
}

#[test]
fn curl_checks_the_certificate() {
    let Some(mut curl) = program("curl", &["--version"]) else {
        return;
    };
    let dir = TempDir::create();
    let (_server, address, ca) = tls_server(&dir);
    let url = format!("https://localhost:{}/", address.port());
    curl.args([
        "-sS",
        "--resolve",
        &format!("localhost:{}:127.0.0.1", address.port()),
    ])
    .args(["--cacert", &ca, &url]);
    assert_eq!(text(curl, b""), "TLSv1.3");
}

#[test]
fn openssl_speaks_both_versions_and_no_older_one() {
    let Some(_) = program("openssl", &["version"]) else {
        return;
    };
    let dir = TempDir::create();
    let (_server, address, ca) = tls_server(&dir);
    for (version, speaks) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false)] {
        let mut openssl = Command::new("openssl");
        openssl
            .args([
                "s_client",
                version,
                "-connect",
                &address.to_string(),
                "-quiet",
            ])
            .args([
                "-CAfile",
                &ca,
                "-verify_return_error",
                "-alpn",
                "h2,http/1.1",
            ])
            .args([
                "-servername",
                "localhost",
                "-verify_hostname",
                "localhost",
                "-ign_eof",
            ]);
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let done = run(openssl, request);
        let said = String::from_utf8_lossy(&done.stdout);
        let answered = said.starts_with("HTTP/1.1 200 ");
        assert_eq!(
            answered,
            speaks,
            "{version}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

/// HAProxy with one front and one server behind it, until it is dropped.
struct Haproxy {
    process: Child,
    front: SocketAddr,
}

impl Haproxy {
    fn start(dir: &TempDir, mode: &str, server: &str) -> Option<Self> {
        program("haproxy", &["-v"])?;
        // HAProxy takes over a socket that is bound already, so no port can be taken.
        let bound = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let front = bound.local_addr().expect("an address");
        let config = dir.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n mode {mode}\n timeout connect 30s\n timeout client 30s\n \
             timeout server 30s\n{}frontend front\n bind fd@0\n default_backend back\n\
             backend back\n server squall {server}\n",
            if mode == "http" {
                " option forwardfor\n"
            } else {
                ""
            },
        );
        fs::write(&config, text).expect("a file");
        let process = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&config)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(bound)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it started before");
        Some(Self { process, front })
    }

    fn get(&self) -> TestResponse {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(self.front).expect("it listens");
        socket
            .write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let ours = socket.local_addr().expect("an address");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an answer");
        let mut answer = TestResponse::parse(&answer);
        // What should be said is our address as the proxy sees it.
        answer.headers.push(("ours".to_owned(), ours.to_string()));
        answer
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn behind_haproxy(settings: Settings) -> TestServer {
    let application = Application::new().settings(settings);
    TestServer::start(application.route("/", async |request: Request| {
        request.remote_addr().to_string()
    }))
}

#[test]
fn haproxy_names_the_client_by_the_proxy_protocol() {
    let mut settings = Settings::default();
    settings.server.proxy_protocol = TrustedPeers::new(["127.0.0.1"]).expect("an address");
    let server = behind_haproxy(settings);
    for (mode, option) in [
        ("tcp", "send-proxy"),
        ("tcp", "send-proxy-v2"),
        ("http", "send-proxy"),
        ("http", "send-proxy-v2"),
    ] {
        let dir = TempDir::create();
        let Some(haproxy) = Haproxy::start(&dir, mode, &format!("{} {option}", server.address()))
        else {
            return;
        };
        let answer = haproxy.get();
        assert_eq!(answer.status, 200, "{mode} {option}");
        assert_eq!(
            Some(answer.text().as_str()),
            answer.header("ours"),
            "{mode} {option}"
        );
    }
}

#[test]
fn haproxy_names_the_client_by_a_field() {
    let mut settings = Settings::default();
    settings.trusted_proxies = TrustedPeers::new(["127.0.0.1"]).expect("an address");
    let server = behind_haproxy(settings);
    let dir = TempDir::create();
    let Some(haproxy) = Haproxy::start(&dir, "http", &server.address().to_string()) else {
        return;
    };
    // All are on one machine here, so that the client is one of the trusted.
    haproxy.get().assert_status(200).assert_text("127.0.0.1");
}
