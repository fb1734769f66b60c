//! `stock_proxies nginx|haproxy UPSTREAM [--listen ADDR] [--lanes N]`: a program of the system
//! with a configuration for this, on a free port.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use peer_jobs::{Options, free_address, ready_when_connected};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if let [word, listen, name] = &args[..]
        && word == "ready"
    {
        let said = (listen.parse()).is_ok_and(|listen| ready_when_connected(name, listen));
        return if said {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    peer_jobs::run_proxy(|proxy, upstream, options| match proxy {
        "nginx" => nginx(upstream, options),
        "haproxy" => haproxy(upstream, options),
        _ => Err("there is no such proxy".to_owned()),
    })
}

fn nginx(upstream: SocketAddr, options: Options) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("squall-benches-nginx-{}", std::process::id()));
    let at = folder.display();
    let (listen, lanes) = (free(options.listen)?, options.lanes);
    // Connections are never ended by a count: whoever reconnects is not compared. Bodies are
    // passed on as they come; nothing is written to the disk.
    let configuration = format!(
        "daemon off;
user root; # else a worker of root's cannot write down what was counted
worker_processes {lanes};
pid {at}/pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_body_temp_path {at}/body;
    proxy_temp_path {at}/proxy;
    fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi;
    scgi_temp_path {at}/scgi;
    upstream up {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://up;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            client_max_body_size 0;
            proxy_set_header Connection \"\";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"
    );
    fs::create_dir_all(&folder).map_err(|e| format!("{at}: {e}"))?;
    let config = folder.join("nginx.conf");
    fs::write(&config, configuration).map_err(|e| format!("{at}: {e}"))?;
    let mut line = Command::new("nginx");
    line.arg("-c")
        .arg(&config)
        .arg("-p")
        .arg(&folder)
        .args(["-e", "stderr"]);
    become_it("nginx", line, listen)
}

fn haproxy(upstream: SocketAddr, options: Options) -> Result<(), String> {
    let folder = std::env::temp_dir();
    let config = folder.join(format!("squall-benches-haproxy-{}.cfg", std::process::id()));
    let (listen, lanes) = (free(options.listen)?, options.lanes);
    let configuration = format!(
        "global
    nbthread {lanes}
    maxconn 4096
defaults
    mode http
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 3600s
    timeout server 60s
frontend in
    bind {listen}
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    default_backend up
backend up
    server one {upstream}
"
    );
    fs::write(&config, configuration).map_err(|e| format!("{}: {e}", config.display()))?;
    let mut line = Command::new("haproxy");
    line.arg("-db").arg("-f").arg(&config);
    become_it("haproxy", line, listen)
}

/// Neither takes port 0.
fn free(listen: SocketAddr) -> Result<SocketAddr, String> {
    free_address(listen).map_err(|e| format!("no free port: {e}"))
}

/// Becomes the program. Another process says when it is ready, because this one no longer can.
fn become_it(name: &str, mut line: Command, listen: SocketAddr) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let herald = Command::new(own)
        .args(["ready", &listen.to_string(), name])
        .spawn();
    herald.map_err(|e| format!("its herald cannot be started: {e}"))?;
    Err(format!("it cannot be started: {}", line.exec()))
}
