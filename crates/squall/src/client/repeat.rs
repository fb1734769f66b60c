//! When a request is sent anew that nobody asked to repeat, and what may be sent twice.

use http::{Method, StatusCode};
use squall_http::Headers;
use squall_http::client::{ExchangeError, Progress};
use squall_http::wire::head::ResponseHead;

use super::error::RequestSent;

/// How often a request is sent anew because its connection was closed under it.
pub(super) const SAFE_REPEATS: u32 = 3;

/// Whether the server closed an idle connection just then, and repeating is safe.
pub(super) fn may_repeat(
    error: &ExchangeError,
    progress: &Progress,
    repeatable: bool,
    replayable: bool,
) -> bool {
    error.is_disconnect()
        && progress.sent != RequestSent::Yes
        && replayable
        && (repeatable || progress.sent == RequestSent::No)
}

/// Whether the answer was on its way when the request was sent: some servers say goodbye
/// to an idle connection with a 408.
pub(super) fn is_late(head: &ResponseHead) -> bool {
    head.status == StatusCode::REQUEST_TIMEOUT && !head.keep_alive()
}

/// Whether a request is idempotent (RFC 9110 section 9.2.2); a key makes any request so.
pub(crate) fn harmless_twice(method: &Method, headers: &Headers) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    ) || headers.contains("idempotency-key")
}
