//! Middleware: what comes with the house, and one of one's own.
//!
//! ```text
//! cargo run --release --example middleware
//! curl -i http://127.0.0.1:5000/
//! curl http://127.0.0.1:5000/metrics
//! ```

use std::time::{Duration, Instant};

use squall::middleware::{
    ConcurrencyLimit, Cors, Metrics, RateLimit, RequestId, RequestIds, SecurityHeaders,
};
use squall::{Application, Next, Request, Response, Result};

async fn hello(id: RequestId) -> String {
    // This line has the request's id, because it is logged in the request's span.
    tracing::info!("somebody says hello");
    format!("hello, this is request {id}\n")
}

/// Says in each answer how long it took: a function of the request and of what comes next.
async fn timed(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let mut response = next.run(request).await;
    let took = format!("app;dur={:.3}", begun.elapsed().as_secs_f64() * 1e3);
    if let Err(error) = response.headers_mut().set("Server-Timing", took) {
        tracing::error!(%error, "no timing");
    }
    response
}

fn application() -> Application {
    let metrics = Metrics::new();
    // The first is the outermost: it sees every answer, also those of the others.
    Application::new()
        .middleware(metrics.clone())
        .middleware(RequestIds::new())
        .middleware(SecurityHeaders::default())
        .middleware(Cors::origins(["http://localhost:3000"]))
        .middleware(RateLimit::new(600, Duration::from_secs(60)))
        .middleware(ConcurrencyLimit::new(100).wait(Duration::from_secs(2)))
        .middleware(timed)
        .route("/", hello)
        .route("/metrics", metrics.route())
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    application()
        .listen(address.as_deref().unwrap_or("127.0.0.1:5000"))?
        .run()
}
