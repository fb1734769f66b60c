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

    /// A JSON body, with its `Content-Type`.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.typed_body(json.into(), "application/json"),
            Err(error) => {
                self.fail(format!("the body cannot be JSON: {error}"));
                self
            }
        }
    }

    /// A form body, as browsers send it, with its `Content-Type`.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(
        self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let form = squall_http::wire::form::encode(pairs);
        self.typed_body(
            form.into_bytes().into(),
            "application/x-www-form-urlencoded",
        )
    }

    /// A form with files, with its `Content-Type`. It streams: see [`Multipart`].
    pub fn multipart(self, form: Multipart) -> Self {
        let content_type = form.content_type();
        self.typed_body(form.into_body(), &content_type)
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
    /// The `Content-Type` is guessed from the name unless there is one already.
    ///
    /// # Errors
    /// When it cannot be opened, or is no file.
    ///
    /// # Cancel safety
    /// Dropping it drops the request.
    pub async fn file(mut self, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        self.body = file_body(path).await?;
        if !self.headers.contains("content-type") {
            let guessed = mime_guess::from_path(path).first_or_octet_stream();
            self.put_header("Content-Type", guessed.essence_str().as_bytes());
        }
        Ok(self)
    }

    fn typed_body(mut self, body: Body, content_type: &str) -> Self {
        if let Err(error) = self.headers.set("Content-Type", content_type) {
            self.fail(error.to_string());
        }
        self.body = body;
        self
    }
}
