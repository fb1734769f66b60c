//! Blocking code in an async handler, and nobody else notices.
//!
//! ```text
//! cargo run --release --example hello
//! curl http://127.0.0.1:5000/ping/127.0.0.1 &
//! curl http://127.0.0.1:5000/
//! ```

use squall::{Application, Path, Result};

// Blocks for a second. Nobody else notices.
async fn ping(Path(host): Path<String>) -> Result<String> {
    // After `--`, what looks like an option is still a host.
    let out = std::process::Command::new("ping")
        .args(["-c", "2", "--", &host])
        .output()?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

async fn hello() -> &'static str {
    "hello\n"
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    Application::new()
        .route("/", hello)
        .route("/ping/{host}", ping)
        .listen(address.as_deref().unwrap_or("127.0.0.1:5000"))?
        .run()
}
