//! `HttpClient`: the client for code outside of a loop; Tornado's `HTTPClient`.

use std::future::Future;
use std::io;

use squall_loop::IoLoop;

use super::async_http_client::{AsyncHttpClient, ClientBuilder};
use super::error::FetchError;
use super::request::HttpRequest;
use super::response::HttpResponse;

/// Fetches while the calling thread waits: [`AsyncHttpClient`] with a loop of its own.
///
/// For scripts, tests and threads. In a handler of an application it works, too, and
/// blocks it as any blocking call does; there the asynchronous one is the better choice.
///
/// ```no_run
/// use squall::client::HttpClient;
///
/// let client = HttpClient::new()?;
/// let response = client.fetch("https://a.test/")?;
/// println!("{} {:?}", response.code(), response.body_text());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "HTTPClient")]
#[derive(Debug)]
pub struct HttpClient {
    client: AsyncHttpClient,
    io_loop: IoLoop,
}

impl HttpClient {
    /// A client with the default settings.
    ///
    /// # Errors
    /// The system's, when it has no thread or descriptor for the loop.
    pub fn new() -> io::Result<Self> {
        Self::with(AsyncHttpClient::builder())
    }

    /// A client with these settings.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(settings: ClientBuilder) -> io::Result<Self> {
        Ok(Self {
            client: settings.build(),
            io_loop: IoLoop::builder().lanes(1).build()?,
        })
    }

    /// Fetches an address with its whole body, which [`HttpResponse::body`],
    /// [`body_text`](HttpResponse::body_text) and [`body_json`](HttpResponse::body_json) give.
    ///
    /// # Errors
    /// As [`AsyncHttpClient::fetch`] and [`HttpResponse::bytes`].
    pub fn fetch(&self, request: impl Into<HttpRequest>) -> Result<HttpResponse, FetchError> {
        let request = request.into();
        self.run(|client| async move {
            let mut response = client.fetch(request).await?;
            response.bytes().await?;
            Ok(response)
        })
    }

    /// Runs a function with the asynchronous client to its end: for bodies that stream,
    /// and for several fetches at a time.
    ///
    /// # Errors
    /// The function's.
    ///
    /// # Panics
    /// When the function does.
    pub fn run<F, Fut, T, E>(&self, function: F) -> Result<T, E>
    where
        F: FnOnce(AsyncHttpClient) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let client = self.client.clone();
        let done = self.io_loop.run(async move { function(client).await });
        done.unwrap_or_else(|error| panic!("what ran on the client's loop: {error}"))
    }
}

impl Drop for HttpClient {
    fn drop(&mut self) {
        self.io_loop.stop();
    }
}
