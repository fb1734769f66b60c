//! Squall: an async web framework with the HTTP client in the same box.
//!
//! It is for services that do slow things: call other services, forward requests,
//! relay uploads, run jobs. A handler may block; the others go on, and the log names
//! the route and the system call.
//!
//! ```no_run
//! use squall::{Application, Path, Result};
//!
//! // Blocks for a second. Nobody else notices.
//! async fn ping(Path(host): Path<String>) -> Result<String> {
//!     let out = std::process::Command::new("ping").args(["-c", "2", "--", &host]).output()?;
//!     Ok(String::from_utf8_lossy(&out.stdout).into_owned())
//! }
//!
//! fn main() -> Result<()> {
//!     Application::new().route("/ping/{host}", ping).listen("127.0.0.1:5000")?.run()
//! }
//! ```

pub mod client;
pub mod coding;
mod draft_file;
pub mod error;
mod file_body;
mod file_read;
pub mod forward;
#[cfg(doctest)]
mod guide;
pub mod log;
pub mod settings;
pub mod testing;
pub mod tls;
pub mod web;

pub use bytes::Bytes;
pub use client::{AsyncHttpClient, FetchError, HttpRequest, HttpResponse};
pub use error::{Blame, Error, Result};
pub use file_body::file_body;
pub use http::{Method, StatusCode, Uri};
pub use settings::Settings;
pub use squall_http::server::{Exchange, Response};
pub use squall_http::{
    Body, BodyError, BodyStream, Chunk, Headers, Peer, SilenceLimit, TrustedPeers,
};
#[cfg(unix)]
pub use squall_loop::process;
pub use squall_loop::{
    Executor, IoLoop, PeriodicCallback, Pressure, Sleep, blocking, deadline, net, queues,
    remaining, run_on_executor, signal, sleep, sleep_until, sync, with_timeout, yield_now,
};
#[cfg(feature = "compression")]
pub use web::Compression;
pub use web::StaticFiles;
pub use web::cookies::{Cookies, EncryptedCookies, Keys, SetCookie, SignedCookies};
pub use web::extract::{
    Basic, Bearer, Extension, Form, FromRequest, Header, Host, Json, LastEventId, Multipart, Part,
    Path, Query, Rejection, RemoteAddr, RequestPart, State, TypedHeader, UserAgent,
};
pub use web::respond::{
    Attachment, Event, EventSender, File, Html, IntoResponse, NotSent, Redirect, Sse,
};
pub use web::session::Session;
pub use web::upload::{Upload, UploadPolicy, UploadedFile, safe_file_name};

pub use web::{
    AppHandle, Application, Context, CurrentUser, IntoRoute, Listener, MethodRoutes, Next, Offload,
    Problem, Request, RequestHandler, Router, Running, TrailingSlash, User, any, delete, get, head,
    middleware, on, options, patch, post, put, readiness, session,
};
