//! The tutorial's upload: a form comes in, its image goes on to the third party.
//!
//! The image is on its way out while it still comes in; nothing of it is kept.

use std::time::Duration;

use squall::client;
use squall::{Error, HttpRequest, Multipart, Response, Result, State};

use super::service::Demo;

/// The form's field with the image.
const FIELD: &str = "file";

/// Sends the image in `file` to the third party and relays its answer.
pub(super) async fn upload(State(demo): State<Demo>, mut form: Multipart) -> Result<Response> {
    let image = form.part(FIELD).await?;
    let Some(filename) = image.filename().map(str::to_owned) else {
        return Err(Error::invalid_argument(FIELD, "this is no file"));
    };
    let content_type = image.content_type().unwrap_or_default().to_owned();
    let outgoing = client::Multipart::new()
        .text("api_key", demo.api_key.as_str())
        .text("api_secret", demo.api_secret.as_str())
        .part("image", &filename, &content_type, image.into_body(), None);
    let request = HttpRequest::post(demo.third_party.path("/ocr"))
        .multipart(outgoing)
        // As long as bytes move, an upload may take its time.
        .request_timeout(Duration::ZERO);
    let answer = demo.client.fetch(request).await?;

    let mut relayed = Response::new(answer.status(), squall::Body::empty());
    for name in ["Content-Type", "WWW-Authenticate"] {
        if let Some(value) = answer.headers().get_bytes(name) {
            relayed.headers_mut().set(name, value)?;
        }
    }
    *relayed.body_mut() = answer.into_body();
    Ok(relayed)
}
