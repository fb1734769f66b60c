//! The application as the engine sees it.

use std::any::Any;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use squall_http::server::{Refused, Request, Response, ResponseFuture, Service};
use squall_loop::{Blocked, say};

use super::app::App;
use super::execute::execute;
use super::http_error::{self, Prefers};
use super::offload;
use super::redirect_to_https;
use crate::Error;
use crate::log::{AccessLine, millis};

type Note = Arc<dyn Any + Send + Sync>;

/// An application in front of its connections.
pub(super) struct Front(pub(super) Arc<App>);

impl Service for Front {
    fn call(&self, request: Request) -> ResponseFuture {
        if let Some(port) = redirect_to_https::port(&self.0, &request) {
            let answer = redirect_to_https::answer(&self.0, &request, port);
            return Box::pin(ready(answer));
        }
        execute(&self.0, request)
    }

    fn reject(&self, refused: &Refused<'_>) -> Response {
        AccessLine::refused(&self.0.settings, refused);
        let error = Error::status(refused.status).show(refused.why.to_owned());
        let prefers = (refused.head).map_or(Prefers::Json, |head| Prefers::of(&head.headers));
        http_error::answer(&self.0, "no route", &error, prefers)
    }

    fn timed_out(&self, tag: u32, limit: Duration, note: Option<Note>) -> Response {
        let (tag, prefers) = Prefers::unmark(tag);
        let setting = match limit == self.0.settings.server.handler_timeout {
            true => " (setting: handler_timeout)",
            false => "",
        };
        let error = Error::gateway_timeout(format!("no answer within {limit:?}{setting}"));
        let answer = http_error::answer(&self.0, &self.0.label(tag), &error, prefers);
        if let Some(line) = note.and_then(|note| note.downcast::<AccessLine>().ok()) {
            line.log(answer.status());
        }
        answer
    }

    fn late(&self, tag: u32, overdue: Duration) {
        self.0.late.fetch_add(1, Ordering::Relaxed);
        say(|| {
            tracing::debug!(
                target: "squall::web",
                route = self.label(tag),
                overdue_ms = millis(overdue),
                "a handler has ended when nobody waited for its answer any more; it is discarded"
            );
        });
    }

    fn label(&self, tag: u32) -> String {
        self.0.label(Prefers::unmark(tag).0)
    }

    fn caught(&self, tag: u32, blocked: &Blocked) {
        offload::caught(&self.0, Prefers::unmark(tag).0, blocked);
    }

    fn released(&self, tag: u32, blocked: &Blocked, total: Duration) {
        offload::released(&self.0, Prefers::unmark(tag).0, blocked, total);
    }
}
