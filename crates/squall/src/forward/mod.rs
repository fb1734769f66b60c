//! Forwarding: a request goes to an upstream, and its answer comes back.
//!
//! ```no_run
//! use squall::forward::{Forward, forward};
//! use squall::{Application, Request, Response, Result, any};
//!
//! # fn main() -> Result<()> {
//! let upstream = Forward::to("http://127.0.0.1:8080").strip_prefix("/api");
//! let relay = move |request: Request| {
//!     let upstream = upstream.clone();
//!     async move { Result::<Response>::Ok(forward(request, &upstream).await?) }
//! };
//! Application::new().route("/api/{*path}", any(relay)).listen("127.0.0.1:5000")?.run()
//! # }
//! ```
//! Both bodies stream, and neither side is read faster than the other takes it. What
//! concerns one hop stays on it; framing is generated, never copied. A body that is cut
//! off on one side is cut off on the other.

mod error;
mod headers;
mod upstream;

pub use error::ForwardError;
pub use upstream::Forward;

use squall_http::server;

use crate::client::{AsyncHttpClient, HttpRequest};

/// Sends a request on to an upstream and returns its answer.
///
/// Any status of the upstream is an answer. Redirects are not followed, nothing is
/// decoded, no cookie is kept. An `Expect: 100-continue` is the upstream's to answer: the
/// body is not asked for before it agrees, or 1 s has passed.
///
/// # Errors
/// [`ForwardError`] when the upstream gave no answer; it converts into an error with the
/// status 502, 503 or 504. Once the head has come, a failure is the answer body's.
///
/// # Cancel safety
/// Dropping the future or the answer's body closes the connection to the upstream.
pub async fn forward(
    request: impl Into<server::Request>,
    upstream: &Forward,
) -> Result<server::Response, ForwardError> {
    let mut request = request.into();
    let target = upstream.target(request.path(), request.query())?;
    let mut outgoing = HttpRequest::new(upstream.base())
        // What is coded for the client is none of ours.
        .decompress(false)
        .method(request.method().clone())
        .raw_target(target)
        .user_agent("")
        .follow_redirects(false)
        .expect_continue(request.headers().has_token("expect", "100-continue"))
        .request_timeout(std::time::Duration::ZERO)
        .idle_timeout(upstream.idle_timeout);
    if upstream.preserve_host
        && let Some(host) = request.host()
    {
        outgoing = outgoing.header("Host", host);
    }
    outgoing = headers::to_upstream(outgoing, &request, upstream.trust_forwarded);
    let head_only = *request.method() == http::Method::HEAD;
    let client: &AsyncHttpClient = &upstream.client;
    let answer = client.fetch(outgoing.body(request.take_body())).await;
    let (status, fields, body) = answer.map_err(ForwardError::from_fetch)?.into_parts();
    let fields = headers::to_client(fields, head_only);
    Ok(server::Response::from_parts(status, fields, body))
}

impl From<crate::web::Request> for server::Request {
    fn from(request: crate::web::Request) -> Self {
        request.into_inner()
    }
}
