//! Servers that others wrote: the client fetches from them what everybody fetches.

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use squall::client::{AsyncHttpClient, HttpRequest, HttpResponse, Multipart};
use squall::{Body, BodyError, Bytes};
use squall_tests::{TempDir, on_loop};

use super::{noise, program};

/// Requests over one connection.
const KEPT_ALIVE: usize = 1000;

/// A large file: 64 MiB, with a period that is no buffer's size.
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| noise((1 << 20) + 1).repeat(64));

/// A port that is free at the moment.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Waits until something listens there.
pub(super) fn until_listening(address: &str) {
    let patience = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < patience, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server on a free port, and a directory that it serves, until it is dropped.
struct Server {
    process: Child,
    dir: TempDir,
    port: u16,
}

impl Server {
    /// Starts the program with the configuration that is made for its directory and port.
    fn start(
        name: &str,
        probe: &[&str],
        configuration: impl FnOnce(&Path, u16) -> String,
        arguments: impl FnOnce(&mut Command, &Path, &Path),
    ) -> Option<Self> {
        let mut command = program(name, probe)?;
        let (dir, port) = (TempDir::create(), free_port());
        let www = dir.path().join("www");
        for folder in [&www, &www.join("upload")] {
            fs::create_dir(folder).expect("a directory");
        }
        fs::write(www.join("text.txt"), text()).expect("written");
        fs::write(www.join("large.bin"), LARGE.as_slice()).expect("written");
        let file = dir.path().join("configuration");
        fs::write(&file, configuration(dir.path(), port)).expect("written");
        arguments(&mut command, dir.path(), &file);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        until_listening(&format!("127.0.0.1:{port}"));
        Some(Self {
            process: process.expect("a process"),
            dir,
            port,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.dir.path().join("www").join(path)).expect("a file")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text() -> String {
    (0..2000).fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "line {line} of some text");
        text
    })
}

fn nginx(tls: Option<(u16, &str)>) -> Option<Server> {
    Server::start(
        "nginx",
        &["-v"],
        |dir, port| {
            let dir = dir.display();
            let tls = tls.map_or(String::new(), |(port, protocol)| {
                format!(
                    "listen 127.0.0.1:{port} ssl; ssl_protocols {protocol};
                     ssl_certificate cert.pem; ssl_certificate_key key.pem;
                     ssl_client_certificate ca.pem; ssl_verify_client optional;"
                )
            });
            format!(
                "daemon off; master_process off; pid pid; error_log stderr; events {{}}
                 http {{
                   access_log off; default_type text/plain; keepalive_requests 1000000;
                   client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
                   uwsgi_temp_path t4; scgi_temp_path t5;
                   client_max_body_size 100m; gzip on; gzip_types text/plain;
                   server {{
                     listen 127.0.0.1:{port}; listen unix:{dir}/socket; {tls}
                     root {dir}/www;
                     location /upload/ {{ dav_methods PUT; }}
                     location /refused/ {{ dav_methods PUT; client_max_body_size 1k; }}
                     location = /who {{ return 200 \"$ssl_protocol $ssl_client_verify\"; }}
                   }}
                 }}"
            )
        },
        |nginx, dir, file| {
            if tls.is_some() {
                certificates(dir);
            }
            nginx
                .arg("-p")
                .arg(dir)
                .arg("-c")
                .arg(file)
                .args(["-e", "stderr"]);
        },
    )
}

fn apache() -> Option<Server> {
    const MODULES: [&str; 8] = [
        "mpm_event",
        "authz_core",
        "mime",
        "filter",
        "deflate",
        "brotli",
        "dav",
        "dav_fs",
    ];
    Server::start(
        "apache2",
        &["-v"],
        |dir, port| {
            let dir = dir.display();
            let modules = MODULES.iter().fold(String::new(), |mut lines, name| {
                let _ = writeln!(
                    lines,
                    "LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
                );
                lines
            });
            format!(
                "ServerRoot {dir}\nServerName localhost\nListen 127.0.0.1:{port}\n\
                 PidFile {dir}/pid\nErrorLog /dev/null\n{modules}\
                 TypesConfig /dev/null\nAddType text/plain .txt\nDocumentRoot {dir}/www\n\
                 DavLockDB {dir}/lock\nMaxKeepAliveRequests 0\n\
                 AddOutputFilterByType BROTLI_COMPRESS text/plain\n\
                 <Directory {dir}/www>\nDav On\n</Directory>\n"
            )
        },
        |apache, _, file| {
            apache.arg("-X").arg("-f").arg(file);
        },
    )
}

fn lighttpd() -> Option<Server> {
    Server::start(
        "lighttpd",
        &["-v"],
        |dir, port| {
            format!(
                "server.document-root = \"{}/www\"\nserver.bind = \"127.0.0.1\"\n\
                 server.port = {port}\nserver.modules = ()\n\
                 server.max-keep-alive-requests = 100000\n\
                 mimetype.assign = ( \".txt\" => \"text/plain\" )\n",
                dir.display()
            )
        },
        |lighttpd, _, file| {
            lighttpd.arg("-D").arg("-f").arg(file);
        },
    )
}

/// HAProxy, which answers nothing of its own but forwards to `server`.
fn haproxy(server: &Server) -> Option<Server> {
    let behind = server.port;
    Server::start(
        "haproxy",
        &["-v"],
        |_, port| {
            format!(
                "defaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n  \
                 timeout connect 5s\nfrontend f\n  bind 127.0.0.1:{port}\n  \
                 default_backend b\nbackend b\n  server s 127.0.0.1:{behind}\n"
            )
        },
        |haproxy, _, file| {
            haproxy.arg("-db").arg("-f").arg(file);
        },
    )
}

/// A test's authority, a server's certificate and a client's, as PEM files.
fn certificates(dir: &Path) {
    let key = || rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // Whoever has the name of its issuer is taken for its own issuer.
    let name = rcgen::DnType::CommonName;
    params.distinguished_name.push(name, "an authority");
    let ca_key = key();
    let ca = params.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(params, ca_key);
    let write = |name: &str, pem: String| fs::write(dir.join(name), pem).expect("written");
    write("ca.pem", ca.pem());
    for (name, file) in [("localhost", ""), ("client.test", "client-")] {
        let key = key();
        let params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        let cert = params.signed_by(&key, &issuer).expect("a certificate");
        write(&format!("{file}cert.pem"), cert.pem());
        write(&format!("{file}key.pem"), key.serialize_pem());
    }
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
    on_loop(async move {
        let client = AsyncHttpClient::new();
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
        for _ in 0..KEPT_ALIVE {
            let head = HttpRequest::head(&small);
            let response: HttpResponse = client.fetch(head).await.expect("an answer");
            assert_eq!(response.code(), 200);
            connections += usize::from(!response.reused());
        }
        // The one of before may have been closed while the files were compared.
        assert!(connections <= 1, "{connections}");
    });
}

/// Bodies of each kind, and a large one, arrive as they were sent.
fn uploads(server: &Server, folder: &str) {
    let base = server.url(folder);
    let large = server.dir.path().join("www/large.bin");
    let kinds = on_loop(async move {
        let client = AsyncHttpClient::new();
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
    let read = |name: &str| server.read(&Path::new(folder).join(name).to_string_lossy());
    assert_eq!(read("bytes"), b"bytes");
    assert_eq!(read("json"), b"[1,2]");
    assert_eq!(read("form"), b"a=b+c");
    assert_eq!(read("stream"), b"chunk ".repeat(1000));
    assert_eq!(read("produced"), b"piece ".repeat(1000));
    assert_eq!(read("expect"), b"wanted");
    assert!(read("file") == *LARGE);
    assert_eq!(read("multipart").len() as u64, kinds);
}

#[test]
fn nginx_gives_and_takes() {
    let Some(server) = nginx(None) else { return };
    downloads(&server, Some("gzip"));
    uploads(&server, "/upload");
    let refused = server.url("/refused/x");
    let socket = server.dir.path().join("socket");
    on_loop(async move {
        let client = AsyncHttpClient::new();
        let local = HttpRequest::new("http://any.test/text.txt").unix_socket(socket);
        let mut response = client.fetch(local).await.expect("an answer");
        assert_eq!(response.text().await.expect("text"), text());
        for _ in 0..20 {
            let request = HttpRequest::put(&refused).body(LARGE.as_slice());
            let response = client.fetch(request).await.expect("its refusal");
            assert_eq!(response.code(), 413);
        }
    });
}

#[test]
fn apache_gives_and_takes() {
    let Some(server) = apache() else { return };
    downloads(&server, Some("br"));
    uploads(&server, "");
}

#[test]
fn lighttpd_gives() {
    let Some(server) = lighttpd() else { return };
    downloads(&server, None);
}

#[test]
fn haproxy_passes_on() {
    let Some(server) = nginx(None) else { return };
    let Some(proxy) = haproxy(&server) else {
        return;
    };
    downloads(&proxy, Some("gzip"));
}

#[test]
fn nginx_is_checked_and_checks_over_tls() {
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let port = free_port();
        let Some(server) = nginx(Some((port, protocol))) else {
            return;
        };
        let pem = |name: &str| fs::read(server.dir.path().join(name)).expect("a file");
        let (ca, cert, key) = (pem("ca.pem"), pem("client-cert.pem"), pem("client-key.pem"));
        on_loop(async move {
            let client = AsyncHttpClient::builder().ca_certs(ca).build();
            let url = format!("https://localhost:{port}/who");
            let known = HttpRequest::new(&url).client_cert(&cert, &key);
            for (request, verified) in [(HttpRequest::new(&url), "NONE"), (known, "SUCCESS")] {
                let mut response = client.fetch(request).await.expect("an answer");
                let who = response.text().await.expect("text");
                assert_eq!(who, format!("{protocol} {verified}"));
                // Whoever is known shares no connection with whoever is not.
                assert!(!response.reused());
            }
            let address = format!("https://127.0.0.1:{port}/who");
            let error = client.fetch(&address).await.expect_err("another name");
            assert!(error.is_tls(), "{error}");
            let named = HttpRequest::new(&address).server_name("localhost");
            assert_eq!(code(&client, named).await, 200);
        });
    }
}
