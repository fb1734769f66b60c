//! `readiness`: the answer to a load balancer that asks whether to send requests.

use http::StatusCode;
use squall_http::server::Response;

use super::app::AppHandle;
use crate::Result;

/// Answers 200, and from the begin of a shutdown on 503.
///
/// Give the load balancer the time to ask with
/// [`Settings::drain_delay`](crate::Settings::drain_delay): until it has passed, requests
/// are accepted as before.
///
/// ```
/// use squall::{Application, get, readiness};
///
/// let application = Application::new().route("/ready", get(readiness).never_shed());
/// ```
pub async fn readiness(app: AppHandle) -> Result<Response> {
    let (status, text) = match app.is_draining() {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    };
    let mut response = Response::new(status, text);
    (response.headers_mut()).set("Content-Type", "text/plain; charset=utf-8")?;
    response.headers_mut().set("Cache-Control", "no-store")?;
    Ok(response)
}
