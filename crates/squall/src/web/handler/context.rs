//! `Context`: a request together with the answer a `RequestHandler` writes.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::BytesMut;
use http::{Method, StatusCode};
use squall_http::server::Response;
use squall_http::wire::InvalidHeader;
use squall_http::{Body, Headers};

use super::outgoing::Outgoing;
use crate::web::etag;
use crate::web::extract::{self, FromRequest};
use crate::web::http_error::{self, Prefers};
use crate::web::request::Request;
use crate::web::respond::{IntoResponse, Redirect};
use crate::web::routing::UrlArgs;
use crate::web::upload::{Upload, UploadedFile};
use crate::web::user::{self, User};
use crate::{Error, Result};

const HTML: &str = "text/html; charset=utf-8";

/// A request together with the answer that is being written.
#[derive(Debug)]
pub struct Context {
    request: Request,
    response: Response,
    written: BytesMut,
    finished: bool,
    form: Option<Vec<(String, String)>>,
    files: Vec<UploadedFile>,
    outgoing: Arc<Outgoing>,
    /// The status that was sent by a flush.
    begun: Option<StatusCode>,
}

/// The request.
impl Context {
    pub(super) fn new(request: Request, outgoing: Arc<Outgoing>) -> Self {
        Self {
            request,
            response: Response::default(),
            written: BytesMut::new(),
            finished: false,
            form: None,
            files: Vec::new(),
            outgoing,
            begun: None,
        }
    }

    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The request, to read its body.
    pub fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }

    /// Runs an extractor: whatever a function can take as a parameter.
    ///
    /// # Errors
    /// The extractor's.
    pub async fn extract<T: FromRequest>(&mut self) -> Result<T> {
        self.request.extract().await
    }

    /// A parameter of the route's path.
    ///
    /// # Errors
    /// 400 when its encoding is broken; 500 when the route has none of that name.
    #[doc(alias = "path_kwargs")]
    pub fn param(&self, name: &str) -> Result<Cow<'_, str>> {
        self.request.param(name)
    }

    /// The parameters of the route's path in order, decoded.
    ///
    /// # Errors
    /// 400 when the encoding of one is broken.
    pub fn path_args(&self) -> Result<Vec<String>> {
        let params = self.request.raw_params();
        (params.map(|(name, _)| self.request.param(name).map(Cow::into_owned))).collect()
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
        let mut values = self.query_arguments(name)?;
        values.extend(self.body_arguments(name).await?);
        Ok(values)
    }

    /// The last value of an argument of the query, trimmed.
    ///
    /// # Errors
    /// 400 that names the argument when it is missing.
    #[doc(alias = "get_query_argument")]
    pub fn query_argument(&self, name: &str) -> Result<String> {
        let last = self.query_arguments(name)?.pop();
        last.ok_or_else(|| Error::missing_argument(name))
    }

    /// Every value of an argument of the query, trimmed.
    ///
    /// # Errors
    /// 400 when the query is not UTF-8.
    #[doc(alias = "get_query_arguments")]
    pub fn query_arguments(&self, name: &str) -> Result<Vec<String>> {
        Ok(values(&self.request.query_arguments()?, name))
    }

    /// The last value of an argument of the form in the body, trimmed.
    ///
    /// # Errors
    /// As [`argument`](Self::argument).
    #[doc(alias = "get_body_argument")]
    pub async fn body_argument(&mut self, name: &str) -> Result<String> {
        let last = self.body_arguments(name).await?.pop();
        last.ok_or_else(|| Error::missing_argument(name))
    }

    /// Every value of an argument of the form in the body, trimmed; none when the body is
    /// no form. The body is read with the first call, files of the form included.
    ///
    /// # Errors
    /// 413 when the form is too large; 400 when it is not UTF-8.
    #[doc(alias = "get_body_arguments")]
    pub async fn body_arguments(&mut self, name: &str) -> Result<Vec<String>> {
        Ok(values(self.read_form().await?, name))
    }

    /// The files of a form that has some (`multipart/form-data`), in order; they may be
    /// taken out. They are spooled to disk when they are large.
    ///
    /// # Errors
    /// Those of [`Upload`](crate::Upload).
    pub async fn files(&mut self) -> Result<&mut Vec<UploadedFile>> {
        self.read_form().await?;
        Ok(&mut self.files)
    }

    /// Reads the form in the body, once.
    async fn read_form(&mut self) -> Result<&[(String, String)]> {
        if self.form.is_none() {
            let mut pairs = Vec::new();
            if extract::has_form(&self.request) {
                let limit = self.request.shared().settings.max_arguments;
                let body = extract::collect(&mut self.request).await?;
                let form = extract::pairs(extract::RequestPart::Form, &body, limit)?;
                let owned = form
                    .into_iter()
                    .map(|(name, value)| (name.into_owned(), value.into_owned()));
                pairs = owned.collect();
            } else if extract::has_upload(&self.request) {
                (pairs, self.files) = self.request.extract::<Upload>().await?.into_parts();
            }
            self.form = Some(pairs);
        }
        Ok(self.form.as_deref().unwrap_or_default())
    }

    /// Who is asking, looked up once per request; see [`User`].
    ///
    /// # Errors
    /// Those of the lookup.
    #[doc(alias = "get_current_user")]
    pub async fn current_user<U: User>(&mut self) -> Result<Option<Arc<U>>> {
        user::current(&mut self.request).await
    }

    /// As [`current_user`](Self::current_user), for whoever has to be known.
    ///
    /// # Errors
    /// A redirect to the setting `login_url` for a browser's GET or HEAD; 401 otherwise.
    pub async fn authenticated<U: User>(&mut self) -> Result<Arc<U>> {
        user::authenticated(&mut self.request).await
    }

    /// The path of a named route; see [`AppHandle::url`](crate::AppHandle::url).
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "reverse_url")]
    pub fn url(&self, name: &str, args: impl UrlArgs) -> Result<String> {
        self.request.app().url(name, args)
    }
}

/// The answer.
impl Context {
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

    /// Appends to the answer's body, in memory. [`flush`](Self::flush) sends it.
    ///
    /// Its type is HTML unless the headers say otherwise, as in Tornado.
    pub fn write(&mut self, chunk: impl AsRef<[u8]>) {
        self.written.extend_from_slice(chunk.as_ref());
    }

    /// Sends what was written, with the status and the headers if it is the first time,
    /// and waits until the connection has taken it: a client that reads slowly slows the
    /// handler down. Status and headers that are set afterwards are not sent.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squall::{Context, RequestHandler, Result};
    ///
    /// #[derive(Clone)]
    /// struct Ticks;
    /// impl RequestHandler for Ticks {
    ///     async fn get(&mut self, context: &mut Context) -> Result<()> {
    ///         context.set_header("Content-Type", "text/plain")?;
    ///         for tick in 0..3 {
    ///             context.write(format!("{tick}\n"));
    ///             context.flush().await;
    ///             squall::sleep(Duration::from_millis(10)).await;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    /// What was written is sent nevertheless.
    pub async fn flush(&mut self) {
        let is_head = *self.request.method() == Method::HEAD;
        if self.begun.is_none() {
            self.begun = Some(self.response.status());
            let mut head = std::mem::take(&mut self.response);
            *head.body_mut() = Body::empty().with_content_type(HTML);
            self.outgoing.begin(head);
        }
        let chunk = self.written.split().freeze();
        // Nobody asks for the body of an answer to HEAD.
        if !is_head {
            self.outgoing.push(chunk);
            self.outgoing.taken().await;
        }
    }

    /// Completes the answer with a body, behind what was flushed, or in place of what was
    /// written.
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

    /// Begins the answer anew: no headers, no body, 200. What was flushed is sent.
    pub fn clear(&mut self) {
        self.response = Response::default();
        self.written.clear();
        self.finished = false;
    }

    /// Whether the answer was completed already.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}

impl Context {
    /// Whether the head of the answer was sent.
    pub(super) fn is_begun(&self) -> bool {
        self.begun.is_some()
    }

    pub(super) fn begun_status(&self) -> StatusCode {
        self.begun.unwrap_or_default()
    }

    /// The handler has ended: the answer, or the end of one that was begun.
    pub(super) fn complete(
        &mut self,
        compute_etag: impl FnOnce(&[u8]) -> Option<String>,
    ) -> Option<Response> {
        if self.is_begun() {
            self.outgoing.push(self.written.split().freeze());
            self.outgoing.end(std::mem::take(self.response.body_mut()));
            return None;
        }
        let whole = !self.finished;
        let mut response = self.take_response();
        let safe = matches!(*self.request.method(), Method::GET | Method::HEAD);
        if whole && safe && response.status() == StatusCode::OK {
            etag::apply(self.request.headers(), &mut response, compute_etag);
        }
        Some(response)
    }

    pub(in crate::web) fn headers_mut(&mut self) -> &mut Headers {
        self.response.headers_mut()
    }

    pub(super) fn take_response(&mut self) -> Response {
        let mut response = std::mem::take(&mut self.response);
        if !self.finished && !self.written.is_empty() {
            let written = self.written.split().freeze();
            *response.body_mut() = Body::from(written).with_content_type(HTML);
        }
        response
    }

    /// Sets the status and the headers of an error.
    pub(super) fn take_over(&mut self, error: &Error) {
        self.response.set_status(error.status_code());
        for (name, value) in error.headers().iter() {
            // They were checked when they were added to the error.
            let _ = self.response.headers_mut().set(name, value);
        }
    }

    /// The application's answer to an error, with the headers that were set here.
    pub(super) fn render(&mut self, route: &str, error: &Error) -> Response {
        let prefers = Prefers::of(self.request.headers());
        let mut rendered = http_error::answer(self.request.shared(), route, error, prefers);
        let own = std::mem::take(&mut self.response);
        for (name, value) in own.headers().iter() {
            // The error's own go first, the rest was checked when it was set. What the
            // page is, only its renderer knows.
            if !rendered.headers().contains(name) && !name.eq_ignore_ascii_case("content-type") {
                let _ = rendered.headers_mut().append(name, value);
            }
        }
        rendered
    }
}

fn values<T: AsRef<str>>(pairs: &[(T, T)], name: &str) -> Vec<String> {
    (pairs.iter())
        .filter(|(known, _)| known.as_ref() == name)
        .map(|(_, value)| value.as_ref().trim().to_owned())
        .collect()
}
