//! Proxies that others wrote: the client goes through each, in the open and with TLS.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use squall::client::{AsyncHttpClient, ClientBuilder, FetchError, Phase, Proxy};
use squall::testing::TestServer;
use squall::tls::Tls;
use squall::{Application, Body, BodyError, Bytes, Exchange, HttpRequest, any};
use squall_tests::{Authority, on_two_lanes};

use super::servers::Server;
use super::{echo, noise};

/// Requests through one tunnel.
const KEPT_ALIVE: usize = 100;

/// The address of a proxy, with credentials such as `me:secret@` or none.
fn address(proxy: &Server, scheme: &str, credentials: &str) -> String {
    format!("{scheme}://{credentials}127.0.0.1:{}", proxy.port)
}

/// The credentials that proxies are started with, and others.
const KNOWN: &str = "me:secret@";
const UNKNOWN: &str = "me:wrong@";

fn squid(asks: bool) -> Option<Server> {
    Server::start(
        "squid",
        &["-v"],
        |dir, port, _| {
            let helper = dir.join("knows");
            let script =
                "while read line; do case $line in 'me secret') echo OK;; *) echo ERR;; esac; done";
            fs::write(&helper, script).expect("written");
            let access = match asks {
                true => format!(
                    "auth_param basic program /bin/sh {}\nauth_param basic children 1\n\
                     acl known proxy_auth REQUIRED\nhttp_access allow known\n",
                    helper.display()
                ),
                false => "http_access allow all\n".to_owned(),
            };
            format!(
                "http_port 127.0.0.1:{port}\n{access}http_access deny all\n\
                 pid_filename none\naccess_log none\ncache_log /dev/null\ncache deny all\n\
                 cache_mem 1 MB\nnetdb_filename none\npinger_enable off\nmax_filedescriptors 1024\n\
                 shutdown_lifetime 0 seconds\ncoredump_dir none\nworkers 1\n"
            )
        },
        |squid, _, file, _| {
            squid.args(["-N", "-f"]).arg(file);
        },
    )
}

fn tinyproxy(asks: bool) -> Option<Server> {
    Server::start(
        "tinyproxy",
        &["-v"],
        |_, port, _| {
            let access = if asks { "BasicAuth me secret\n" } else { "" };
            format!(
                "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Critical\n{access}"
            )
        },
        |tinyproxy, _, file, _| {
            tinyproxy.args(["-d", "-c"]).arg(file);
        },
    )
}

/// Dante asks for users of the system, of whom a test has none. A library shows it others,
/// if it is installed; without it nobody can log in.
fn dante(asks: bool) -> Option<Server> {
    Server::start(
        "danted",
        &["-v"],
        |dir, port, _| {
            // Those that it becomes itself, and one with the password `secret`.
            let passwd = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n\
                          me:x:65533:65534::/:/bin/sh\n";
            let shadow =
                format!("root:*:19000::::::\nnobody:*:19000::::::\nme:{SECRET}:19000::::::\n");
            for (name, text) in [
                ("passwd", passwd),
                ("shadow", &shadow),
                ("group", "nogroup:x:65534:\n"),
            ] {
                fs::write(dir.join(name), text).expect("written");
            }
            let method = if asks { "username" } else { "none" };
            format!(
                "logoutput: /dev/null\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n\
                 clientmethod: none\nsocksmethod: {method}\nuser.privileged: root\n\
                 user.unprivileged: nobody\n\
                 client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n\
                 socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n"
            )
        },
        |danted, dir, file, _| {
            if let Some(library) = nss_wrapper() {
                danted.env("LD_PRELOAD", library);
                for name in ["passwd", "shadow", "group"] {
                    let variable = format!("NSS_WRAPPER_{}", name.to_uppercase());
                    danted.env(variable, dir.join(name));
                }
            }
            danted.arg("-f").arg(file);
        },
    )
}

/// `secret`, as crypt(3) hides it (SHA-512).
const SECRET: &str = "$6$squall$FPzGyf.vVT8oVgXZ9XLv5V4glklko3A1PG7K3ieD/wed28yLk54fspZtOeWb5X5NzK7VoliVQdet1V7XiLh9p0";

/// The library that shows a program other users than the system has.
fn nss_wrapper() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut found = folders.map(|folder| folder.path().join("libnss_wrapper.so"));
    found.find(|path| path.exists())
}

fn microsocks(asks: bool) -> Option<Server> {
    Server::start(
        "microsocks",
        &["-h"],
        |_, _, _| String::new(),
        |microsocks, _, _, port| {
            microsocks.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
            if asks {
                microsocks.args(["-u", "me", "-P", "secret"]);
            }
        },
    )
}

/// What is behind the proxies: one application in the open, and the same with TLS.
struct Origin {
    open: SocketAddr,
    secure: SocketAddr,
    authority: String,
    _server: TestServer,
}

impl Origin {
    fn start() -> Self {
        let authority = Authority::new();
        let identity = authority.sign(&["localhost", "127.0.0.1"]);
        let tls = Tls::from_pem(identity.cert, identity.key).expect("a certificate");
        let application = Application::new()
            .route("/echo", any(echo))
            .route("/", async |exchange: Exchange| {
                exchange.tls().map_or("in the open", |tls| tls.version)
            })
            .listen_tls("127.0.0.1:0", tls)
            .expect("a port");
        let secure = application.local_addr().expect("an address");
        let server = TestServer::start(application);
        Self {
            open: server.address(),
            secure,
            authority: authority.cert(),
            _server: server,
        }
    }

    /// Everything that goes through a proxy, in the open and with TLS, by an address and by
    /// a name.
    fn reach(&self, proxy: &str) {
        let (open, secure) = (self.open.port(), self.secure.port());
        for (url, version) in [
            (format!("http://127.0.0.1:{open}"), "in the open"),
            (format!("https://127.0.0.1:{secure}"), "TLSv1.3"),
            (format!("https://localhost:{secure}"), "TLSv1.3"),
        ] {
            let client = self.builder(proxy).build();
            // A relay may close behind an answer without having said so, as tinyproxy does:
            // what became of a POST that comes then is nobody's to say.
            let uploader = match url.starts_with("https") {
                true => client.clone(),
                false => self.builder(proxy).max_idle_per_origin(0).build(),
            };
            on_two_lanes(async move {
                gets(&client, &url, version).await;
                uploads(&uploader, &url).await;
            });
        }
    }

    fn builder(&self, proxy: &str) -> ClientBuilder {
        let proxy = Proxy::new(proxy).expect("a proxy");
        let builder = AsyncHttpClient::builder().ca_certs(&self.authority);
        builder.proxy(proxy)
    }

    /// What a GET with TLS gives that a proxy does not let pass.
    fn refusal(&self, proxy: &str) -> FetchError {
        let client = self.builder(proxy).build();
        let url = format!("https://127.0.0.1:{}/", self.secure.port());
        on_two_lanes(async move { client.fetch(url).await.expect_err("a refusal") })
    }

    /// The status that a GET in the open gets.
    fn status(&self, proxy: &str) -> u16 {
        let client = self.builder(proxy).build();
        let url = format!("http://127.0.0.1:{}/", self.open.port());
        on_two_lanes(async move { client.fetch(url).await.expect("an answer").code() })
    }
}

async fn gets(client: &AsyncHttpClient, url: &str, version: &str) {
    let mut connections = 0;
    for _ in 0..KEPT_ALIVE {
        let mut response = client.fetch(format!("{url}/")).await.expect("an answer");
        assert_eq!(response.text().await.expect("text"), version, "{url}");
        connections += usize::from(!response.reused());
    }
    if url.starts_with("https") {
        assert_eq!(connections, 1, "{url}");
    }
}

async fn uploads(client: &AsyncHttpClient, url: &str) {
    let sent = noise(300_000);
    let mut pieces = sent
        .chunks(7001)
        .map(Bytes::copy_from_slice)
        .collect::<Vec<_>>()
        .into_iter();
    let stream = Body::from_fn(move || {
        let piece = pieces.next().map(Ok::<_, BodyError>);
        async move { piece }
    });
    for body in [sent.clone().into(), stream] {
        let request = HttpRequest::post(format!("{url}/echo")).body(body);
        let mut response = client.fetch(request).await.expect("an answer");
        assert!(response.bytes().await.expect("a body") == sent, "{url}");
    }
}

#[test]
fn squid_relays_and_tunnels() {
    let origin = Origin::start();
    let (Some(open), Some(asks)) = (squid(false), squid(true)) else {
        return;
    };
    origin.reach(&address(&open, "http", ""));
    origin.reach(&address(&asks, "http", KNOWN));
    for unknown in [address(&asks, "http", ""), address(&asks, "http", UNKNOWN)] {
        assert_eq!(origin.status(&unknown), 407);
        let refusal = origin.refusal(&unknown);
        assert_eq!(refusal.phase(), Phase::Proxy);
        assert!(refusal.to_string().contains("407"), "{refusal}");
    }
}

#[test]
fn tinyproxy_relays_and_tunnels() {
    let origin = Origin::start();
    let (Some(open), Some(asks)) = (tinyproxy(false), tinyproxy(true)) else {
        return;
    };
    origin.reach(&address(&open, "http", ""));
    origin.reach(&address(&asks, "http", KNOWN));
    // It says 407 to who says nothing and 401 to who is wrong.
    for (unknown, status) in [("", 407), (UNKNOWN, 401)] {
        let unknown = address(&asks, "http", unknown);
        assert_eq!(origin.status(&unknown), status);
        let refusal = origin.refusal(&unknown);
        assert_eq!(refusal.phase(), Phase::Proxy);
        assert!(
            refusal.to_string().contains(&status.to_string()),
            "{refusal}"
        );
    }
}

#[test]
fn dante_makes_tunnels() {
    let origin = Origin::start();
    let (Some(open), Some(asks)) = (dante(false), dante(true)) else {
        return;
    };
    for scheme in ["socks5", "socks5h"] {
        // One that wants none is not told any.
        for credentials in ["", UNKNOWN] {
            origin.reach(&address(&open, scheme, credentials));
            let refusal = origin.refusal(&address(&asks, scheme, credentials));
            assert_eq!(refusal.phase(), Phase::Proxy, "{refusal}");
        }
        match nss_wrapper() {
            Some(_) => origin.reach(&address(&asks, scheme, KNOWN)),
            None => eprintln!("skipped: libnss-wrapper is not installed, so nobody can log in"),
        }
    }
}

#[test]
fn microsocks_makes_tunnels() {
    let origin = Origin::start();
    let (Some(open), Some(asks)) = (microsocks(false), microsocks(true)) else {
        return;
    };
    for scheme in ["socks5", "socks5h"] {
        origin.reach(&address(&open, scheme, ""));
        origin.reach(&address(&asks, scheme, KNOWN));
        for unknown in ["", UNKNOWN] {
            let refusal = origin.refusal(&address(&asks, scheme, unknown));
            assert_eq!(refusal.phase(), Phase::Proxy, "{refusal}");
        }
    }
}
