//! Bodies that stream: one that is made while it is sent, one that is read while it comes.
//!
//! ```text
//! cargo run --release --example streaming
//! curl -N http://127.0.0.1:8080/rows/5
//! curl -N --data-binary @/bin/ls http://127.0.0.1:8080/upper | head -c 100
//! head -c 1000000000 /dev/zero | curl -T - http://127.0.0.1:8080/count
//! ```
//!
//! Neither side is collected in memory, and whoever is slow slows the other one down.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use squall::{Application, Body, BodyError, BodyStream, Bytes, Path, Result, put, sleep};

/// A row every 100 ms, as they become known.
async fn rows(Path(count): Path<u32>) -> Body {
    let mut sent = 0;
    let body = Body::from_fn(move || {
        let row = (sent < count).then(|| Ok(Bytes::from(format!("row {sent}\n"))));
        let first = sent == 0;
        sent += 1;
        async move {
            if row.is_some() && !first {
                sleep(Duration::from_millis(100)).await;
            }
            row
        }
    });
    body.with_content_type("text/plain; charset=utf-8")
}

/// A body in capitals. It asks for the next piece when it is asked for one.
struct Upper(Body);

impl BodyStream for Upper {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let chunk = ready!(self.0.poll_chunk(cx));
        Poll::Ready(chunk.map(|chunk| chunk.map(|bytes| bytes.to_ascii_uppercase().into())))
    }

    fn remaining(&self) -> Option<u64> {
        self.0.len()
    }
}

/// The body comes back while it is still being sent.
async fn upper(body: Body) -> Body {
    Body::stream(Upper(body))
}

/// Counts bytes, of any number.
async fn count(mut body: Body) -> Result<String, BodyError> {
    let mut bytes = 0;
    while let Some(chunk) = body.chunk().await.transpose()? {
        bytes += chunk.len();
    }
    Ok(format!("{bytes} bytes\n"))
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    Application::new()
        .route("/rows/{count}", rows)
        .route("/upper", put(upper).post(upper))
        .route("/count", put(count).post(count))
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))?
        .run()
}
