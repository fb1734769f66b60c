//! A reverse proxy: several upstreams, health checks, WebSockets.
//!
//! Start two servers to be asked, then this with their addresses:
//!
//! ```text
//! python3 -m http.server 8001 & python3 -m http.server 8002 &
//! cargo run --release --example reverse_proxy -- 127.0.0.1:8080 \
//!     http://127.0.0.1:8001 http://127.0.0.1:8002
//! curl -i http://127.0.0.1:8080/
//! curl http://127.0.0.1:8080/.upstreams
//! ```

use std::time::Duration;

use squall::forward::{Forward, HealthCheck, Upstreams};
use squall::{Application, Error, Result, State, get};

/// What each upstream does at the moment, a line each.
async fn upstreams(State(forward): State<Forward>) -> String {
    let lines = forward.stats().into_iter().map(|upstream| {
        let (address, busy) = (upstream.address, upstream.in_flight);
        format!("{address} {:?} {busy}\n", upstream.state)
    });
    lines.collect()
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let mut arguments = std::env::args().skip(1);
    let usage = || Error::bad_request("usage: reverse_proxy ADDRESS http://HOST:PORT…");
    let address = arguments.next().ok_or_else(usage)?;
    let addresses: Vec<_> = arguments.collect();
    if addresses.is_empty() {
        return Err(usage());
    }
    let set = Upstreams::of(addresses)
        .max_in_flight(200)
        .health_check(HealthCheck::get("/").every(Duration::from_secs(5)));
    let forward = Forward::to(set)
        .upgrades(["websocket"])
        // What the upstream reads here no client can say.
        .rewrite(|_, onward| {
            onward.headers_mut().remove("x-user");
            Ok(())
        });
    Application::new()
        .state(forward.clone())
        .route("/.upstreams", get(upstreams))
        .not_found(forward)
        .listen(&address)?
        .run()
}
