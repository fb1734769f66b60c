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
//! | `bind_unused_port` | the server's own port is one |
//!
//! Time: [`TestServer::start_turned`] gives a clock that stands still until it is turned.

mod client;
mod expect_log;
mod response;
mod server;

pub use client::{TestClient, TestRequest};
pub use expect_log::{ExpectLog, LoggedEvent};
pub use response::TestResponse;
pub use server::TestServer;
pub use squall_loop::TestClock;
