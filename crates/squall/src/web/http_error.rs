//! Errors as answers: problem+json for programs, a page for browsers.
//!
//! RFC 9457. What is shown is the status and what the author of the error wrote to be
//! shown; the cause goes to the log, and to the client only in debug mode.

use std::borrow::Cow;

use http::StatusCode;
use squall_http::server::Response;
use squall_http::wire::RequestHead;
use squall_http::{Body, Headers};
use squall_loop::say;

use super::app::App;
use crate::Error;

/// What a client would rather read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefers {
    Json,
    Html,
}

impl Prefers {
    /// Browsers name `text/html`; programs do not, or name JSON first.
    pub(crate) fn of(headers: &Headers) -> Self {
        let accept = headers.get_bytes("accept").unwrap_or_default();
        if accept.starts_with(b"application/json") {
            return Self::Json;
        }
        for range in accept.split(|byte| *byte == b',') {
            let range = range.trim_ascii_start();
            if range.starts_with(b"text/html") {
                return Self::Html;
            }
            let kind = range.split(|byte| *byte == b';').next().unwrap_or_default();
            if kind.trim_ascii_end().ends_with(b"json") {
                return Self::Json;
            }
        }
        Self::Json
    }

    /// The same for a head as it came, mostly without a look.
    #[inline]
    pub(crate) fn of_head(head: &RequestHead) -> Self {
        match head.known().accept() {
            true => Self::of(&head.headers),
            false => Self::Json,
        }
    }
}

/// Set in a tag of an exchange whose client would rather read a page.
const PAGE: u32 = 1 << 31;

impl Prefers {
    /// Adds the preference to a route's tag, so that whoever answers in the handler's
    /// place knows it.
    pub(super) fn mark(self, tag: u32) -> u32 {
        match self {
            Self::Json => tag,
            Self::Html => tag | PAGE,
        }
    }

    /// Takes a tag apart: the route's, and the preference.
    pub(super) fn unmark(tag: u32) -> (u32, Self) {
        match tag & PAGE {
            0 => (tag, Self::Json),
            _ => (tag & !PAGE, Self::Html),
        }
    }
}

/// An error on its way to the client: what an application's error renderer sees.
///
/// ```
/// use squall::{Application, Problem, Response};
///
/// let application = Application::new().error_renderer(|problem: &Problem<'_>| {
///     Response::new(problem.status(), format!("sorry: {}", problem.title()))
/// });
/// ```
#[derive(Debug)]
pub struct Problem<'a> {
    error: &'a Error,
    prefers: Prefers,
    debug: bool,
}

impl<'a> Problem<'a> {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.error.status_code()
    }

    /// The status's own words, such as `Not Found`.
    pub fn title(&self) -> &'static str {
        self.status().canonical_reason().unwrap_or("Unknown")
    }

    /// What may be shown beside the title.
    pub fn detail(&self) -> Option<Cow<'a, str>> {
        if self.debug {
            return Some(Cow::Owned(self.error.to_string()));
        }
        self.error.shown().map(Cow::Borrowed)
    }

    /// The field of the request that is wrong.
    pub fn field(&self) -> Option<&'a str> {
        self.error.field()
    }

    /// Whether the client would rather read a page.
    pub fn wants_html(&self) -> bool {
        self.prefers == Prefers::Html
    }

    /// The error itself. Its source is not fit to be shown.
    pub fn error(&self) -> &'a Error {
        self.error
    }

    /// The answer without a renderer: problem+json, or a page for browsers.
    pub fn response(&self) -> Response {
        let body = if self.wants_html() {
            Body::from(self.page()).with_content_type("text/html; charset=utf-8")
        } else {
            Body::from(self.json()).with_content_type("application/problem+json")
        };
        let mut response = Response::new(self.status(), body);
        // Caches may keep a 404: which of the two it is depends on what was asked for.
        let _ = response.headers_mut().set("Vary", "Accept");
        response
    }

    /// The members of problem+json (RFC 9457 section 3): `type`, `title`, `status`,
    /// `detail`; `in`, `reason` and `field` of what an extractor refused; and those of
    /// [`Error::with_member`].
    pub fn members(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut members = serde_json::Map::new();
        let mut put = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        put("type", Some("about:blank".into()));
        put("title", Some(self.title().into()));
        put("status", Some(self.status().as_u16().into()));
        put("detail", self.detail().map(Into::into));
        put("in", self.error.part().map(|part| part.as_str().into()));
        put(
            "reason",
            self.error.rejection().map(|reason| reason.as_str().into()),
        );
        put("field", self.field().map(Into::into));
        members.extend(self.error.members().clone());
        members
    }

    fn json(&self) -> String {
        serde_json::Value::Object(self.members()).to_string()
    }

    fn page(&self) -> String {
        let (status, title) = (self.status().as_u16(), self.title());
        let detail = self.detail().unwrap_or_default();
        let detail = escape(&detail);
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>{status}: {title}</title>\
             <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;\
             margin:15vh auto;padding:0 1rem}}h1{{font-weight:500}}p{{white-space:pre-wrap}}</style>\
             </head><body><h1>{status}: {title}</h1><p>{detail}</p></body></html>\n"
        )
    }
}

/// Renders an error for a client, and logs what the client does not see.
pub(super) fn answer(app: &App, label: &str, error: &Error, prefers: Prefers) -> Response {
    log(label, error);
    render(app, error, prefers)
}

/// Logs what the client does not see.
pub(super) fn log(label: &str, error: &Error) {
    let status = error.status_code();
    say(|| {
        if status.is_server_error() {
            tracing::error!(
                target: "squall::web",
                route = label,
                status = status.as_u16(),
                blame = ?error.blamed(),
                %error,
                "a request failed"
            );
        } else {
            tracing::debug!(
                target: "squall::web",
                route = label,
                status = status.as_u16(),
                %error,
                "a request was refused"
            );
        }
    });
}

/// Renders an error for a client.
pub(super) fn render(app: &App, error: &Error, prefers: Prefers) -> Response {
    let problem = Problem {
        error,
        prefers,
        debug: app.settings.debug,
    };
    let mut response = match &app.renderer {
        Some(renderer) => renderer(&problem),
        None => problem.response(),
    };
    let headers = response.headers_mut();
    for (name, value) in error.headers().iter() {
        // They were checked when they were added to the error.
        let _ = headers.append(name, value);
    }
    if let Some(delay) = error.retry_delay() {
        let _ = headers.set("Retry-After", delay.as_secs().max(1).to_string());
    }
    response
}

/// Escapes text for HTML, in element content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_want_pages_and_programs_json() {
        for (accept, html) in [
            ("", false),
            ("*/*", false),
            ("application/json, text/plain, */*", false),
            ("application/json;q=0.5, text/html", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("application/xhtml+xml, text/html;q=0.9", true),
            ("application/problem+json , text/html", false),
            ("image/avif,image/webp,*/*", false),
        ] {
            let mut headers = Headers::new();
            headers.set("Accept", accept).expect("a field");
            assert_eq!(Prefers::of(&headers) == Prefers::Html, html, "{accept}");
        }
    }
}
