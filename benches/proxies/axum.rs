//! `axum_proxy axum UPSTREAM [--listen ADDR] [--lanes N]`: axum with `axum-reverse-proxy`, on one
//! thread, whatever the lanes.

use std::net::SocketAddr;

use axum::Router;
use axum_reverse_proxy::{ProxyPolicy, ReverseProxy};
use peer_jobs::{Options, ready};
use tokio::net::TcpListener;

fn main() -> std::process::ExitCode {
    peer_jobs::run_proxy(|_, upstream, options| {
        serve(upstream, options).map_err(|error| error.to_string())
    })
}

fn serve(upstream: SocketAddr, options: Options) -> std::io::Result<()> {
    let policy = ProxyPolicy::new().with_public_scheme("http");
    let proxy = ReverseProxy::new("/", format!("http://{upstream}")).with_policy(policy);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(options.listen).await?;
        ready("axum", listener.local_addr()?);
        // It tells the upstream who the client is only where it knows.
        let app = Router::from(proxy).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, app).await
    })
}
