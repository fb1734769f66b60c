//! `Context`: a request together with the answer a `RequestHandler` writes.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use squall_http::server::Response;
use squall_http::wire::InvalidHeader;
use squall_http::{Body, Headers};

use crate::web::extract;
use crate::web::request::Request;
use crate::web::respond::{IntoResponse, Redirect};
use crate::{Error, Result};

/// A request together with the answer that is being written.
#[derive(Debug)]
pub struct Context {
    request: Request,
    response: Response,
    written: BytesMut,
    finished: bool,
    form: Option<Vec<(String, String)>>,
}

impl Context {
    pub(super) fn new(request: Request) -> Self {
        Self {
            request,
            response: Response::default(),
            written: BytesMut::new(),
            finished: false,
            form: None,
        }
    }

    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The request, to read its body or to run an extractor.
    pub fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }

    /// A parameter of the route's path.
    ///
    /// # Errors
    /// 400 when its encoding is broken; 500 when the route has none of that name.
    pub fn param(&self, name: &str) -> Result<Cow<'_, str>> {
        self.request.param(name)
    }

    /// The last value of an argument, from the form in the body or the query, trimmed.
    ///
    /// # Errors
    /// 400 that names the argument when it is missing; 413 when the form is too large.
    #[doc(alias = "get_argument")]
    pub async fn argument(&mut self, name: &str) -> Result<String> {
        let last = self.arguments(name).await?.pop();
        last.ok_or_else(|| Error::missing_argument(name))
    }

    /// Every value of an argument: those of the query first, then those of the form.
    ///
    /// # Errors
    /// As [`argument`](Self::argument), except that none may be there.
    #[doc(alias = "get_arguments")]
    pub async fn arguments(&mut self, name: &str) -> Result<Vec<String>> {
        if self.form.is_none() {
            let owned = |(name, value): extract::Pair<'_>| (name.into_owned(), value.into_owned());
            let query = self.request.query_arguments()?;
            let mut pairs: Vec<_> = query.into_iter().map(owned).collect();
            if extract::has_form(&self.request) {
                let limit = self.request.shared().settings.max_arguments;
                let body = extract::collect(&mut self.request).await?;
                let form = extract::pairs(extract::RequestPart::Form, &body, limit)?;
                pairs.extend(form.into_iter().map(owned));
            }
            self.form = Some(pairs);
        }
        let all = self.form.as_deref().unwrap_or_default();
        Ok((all.iter())
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.trim().to_owned())
            .collect())
    }

    /// Sets the status of the answer.
    pub fn set_status(&mut self, status: StatusCode) {
        self.response.set_status(status);
    }

    /// Sets a header of the answer, in place of those of the same name.
    ///
    /// # Errors
    /// When the name or the value holds what a header may not.
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        self.response.headers_mut().set(name, value)
    }

    /// Adds a header to the answer, beside those of the same name.
    ///
    /// # Errors
    /// When the name or the value holds what a header may not.
    pub fn add_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        self.response.headers_mut().append(name, value)
    }

    /// Removes a header from the answer.
    pub fn clear_header(&mut self, name: &str) {
        self.response.headers_mut().remove(name);
    }

    /// Appends to the answer's body. Stream with [`finish`](Self::finish) what is large.
    ///
    /// Its type is HTML unless the headers say otherwise, as in Tornado.
    pub fn write(&mut self, chunk: impl AsRef<[u8]>) {
        self.written.extend_from_slice(chunk.as_ref());
    }

    /// Completes the answer with a body, in place of what was written.
    pub fn finish(&mut self, body: impl Into<Body>) {
        *self.response.body_mut() = body.into();
        self.written.clear();
        self.finished = true;
    }

    /// Completes the answer with anything that a function may return.
    ///
    /// # Errors
    /// That of the answer itself.
    pub fn respond(&mut self, answer: impl IntoResponse) -> Result<()> {
        let (status, headers, body) = answer.into_response()?.into_parts();
        self.response.set_status(status);
        for (name, value) in headers.iter() {
            self.response.headers_mut().append(name, value)?;
        }
        self.finish(body);
        Ok(())
    }

    /// Completes the answer with a redirect inside of this site (303).
    ///
    /// # Errors
    /// When the target leads elsewhere; see [`Redirect`].
    pub fn redirect(&mut self, target: &str) -> Result<()> {
        self.respond(Redirect::to(target))
    }

    /// Whether the answer was completed already.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    pub(in crate::web) fn headers_mut(&mut self) -> &mut Headers {
        self.response.headers_mut()
    }

    pub(super) fn take_response(&mut self) -> Response {
        let mut response = std::mem::take(&mut self.response);
        if !self.finished && !self.written.is_empty() {
            let written: Bytes = std::mem::take(&mut self.written).freeze();
            *response.body_mut() =
                Body::from(written).with_content_type("text/html; charset=utf-8");
        }
        response
    }
}
