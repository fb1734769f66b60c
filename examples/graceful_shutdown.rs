//! Ending without dropping anybody: readiness first, then streams, then the rest.
//!
//! ```text
//! cargo run --release --example graceful_shutdown
//! curl --no-buffer http://127.0.0.1:5000/ticks &
//! curl http://127.0.0.1:5000/slow &
//! kill $(pgrep graceful)                # or Ctrl-C; a second one ends at once
//! curl -i http://127.0.0.1:5000/ready   # 503 for two seconds, then nobody listens
//! ```

use std::time::Duration;

use squall::{
    Application, Body, BodyError, Exchange, Result, Settings, get, readiness, sleep, with_timeout,
};

/// A tick every second; on shutdown the stream says goodbye and ends.
async fn ticks(exchange: Exchange) -> Body {
    let mut n = 0;
    Body::from_fn(move || {
        n += 1;
        let (over, draining) = (exchange.is_draining(), exchange.draining());
        async move {
            if over {
                return None;
            }
            let piece = match with_timeout(Duration::from_secs(1), draining).await {
                Ok(()) => "goodbye\n".into(),
                Err(_) => format!("tick {n}\n").into(),
            };
            Some(Ok::<_, BodyError>(piece))
        }
    })
}

/// Takes a while, and is answered all the same.
async fn slow() -> &'static str {
    sleep(Duration::from_secs(5)).await;
    "done\n"
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    let mut settings = Settings::default();
    // The load balancer asks every second: two are enough for it to look elsewhere.
    settings.drain_delay = Duration::from_secs(2);
    settings.grace = Duration::from_secs(10);
    Application::new()
        .settings(settings)
        // Asked for when the threads are short, too.
        .route("/ready", get(readiness).never_shed())
        .route("/ticks", ticks)
        .route("/slow", slow)
        .listen(address.as_deref().unwrap_or("127.0.0.1:5000"))?
        .run()
}
