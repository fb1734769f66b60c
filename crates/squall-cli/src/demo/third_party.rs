//! The third party's stand-in: a small API, an echo, and an OCR that checks its caller.
//!
//! Bodies are hashed as they stream; what is kept of one has a bound.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use squall::{Application, Error, Multipart, Part, Path, Request, Result, any, post, sleep};

use super::image::{Image, ImageHeader};
use super::{bounded, settings};

/// The key that the OCR knows.
pub(super) const API_KEY: &str = "demo-key";
/// Its secret.
pub(super) const API_SECRET: &str = "demo-secret";

/// A body up to this size is echoed.
const MAX_ECHO: usize = 64 << 10;
/// A field of a form may be this long.
const MAX_FIELD: usize = 16 << 10;
/// All its fields together.
const MAX_FIELDS: usize = 256 << 10;
/// Says in a 401 what is missing. No registered scheme has its secret in a form.
const CHALLENGE: &str = "ApiKey realm=\"ocr\"";

/// The third party's routes.
pub(super) fn application() -> Application {
    Application::new()
        .settings(settings())
        .route("/api", api)
        .route("/slow/{ms}", slow)
        .route("/anything", any(anything))
        .route("/anything/{*path}", any(anything))
        .route("/ocr", post(ocr))
}

async fn api() -> Value {
    json!({ "service": "third party", "message": "hello" })
}

async fn slow(Path(ms): Path<u64>) -> Result<Value> {
    sleep(bounded("ms", ms)?).await;
    Ok(json!({ "service": "third party", "slept_ms": ms }))
}

/// Tells what was received.
async fn anything(mut request: Request) -> Result<Value> {
    let mut body = Digested::default();
    let mut kept = Vec::new();
    while let Some(chunk) = request.body_mut().chunk().await {
        let chunk = chunk?;
        body.update(&chunk);
        if body.bytes <= MAX_ECHO as u64 {
            kept.extend_from_slice(&chunk);
        }
    }
    let whole = body.bytes <= MAX_ECHO as u64;
    let data = whole.then(|| String::from_utf8(kept).ok()).flatten();
    let headers: Vec<_> = (request.headers().iter())
        .map(|(name, value)| (name, String::from_utf8_lossy(value)))
        .collect();
    Ok(json!({
        "method": request.method().as_str(),
        "path": request.path(),
        "query": request.query().unwrap_or_default(),
        "headers": headers,
        "length": body.bytes,
        "sha256": body.hex(),
        "data": data,
    }))
}

/// Looks at an image for callers that have the key and the secret.
///
/// Whatever can be refused is refused at once, while the upload is still on its way.
async fn ocr(mut form: Multipart) -> Result<Value> {
    let mut fields = Map::new();
    let mut room = MAX_FIELDS;
    let mut caller = Caller::default();
    let mut seen = None;
    while let Some(mut part) = form.next_part().await? {
        match part.name() {
            "image" if seen.is_none() => seen = Some(look(part).await?),
            "api_key" => caller.key = Some(part.text(MAX_FIELD).await?),
            "api_secret" => caller.secret = Some(part.text(MAX_FIELD).await?),
            _ if part.filename().is_none() => {
                let text = part.text(MAX_FIELD.min(room)).await?;
                room -= text.len();
                fields.insert(part.name().to_owned(), text.into());
            }
            _ => {}
        }
        if caller.is_complete() {
            caller.check()?;
        }
    }
    caller.check()?;
    let mut seen = seen.ok_or_else(|| Error::missing_argument("image"))?;
    seen["fields"] = fields.into();
    Ok(seen)
}

/// Who sends an image.
#[derive(Default)]
struct Caller {
    key: Option<String>,
    secret: Option<String>,
}

impl Caller {
    fn is_complete(&self) -> bool {
        self.key.is_some() && self.secret.is_some()
    }

    fn check(&self) -> Result<()> {
        if self.key.as_deref() == Some(API_KEY) && self.secret.as_deref() == Some(API_SECRET) {
            return Ok(());
        }
        let error = Error::unauthorized("api_key and api_secret are not those of a known caller");
        Err(error.with_header("WWW-Authenticate", CHALLENGE))
    }
}

/// Reads an image's header, and hashes it on the way to its end.
async fn look(mut part: Part) -> Result<Value> {
    let mut header = ImageHeader::default();
    let mut body = Digested::default();
    while let Some(chunk) = part.chunk().await? {
        body.update(&chunk);
        if header.push(&chunk).break_value() == Some(None) {
            return Err(no_image());
        }
    }
    let Image { width, height, .. } = header.image().ok_or_else(no_image)?;
    Ok(json!({
        "filename": part.filename(),
        "content_type": part.content_type(),
        "bytes": body.bytes,
        "sha256": body.hex(),
        "width": width,
        "height": height,
    }))
}

fn no_image() -> Error {
    Error::unsupported_media_type("this is no PNG, JPEG, GIF, WebP or BMP").with_field("image")
}

/// A body's length and SHA-256, taken as it streams.
#[derive(Default)]
struct Digested {
    bytes: u64,
    hash: Sha256,
}

impl Digested {
    fn update(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        self.hash.update(chunk);
    }

    fn hex(self) -> String {
        self.hash
            .finalize()
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}
