//! What a request carries.

use std::io;
use std::path::Path;

use serde::Serialize;
use squall_http::{Body, BodyError};

use super::super::multipart::Multipart;
use super::super::producer::{BodyWriter, produced};
use super::super::replay::replayed;
use super::HttpRequest;
use crate::file_body::file_body;

impl HttpRequest {
    /// The body: bytes, text, or a [`Body`] that streams.
    ///
    /// A body of unknown length goes in chunks. One that streams cannot be sent twice, so
    /// a redirect that would have to is an error.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// A JSON body: `application/json`, unless a `Content-Type` is given before or after.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.body = Body::from(json).with_content_type("application/json"),
            Err(error) => self.fail(format!("the body cannot be JSON: {error}")),
        }
        self
    }

    /// A form body, as browsers send it: `application/x-www-form-urlencoded`, unless a
    /// `Content-Type` is given before or after.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let form = squall_http::wire::form::encode(pairs);
        self.body = Body::from(form).with_content_type("application/x-www-form-urlencoded");
        self
    }

    /// A form with files. It streams: see [`Multipart`].
    ///
    /// Its `Content-Type` replaces one that was given before: it names the form's boundary.
    pub fn multipart(mut self, form: Multipart) -> Self {
        self.put_header("Content-Type", form.content_type().as_bytes());
        self.body = form.into_body();
        self
    }

    /// A body that is made anew whenever it is sent: once, and again for a redirect, a
    /// repeat or a challenge.
    ///
    /// ```
    /// # use squall::client::HttpRequest;
    /// use squall::{Body, BodyError, Bytes};
    /// let request = HttpRequest::put("http://a.test/").body_with(|| {
    ///     let mut lines = ["one\n", "two\n"].into_iter();
    ///     Body::from_fn(move || {
    ///         let line = lines.next().map(|line| Ok::<_, BodyError>(Bytes::from(line)));
    ///         async move { line }
    ///     })
    /// });
    /// ```
    pub fn body_with(mut self, make: impl Fn() -> Body + Send + Sync + 'static) -> Self {
        self.body = replayed(make);
        self
    }

    /// A body that an async function writes, piece by piece, as the server takes it.
    ///
    /// It ends when the function does; an error of the function fails the fetch. It goes
    /// in chunks, and cannot be sent twice.
    ///
    /// ```
    /// # use squall::client::HttpRequest;
    /// let request = HttpRequest::post("http://a.test/").body_producer(|mut body| async move {
    ///     for line in ["one\n", "two\n"] {
    ///         body.write(line).await?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn body_producer<F, Fut>(mut self, producer: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut,
        Fut: Future<Output = Result<(), BodyError>> + Send + 'static,
    {
        self.body = produced(producer);
        self
    }

    /// The file at `path` as the body, of the length it has now. It is read while it is
    /// sent, and again for a redirect or a repeat.
    ///
    /// The `Content-Type` is guessed from the name, unless one is given before or after.
    ///
    /// # Errors
    /// When it cannot be opened, or is no file.
    ///
    /// # Cancel safety
    /// Dropping it drops the request.
    pub async fn file(mut self, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let guessed = mime_guess::from_path(path).first_raw();
        let content_type = guessed.unwrap_or("application/octet-stream");
        self.body = file_body(path).await?.with_content_type(content_type);
        Ok(self)
    }
}
