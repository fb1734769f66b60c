//! Testing an application over real sockets, on a free port, in its own loop.
//!
//! ```
//! use squall::Application;
//! use squall::testing::TestServer;
//!
//! async fn hello() -> &'static str { "hello" }
//!
//! let server = TestServer::start(Application::new().route("/", hello));
//! let answer = server.get("/");
//! assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
//! ```
//!
//! | Tornado | here |
//! |---|---|
//! | `AsyncHTTPTestCase.get_app`, `fetch` | [`TestServer::start`], [`TestServer::get`], [`TestServer::client`] |
//! | `get_url`, `get_http_port` | [`TestServer::address`] |
//! | `ExpectLog` | [`ExpectLog`] |
//! | `AsyncHTTPTestCase.get_http_client` | [`AsyncHttpClient::to_app`](crate::AsyncHttpClient::to_app) |
//! | `bind_unused_port` | the server's own port is one |
//!
//! What calls other services is tested with a [`MockServer`] in their place, or with an
//! application: [`AsyncHttpClient::to_app`](crate::AsyncHttpClient::to_app). A service that is
//! down is [`Nobody`].
//! Time: [`TestServer::start_turned`] gives a clock that stands still until it is turned.

mod client;
mod expect_log;
mod mock;
mod nobody;
mod response;
mod server;
#[cfg(unix)]
mod to_app;

pub use client::{TestClient, TestRequest};
pub use expect_log::{ExpectLog, LoggedEvent};
pub use mock::{MockPeer, MockReply, MockRequest, MockServer};
pub use nobody::Nobody;
pub use response::TestResponse;
pub use server::TestServer;
pub use squall_loop::TestClock;
