//! nginx as the far end of what is measured: one worker, on the second CPU and on free
//! ports, from a folder of its own.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::Reason;
use crate::bounded::{installed, output};
use crate::cpu::{SECOND, kept_on};
use crate::{process_tree, servers};

/// The length of what it answers.
pub(crate) const SMALL: usize = 1024;

/// A running nginx. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct WebServer {
    child: Child,
    pub(crate) addr: SocketAddr,
    /// Where it speaks TLS, and the file of its certificate; `None` without `openssl`.
    pub(crate) tls: Option<(SocketAddr, PathBuf)>,
}

impl WebServer {
    /// Starts it and waits until it takes connections.
    pub(crate) fn start() -> Result<Self, Reason> {
        if !installed("nginx") {
            return Err("nginx is not installed (Debian: nginx-light)".into());
        }
        let folder = servers::scratch()?.join("nginx");
        let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
        fs::create_dir_all(folder.join("root")).map_err(failed)?;
        // Under the name that servers are asked for, too: a proxy passes that on.
        for name in ["root/1k", "root/plaintext"] {
            fs::write(folder.join(name), vec![b'x'; SMALL]).map_err(failed)?;
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let free = || peer_jobs::free_address(any).map_err(|e| format!("no free port: {e}"));
        let addr = free()?;
        let tls = match certify(&folder) {
            Ok(certificate) => Some((free()?, certificate)),
            Err(reason) => {
                println!("skipped https: {reason}");
                None
            }
        };
        let config = folder.join("nginx.conf");
        let port = tls.as_ref().map(|(addr, _)| addr.port());
        fs::write(&config, configuration(&folder, addr.port(), port)).map_err(failed)?;
        let mut line = kept_on(SECOND);
        if installed("setpriv") {
            line.extend(["setpriv", "--pdeathsig", "TERM", "--"]);
        }
        line.push("nginx");
        let child = Command::new(line[0])
            .args(&line[1..])
            .arg("-c")
            .arg(&config)
            .arg("-p")
            .arg(&folder)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("nginx cannot be started: {e}"))?;
        let this = Self { child, addr, tls };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(addr).is_err() {
            if Instant::now() > end {
                return Err("nginx takes no connections".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(this)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        process_tree::signal(self.child.id(), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Makes a certificate for 127.0.0.1 that is its own authority, and says where it is.
fn certify(folder: &Path) -> Result<PathBuf, Reason> {
    let (config, certificate) = (folder.join("openssl.conf"), folder.join("cert.pem"));
    let extensions = "[req]\ndistinguished_name = name\nx509_extensions = leaf\nprompt = no\n\
        [name]\nCN = bench\n[leaf]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
    fs::write(&config, extensions).map_err(|e| format!("{}: {e}", config.display()))?;
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "30", "-newkey", "ec"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-config"]);
    openssl
        .arg(&config)
        .arg("-keyout")
        .arg(folder.join("key.pem"));
    openssl.arg("-out").arg(&certificate);
    output(&mut openssl, Duration::from_secs(20))?;
    Ok(certificate)
}

fn configuration(folder: &Path, port: u16, tls: Option<u16>) -> String {
    let folder = folder.display();
    let tls = tls.map_or(String::new(), |port| {
        format!(
            "listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/cert.pem; \
             ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.3;"
        )
    });
    // Connections are never ended by a count: a client that reconnects is not compared.
    // Every loopback address is a host of its own.
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type text/plain;
    sendfile on;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    open_file_cache max=16;
    server {{ listen 0.0.0.0:{port}; {tls} allow 127.0.0.0/8; deny all; root {folder}/root; }}
}}
"
    )
}
