//! Code that needs tokio, in handlers, without a tokio `main`.
//!
//! ```text
//! cargo run --release --example tokio_inside
//! curl http://127.0.0.1:5000/ping/127.0.0.1     # tokio::process and tokio::time
//! curl http://127.0.0.1:5000/blocking &         # waits a second in block_on …
//! curl http://127.0.0.1:5000/                   # … and nobody else notices
//! ```

use std::time::Duration;

use squall::{Application, Path, Result};
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

async fn ping(Path(host): Path<String>) -> Result<String> {
    let mut ping = Command::new("ping");
    // After `--`, what looks like an option is still a host.
    ping.args(["-c", "2", "--", &host]).kill_on_drop(true);
    let out = timeout(Duration::from_secs(5), ping.output()).await??;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

async fn blocking() -> &'static str {
    // In tokio's own threads this would panic. Here the lane goes to another thread.
    Handle::current().block_on(async {
        sleep(Duration::from_secs(1)).await;
        "a second later\n"
    })
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    Application::new()
        .route("/", || async { "hello\n" })
        .route("/ping/{host}", ping)
        .route("/blocking", blocking)
        .listen("127.0.0.1:5000")?
        .run()
}
