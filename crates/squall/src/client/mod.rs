//! The HTTP client: Tornado's `AsyncHTTPClient`, with a pool.
//!
//! ```no_run
//! use squall::client::{AsyncHttpClient, HttpRequest};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = AsyncHttpClient::new();
//! let mut response = client.fetch("https://api.github.com/").await?;
//! println!("{} {}", response.code(), response.text().await?);
//!
//! let request = HttpRequest::post("https://upstream.test/").json(&["a", "b"]).validate_cert(false);
//! let response = client.fetch(request).await?.rethrow()?;
//! # Ok(())
//! # }
//! ```
//! A fetch runs inside the future that awaits it; dropping that cancels it. Bodies stream
//! both ways with back-pressure. `Accept-Encoding` is only sent when the caller sets it,
//! and answers are not decoded.

mod async_http_client;
mod connect;
mod error;
mod fetch;
mod multipart;
mod pool;
mod redirect;
mod request;
mod response;
mod time_info;

pub use async_http_client::{AsyncHttpClient, ClientBuilder};
pub use error::{FetchError, Phase, RequestSent};
pub use multipart::{Multipart, MultipartError};
pub use pool::PoolStats;
pub use request::HttpRequest;
pub use response::HttpResponse;
pub use time_info::TimeInfo;
