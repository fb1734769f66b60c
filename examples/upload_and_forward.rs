//! An upload goes on to another service while it still comes in.
//!
//! Start the demo for its third party, then this with the address that it printed:
//!
//! ```text
//! cargo run --release -- demo
//! cargo run --release --example upload_and_forward -- http://127.0.0.1:PORT
//! curl -F file=@cat.png http://127.0.0.1:8080/upload
//! ```

use std::time::Duration;

use squall::client::Multipart as Outgoing;
use squall::{
    Application, AsyncHttpClient, Error, HttpRequest, IntoResponse, Multipart, Response, Result,
    State, post,
};

struct Ocr {
    client: AsyncHttpClient,
    address: String,
}

/// Nothing is collected: a slow service slows the client down, not us.
async fn upload(State(ocr): State<Ocr>, mut form: Multipart) -> Result<Response> {
    let file = form.part("file").await?;
    let name = file.filename().unwrap_or("image").to_owned();
    let kind = file.content_type().unwrap_or_default().to_owned();
    let outgoing = Outgoing::new()
        .text("api_key", "demo-key")
        .text("api_secret", "demo-secret")
        .part("image", &name, &kind, file.into_body(), None);
    let request = HttpRequest::post(&ocr.address)
        .multipart(outgoing)
        .request_timeout(Duration::from_secs(600));
    let answer = ocr.client.fetch(request).await?;
    (answer.status(), answer.into_body()).into_response()
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let third_party = std::env::args()
        .nth(1)
        .ok_or_else(|| Error::bad_request("usage: upload_and_forward http://HOST:PORT"))?;
    let ocr = Ocr {
        client: AsyncHttpClient::new(),
        address: format!("{}/ocr", third_party.trim_end_matches('/')),
    };
    Application::new()
        .state(ocr)
        .route("/upload", post(upload))
        .listen("127.0.0.1:8080")?
        .run()
}
