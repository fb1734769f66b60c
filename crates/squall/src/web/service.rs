//! The application as the engine sees it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use squall_http::server::{Request, Response, ResponseFuture, Service};
use squall_loop::Blocked;

use super::app::App;
use super::execute::execute;
use super::http_error::{self, Prefers};
use crate::Error;

/// An application in front of its connections.
pub(super) struct Front(pub(super) Arc<App>);

impl Service for Front {
    fn call(&self, request: Request) -> ResponseFuture {
        execute(&self.0, request)
    }

    fn reject(&self, status: StatusCode, why: &str) -> Response {
        let error = Error::status(status).show(why.to_owned());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let error = error.retry_after(Duration::from_secs(1));
            return http_error::answer(&self.0, "no route", &error, Prefers::Json);
        }
        http_error::answer(&self.0, "no route", &error, Prefers::Json)
    }

    fn timed_out(&self, tag: u32, limit: Duration) -> Response {
        let error = Error::gateway_timeout(format!("no answer within {limit:?}"));
        http_error::answer(&self.0, &self.label(tag), &error, Prefers::Json)
    }

    fn label(&self, tag: u32) -> String {
        self.0.label(tag)
    }

    fn caught(&self, tag: u32, blocked: &Blocked) {
        if let Some(route) = self.0.routes.tagged(tag) {
            route.learned.caught(&route.label, blocked);
        }
    }

    fn released(&self, tag: u32, _: &Blocked, total: Duration) {
        if let Some(route) = self.0.routes.tagged(tag) {
            route.learned.released(total);
        }
    }
}
