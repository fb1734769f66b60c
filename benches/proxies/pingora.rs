//! `pingora_proxy pingora UPSTREAM [--listen ADDR] [--lanes N]`: the proxy that pingora's own
//! documentation begins with.

use std::net::SocketAddr;

use async_trait::async_trait;
use peer_jobs::{Options, free_address, ready_when_connected};
use pingora::http::RequestHeader;
use pingora::prelude::{HttpPeer, Result, Server, http_proxy_service};
use pingora::proxy::{ProxyHttp, Session};
use pingora::server::configuration::ServerConf;

fn main() -> std::process::ExitCode {
    peer_jobs::run_proxy(|_, upstream, options| {
        serve(upstream, options).map_err(|error| error.to_string())
    })
}

fn serve(upstream: SocketAddr, options: Options) -> std::io::Result<()> {
    // It says nowhere which port it has taken.
    let listen = free_address(options.listen)?;
    let configuration = ServerConf {
        threads: options.lanes,
        // As many as the others keep: no connection of the load is made anew.
        upstream_keepalive_pool_size: 256,
        // SIGTERM ends it at once, as the others.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Relay(upstream));
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    std::thread::spawn(move || ready_when_connected("pingora", listen));
    server.run_forever()
}

struct Relay(SocketAddr);

#[async_trait]
impl ProxyHttp for Relay {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        onward: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        let client = session.client_addr().and_then(|addr| addr.as_inet());
        if let Some(client) = client {
            onward.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        onward.insert_header("X-Forwarded-Proto", "http")?;
        if let Some(host) = session.req_header().headers.get("host") {
            onward.insert_header("X-Forwarded-Host", host)?;
        }
        Ok(())
    }
}
