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
//! both ways with back-pressure; compressed answers are asked for, and decoded as they
//! come (feature `compression`, on by default).

mod address;
mod async_http_client;
mod connect;
mod cookie_jar;
#[cfg(feature = "compression")]
mod decode;
mod digest;
mod digests;
#[cfg(feature = "hickory")]
mod dns_resolver;
mod error;
mod event_source;
mod fetch;
mod hop;
mod hop_fields;
mod http_client;
mod multipart;
mod netrc;
mod origin;
mod permit;
mod pool;
mod producer;
mod proxy;
mod public_only;
mod redirect;
mod repeat;
mod replay;
mod request;
mod resolver;
mod response;
mod retry;
mod route;
mod save;
mod time_info;
mod total;
mod trace;
mod unreachable;

pub use async_http_client::{AsyncHttpClient, ClientBuilder};
pub(crate) use connect::Dial;
pub use cookie_jar::{CookieJar, StoredCookie};
#[cfg(feature = "hickory")]
pub use dns_resolver::DnsResolver;
pub use error::{FetchError, Phase, RequestSent};
pub use event_source::{Event, EventSource};
pub(crate) use hop::{Replayable, first_byte_limit, hop};
pub use http_client::HttpClient;
pub use multipart::{Multipart, MultipartError};
pub(crate) use origin::Origin;
pub use pool::PoolStats;
pub use producer::BodyWriter;
pub use proxy::{Proxy, ProxyError};
pub(crate) use repeat::harmless_twice;
pub use request::HttpRequest;
pub use resolver::{Resolver, Resolving};
pub use response::{Hop, HttpResponse};
pub use retry::Retry;
pub use squall_http::client::{Head, Upgraded};
pub use time_info::TimeInfo;
pub use url::Url;
