//! hyper with one current-thread runtime and one listener per worker.
//!
//! The kernel spreads connections over the listeners (`SO_REUSEPORT`), so no
//! request ever crosses threads: the cheapest arrangement hyper knows.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use peer_jobs::{Options, answer, ready};
use tokio::net::{TcpListener, TcpSocket};

fn main() -> std::io::Result<()> {
    let options = Options::from_args();
    let first = runtime()?;
    let listener = first.block_on(async { listen(options.listen) })?;
    let addr = listener.local_addr()?;
    for _ in 1..options.lanes {
        let other = runtime()?;
        let listener = other.block_on(async { listen(addr) })?;
        std::thread::spawn(move || {
            other.block_on(tokio::task::LocalSet::new().run_until(accept(listener)))
        });
    }
    ready("hyper", addr);
    first.block_on(tokio::task::LocalSet::new().run_until(accept(listener)))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    socket.listen(1024)
}

async fn accept(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        tokio::task::spawn_local(async move {
            let mut http = http1::Builder::new();
            // hyper's default head timeout needs a timer.
            http.timer(TokioTimer::new());
            // A client that goes away is no event here.
            let _ = http
                .serve_connection(TokioIo::new(stream), service_fn(handle))
                .await;
        });
    }
}

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    match answer(request.uri().path()) {
        Some(body) => {
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            *response.body_mut() = Full::new(Bytes::from_static(body.as_bytes()));
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}
