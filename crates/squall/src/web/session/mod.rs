//! Sessions: what a server remembers of a visitor between two requests.
//!
//! The middleware [`Sessions`] attaches one to each request, the extractor [`Session`]
//! reads and writes it. Nothing is loaded for a handler that does not take it, nothing is
//! written that has not changed, and a visitor about whom nothing is remembered has no
//! cookie.
//!
//! ```
//! use squall::session::{Session, Sessions};
//! use squall::{Application, Redirect, Result, post};
//!
//! async fn home(session: Session) -> Result<String> {
//!     let user: Option<String> = session.get("user")?;
//!     Ok(format!("hello, {}", user.as_deref().unwrap_or("stranger")))
//! }
//!
//! async fn log_in(session: Session, user: String) -> Result<Redirect> {
//!     session.rotate(); // whoever knew the session before does not know this one
//!     session.insert("user", user)?;
//!     Ok(Redirect::to("/"))
//! }
//!
//! async fn log_out(session: Session) -> Redirect {
//!     session.flush();
//!     Redirect::to("/")
//! }
//!
//! let application = Application::new()
//!     .middleware(Sessions::in_memory())
//!     .route("/", home)
//!     .route("/login", post(log_in))
//!     .route("/logout", post(log_out));
//! ```
//!
//! | | keeps the values | a session can be ended from the server |
//! |---|---|---|
//! | [`Sessions::in_memory`] | in this process, bounded | yes |
//! | [`Sessions::in_store`] | in a [`SessionStore`] of yours | yes |
//! | [`Sessions::in_cookie`] | in the visitor's cookie, encrypted | no: what was copied before is good until it expires |
//!
//! A session's id is 256 random bits that only the server makes: an id that the store does
//! not know is not taken over, and the store itself sees only its digest. A session ends
//! after 30 minutes without a request that uses it, and 24 hours after its begin, whatever
//! happens; both can be set. Requests of one visitor that come at once each see the session
//! as it was, and the last to end wins; but one that was flushed meanwhile does not come
//! back, unless that request rotates it.

mod handle;
mod memory;
mod sessions;
mod store;

pub use handle::{Session, SessionError};
pub use memory::MemoryStore;
pub use sessions::Sessions;
pub use store::{SessionId, SessionStore};
