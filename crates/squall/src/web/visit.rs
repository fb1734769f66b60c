//! What happens around a handler: panics, errors, the count and the access log.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use pin_project_lite::pin_project;
use squall_http::server::{self, Response, ResponseFuture};

use super::app::App;
use super::http_error::{self, Prefers};
use super::panic;
use super::routing::Place;
use super::shed;
use crate::log::AccessLine;
use crate::{Error, Result};

/// One request's visit to the application, as far as its answer needs to know it.
pub(crate) struct Visit {
    app: Arc<App>,
    place: Place,
    prefers: Prefers,
    line: Option<Arc<AccessLine>>,
}

impl Visit {
    pub(super) fn begin(
        app: &Arc<App>,
        place: Place,
        prefers: Prefers,
        request: &server::Request,
    ) -> Self {
        match app.routes.route(place) {
            Some(route) => route.count(),
            None => app.count_unrouted(),
        }
        Self::uncounted(app, place, prefers, request)
    }

    /// A visit that will be shed.
    pub(super) fn uncounted(
        app: &Arc<App>,
        place: Place,
        prefers: Prefers,
        request: &server::Request,
    ) -> Self {
        let line = AccessLine::begin(&app.settings, request);
        if let Some(line) = &line {
            request.exchange().keep_note(line.clone());
        }
        Self {
            app: app.clone(),
            place,
            prefers,
            line,
        }
    }

    /// A visit inside of another one, which counts and logs.
    pub(super) fn inner(app: &Arc<App>, place: Place, request: &server::Request) -> Self {
        Self {
            app: app.clone(),
            place,
            prefers: Prefers::of(request.headers()),
            line: None,
        }
    }

    /// The visit's line in the access log.
    pub(super) fn line(&self) -> Option<Arc<AccessLine>> {
        self.line.clone()
    }

    /// Runs a handler to its answer.
    pub(crate) fn attend<F>(self, handler: F) -> Attended<F>
    where
        F: Future<Output = Result<Response>>,
    {
        Attended {
            handler,
            visit: self,
        }
    }

    /// Answers without a handler, because threads are short.
    pub(super) fn shed(self, setting: &str) -> ResponseFuture {
        let response = shed::answer(&self.app, self.place, self.prefers, setting);
        if let Some(line) = &self.line {
            line.log(response.status());
        }
        Box::pin(ready(response))
    }

    fn conclude(&self, result: Result<Response>) -> Response {
        let response = result.unwrap_or_else(|error| {
            let label = self.app.label(self.place.tag());
            http_error::answer(&self.app, &label, &error, self.prefers)
        });
        if let Some(line) = &self.line {
            line.log(response.status());
        }
        response
    }
}

/// A visit without an answer: its client has gone before. nginx's 499 says so in the log.
impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(line) = &self.line
            && let Ok(closed) = StatusCode::from_u16(499)
        {
            line.log(closed);
        }
    }
}

pin_project! {
    /// A handler's future that never panics and never fails.
    pub(crate) struct Attended<F> {
        #[pin]
        handler: F,
        visit: Visit,
    }
}

impl<F: Future<Output = Result<Response>>> Future for Attended<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let this = self.project();
        let handler = this.handler;
        let result = match panic::contain(|| handler.poll(cx)) {
            Ok(poll) => ready!(poll),
            Err(panicked) => {
                panicked.log(&this.visit.app.label(this.visit.place.tag()));
                Err(Error::internal(panicked.message))
            }
        };
        Poll::Ready(this.visit.conclude(result))
    }
}
