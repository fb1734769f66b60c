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

mod response;
mod server;

pub use response::TestResponse;
pub use server::TestServer;
