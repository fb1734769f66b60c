//! `library_proxies squall|hyper UPSTREAM [--listen ADDR] [--lanes N]`: proxies made of a
//! library: Squall's `forward`, and hyper's server and client.
//!
//! Each tells the upstream who the client is, keeps its connections to it, and does nothing
//! else.

use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use peer_jobs::{Options, ready};
use squall::forward::Forward;
use squall::{Application, any};
use squall_loop::IoLoop;
use tokio::net::TcpListener;

fn main() -> std::process::ExitCode {
    peer_jobs::run_proxy(|proxy, upstream, options| match proxy {
        "squall" => squall(upstream, options),
        "hyper" => hyper(upstream, options),
        _ => Err("there is no such proxy".to_owned()),
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn squall(upstream: SocketAddr, options: Options) -> Result<(), String> {
    let io_loop = IoLoop::builder()
        .lanes(options.lanes)
        .build()
        .map_err(text)?;
    let forward = Forward::to(format!("http://{upstream}"));
    let application = Application::new()
        .route("/", any(forward.clone()))
        .route("/{*path}", any(forward))
        .listen(options.listen.to_string())
        .map_err(text)?;
    let address = application.local_addr().map_err(text)?;
    let served = io_loop.run(async move {
        let running = application.start().await?;
        ready("squall", address);
        running.until_terminated().await
    });
    served.map_err(text)?.map_err(text)
}

/// One thread, whatever the lanes: the cheapest arrangement.
fn hyper(upstream: SocketAddr, options: Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(text)?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(options.listen).await.map_err(text)?;
        ready("hyper", listener.local_addr().map_err(text)?);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            let client = client.clone();
            let relay = service_fn(move |request| {
                let request = onward(request, upstream, peer);
                let client = client.clone();
                async move {
                    let mut response = client.request(request?).await.map_err(text)?;
                    response.headers_mut().remove(CONNECTION);
                    Ok::<_, String>(response)
                }
            });
            tokio::task::spawn_local(async move {
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new());
                let _ = http.serve_connection(TokioIo::new(stream), relay).await;
            });
        }
    })
}

fn onward(
    mut request: Request<Incoming>,
    upstream: SocketAddr,
    peer: SocketAddr,
) -> Result<Request<Incoming>, String> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let uri = format!("http://{upstream}{target}")
        .parse::<Uri>()
        .map_err(text)?;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    let host = headers.remove(HOST);
    let client = HeaderValue::from_str(&peer.ip().to_string()).map_err(text)?;
    headers.insert("x-forwarded-for", client);
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.insert("x-forwarded-host", host);
    }
    Ok(request)
}
