//! `Server`: a program that others wrote, on a free port, with a configuration of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use squall_tests::{TempDir, times};

use super::{noise, program};

/// A large file: 64 MiB, with a period that is no buffer's size. `SQUALL_CHURN=16`: 1 GiB.
pub(super) static LARGE: LazyLock<Vec<u8>> =
    LazyLock::new(|| noise((1 << 20) + 1).repeat(times(64)));

/// A test that waits longer for a program has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port that is free at the moment.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Waits until something listens there.
pub(super) fn until_listening(address: &str) {
    let patience = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < patience, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How often a program is started anew because somebody else has taken its port.
const ATTEMPTS: usize = 5;

/// A program that serves until it is dropped, and a directory of its own.
pub(super) struct Server {
    process: Child,
    pub(super) dir: TempDir,
    pub(super) port: u16,
    /// Another port, for what it serves with TLS.
    pub(super) tls_port: u16,
}

impl Server {
    /// Starts the program with the configuration that is made for its directory and its two
    /// ports.
    pub(super) fn start(
        name: &str,
        probe: &[&str],
        configuration: impl Fn(&Path, u16, u16) -> String,
        arguments: impl Fn(&mut Command, &Path, &Path, u16),
    ) -> Option<Self> {
        for _ in 0..ATTEMPTS {
            let mut command = program(name, probe)?;
            let (dir, port, tls_port) = (TempDir::create(), free_port(), free_port());
            let file = dir.path().join("configuration");
            fs::write(&file, configuration(dir.path(), port, tls_port)).expect("written");
            arguments(&mut command, dir.path(), &file, port);
            let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut server = Self {
                process: process.expect("a process"),
                dir,
                port,
                tls_port,
            };
            if server.listens() {
                return Some(server);
            }
        }
        panic!("{name} ends at once, {ATTEMPTS} times");
    }

    /// Waits until it listens; false: it has ended instead.
    fn listens(&mut self) -> bool {
        let patience = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if self.process.try_wait().expect("a process").is_some() {
                return false;
            }
            assert!(Instant::now() < patience, "it does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A file of the site.
    pub(super) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.dir.path().join("www").join(path)).expect("a file")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn text() -> String {
    (0..2000).fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "line {line} of some text");
        text
    })
}

/// What the servers of files have to give: a text, a large file, and room for uploads.
fn site(dir: &Path) {
    let www = dir.join("www");
    for folder in [&www, &www.join("upload")] {
        fs::create_dir(folder).expect("a directory");
    }
    fs::write(www.join("text.txt"), text()).expect("written");
    fs::write(www.join("large.bin"), LARGE.as_slice()).expect("written");
}

/// The only version of TLS that a server speaks on its `tls_port`. The header `X-Who` tells
/// it, and whether the client was known: `TLSv1.3 SUCCESS` or `TLSv1.3 NONE`.
pub(super) type Version = &'static str;

pub(super) fn nginx(version: Option<Version>) -> Option<Server> {
    Server::start(
        "nginx",
        &["-v"],
        |dir, port, tls_port| {
            site(dir);
            let tls = version.map_or(String::new(), |version| {
                certificates(dir);
                format!(
                    "listen 127.0.0.1:{tls_port} ssl; ssl_protocols {version};
                     ssl_certificate cert.pem; ssl_certificate_key key.pem;
                     ssl_client_certificate ca.pem; ssl_verify_client optional;
                     add_header X-Who \"$ssl_protocol $ssl_client_verify\";"
                )
            });
            let dir = dir.display();
            format!(
                "daemon off; master_process off; pid pid; error_log stderr; events {{}}
                 http {{
                   access_log off; default_type text/plain; keepalive_requests 1000000;
                   send_timeout 600s; client_body_timeout 600s; keepalive_timeout 600s;
                   client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
                   uwsgi_temp_path t4; scgi_temp_path t5;
                   client_max_body_size 0; gzip on; gzip_types text/plain;
                   server {{
                     listen 127.0.0.1:{port}; listen unix:{dir}/socket; {tls}
                     root {dir}/www;
                     location /upload/ {{ dav_methods PUT; }}
                     location /refused/ {{ dav_methods PUT; client_max_body_size 1k; }}
                     location /trailing/ {{ alias {dir}/www/; add_trailer X-Sum done; }}
                   }}
                 }}"
            )
        },
        |nginx, dir, file, _| {
            nginx
                .arg("-p")
                .arg(dir)
                .arg("-c")
                .arg(file)
                .args(["-e", "stderr"]);
        },
    )
}

pub(super) fn apache(version: Option<Version>) -> Option<Server> {
    const MODULES: [&str; 10] = [
        "mpm_event",
        "authz_core",
        "mime",
        "filter",
        "deflate",
        "brotli",
        "dav",
        "dav_fs",
        "ssl",
        "headers",
    ];
    Server::start(
        "apache2",
        &["-v"],
        |dir, port, tls_port| {
            site(dir);
            fs::create_dir(dir.join("www/refused")).expect("a directory");
            let tls = version.map_or(String::new(), |version| {
                certificates(dir);
                let dir = dir.display();
                format!(
                    "Listen 127.0.0.1:{tls_port}\n<VirtualHost 127.0.0.1:{tls_port}>\nSSLEngine on\n\
                     SSLProtocol -all +{version}\nSSLCertificateFile {dir}/cert.pem\n\
                     SSLCertificateKeyFile {dir}/key.pem\nSSLCACertificateFile {dir}/ca.pem\n\
                     SSLVerifyClient optional\n\
                     Header set X-Who \"%{{SSL_PROTOCOL}}s %{{SSL_CLIENT_VERIFY}}s\"\n\
                     </VirtualHost>\n"
                )
            });
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
                 PidFile {dir}/pid\nErrorLog /dev/null\nMutex posixsem\n{modules}\
                 TypesConfig /dev/null\nAddType text/plain .txt\nDocumentRoot {dir}/www\n\
                 DavLockDB {dir}/lock\nMaxKeepAliveRequests 0\nLimitRequestBody 0\n\
                 AddOutputFilterByType BROTLI_COMPRESS text/plain\n\
                 <Directory {dir}/www>\nDav On\n</Directory>\n\
                 <Directory {dir}/www/refused>\nLimitRequestBody 1000\n</Directory>\n{tls}"
            )
        },
        |apache, _, file, _| {
            apache.arg("-X").arg("-f").arg(file);
        },
    )
}

/// lighttpd's modules, which Debian has in packages of their own.
const LIGHTTPD_MODULES: [&str; 4] = ["openssl", "webdav", "deflate", "cgi"];

pub(super) fn lighttpd(version: Option<Version>) -> Option<Server> {
    let missing = |name: &&&str| !Path::new(&format!("/usr/lib/lighttpd/mod_{name}.so")).exists();
    if let Some(name) = LIGHTTPD_MODULES.iter().find(missing) {
        eprintln!("skipped: lighttpd has no mod_{name}");
        return None;
    }
    Server::start(
        "lighttpd",
        &["-v"],
        |dir, port, tls_port| {
            site(dir);
            let tls = version.map_or(String::new(), |version| {
                certificates(dir);
                lighttpd_tls(dir, tls_port, version)
            });
            let modules = LIGHTTPD_MODULES
                .map(|name| format!("\"mod_{name}\""))
                .join(", ");
            let dir = dir.display();
            format!(
                "server.document-root = \"{dir}/www\"\nserver.bind = \"127.0.0.1\"\n\
                 server.port = {port}\nserver.modules = ( {modules} )\n\
                 server.upload-dirs = ( \"{dir}\" )\n\
                 server.max-keep-alive-requests = 1000000\nserver.max-write-idle = 600\n\
                 mimetype.assign = ( \".txt\" => \"text/plain\" )\n\
                 deflate.mimetypes = ( \"text/plain\" )\n\
                 deflate.allowed-encodings = ( \"gzip\" )\n\
                 $SERVER[\"socket\"] == \"{dir}/socket\" {{}}\n\
                 $HTTP[\"url\"] =~ \"^/upload/\" {{ webdav.activate = \"enable\" }}\n\
                 $HTTP[\"url\"] =~ \"^/refused/\" {{ server.max-request-size = 1 }}\n{tls}"
            )
        },
        |lighttpd, _, file, _| {
            lighttpd.arg("-D").arg("-f").arg(file);
        },
    )
}

/// Who asks is known to programs only: one gives the files.
fn lighttpd_tls(dir: &Path, port: u16, version: Version) -> String {
    let program = dir.join("who");
    let who = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\nX-Who: %s %s\\r\\n\\r\\n' \
               \"$SSL_PROTOCOL\" \"$SSL_CLIENT_VERIFY\"\nexec cat \"$SCRIPT_FILENAME\"\n";
    fs::write(&program, who).expect("written");
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, runs).expect("a mode");
    let dir = dir.display();
    format!(
        "$SERVER[\"socket\"] == \"127.0.0.1:{port}\" {{\n\
         ssl.engine = \"enable\"\nssl.pemfile = \"{dir}/cert.pem\"\n\
         ssl.privkey = \"{dir}/key.pem\"\nssl.ca-file = \"{dir}/ca.pem\"\n\
         ssl.verifyclient.activate = \"enable\"\nssl.verifyclient.enforce = \"disable\"\n\
         ssl.openssl.ssl-conf-cmd = \
         ( \"MinProtocol\" => \"{version}\", \"MaxProtocol\" => \"{version}\" )\n\
         cgi.assign = ( \".txt\" => \"{dir}/who\" )\n}}\n"
    )
}

/// HAProxy, which answers nothing of its own but forwards to `server`.
pub(super) fn haproxy(server: &Server, version: Option<Version>) -> Option<Server> {
    let behind = server.port;
    Server::start(
        "haproxy",
        &["-v"],
        |dir, port, tls_port| {
            let tls = version.map_or(String::new(), |version| {
                certificates(dir);
                let read = |name: &str| fs::read_to_string(dir.join(name)).expect("a file");
                let both = read("cert.pem") + &read("key.pem");
                fs::write(dir.join("both.pem"), both).expect("written");
                let dir = dir.display();
                format!(
                    "bind 127.0.0.1:{tls_port} ssl crt {dir}/both.pem ca-file {dir}/ca.pem \
                     verify optional ssl-min-ver {version} ssl-max-ver {version}\n  \
                     http-response set-header X-Who \
                     \"%[ssl_fc_protocol] %[ssl_c_used,iif(SUCCESS,NONE)]\"\n  "
                )
            });
            format!(
                "defaults\n  mode http\n  timeout client 600s\n  timeout server 600s\n  \
                 timeout connect 5s\nfrontend f\n  bind 127.0.0.1:{port}\n  \
                 bind unix@{}/socket\n  {tls}\
                 http-request deny deny_status 413 if {{ path_beg /refused/ }}\n  \
                 default_backend b\nbackend b\n  server s 127.0.0.1:{behind}\n",
                dir.display()
            )
        },
        |haproxy, _, file, _| {
            haproxy.arg("-db").arg("-f").arg(file);
        },
    )
}

/// A test's authority, a server's certificate and a client's, as PEM files.
fn certificates(dir: &Path) {
    let authority = squall_tests::Authority::new();
    let write = |name: &str, pem: String| fs::write(dir.join(name), pem).expect("written");
    write("ca.pem", authority.cert());
    for (name, file) in [("localhost", ""), ("client.test", "client-")] {
        let identity = authority.sign(&[name]);
        write(&format!("{file}cert.pem"), identity.cert);
        write(&format!("{file}key.pem"), identity.key);
    }
}
