//! Cookies: what the client sent back, and what it is told to keep.
//!
//! Three extractors read and set cookies; a handler returns the one it took beside its
//! answer.
//!
//! | extractor | the client can | needs [`Keys`] |
//! |---|---|---|
//! | [`Cookies`] | read and change the values | |
//! | [`SignedCookies`] | read them, not change them; the same values as Tornado's | yes |
//! | [`EncryptedCookies`] | neither | yes |
//!
//! ```
//! use squall::{Application, Cookies, IntoResponse, Keys, Result, SetCookie, SignedCookies};
//!
//! async fn theme(mut cookies: Cookies) -> Result<impl IntoResponse> {
//!     let theme = cookies.get("theme").unwrap_or("light").to_owned();
//!     cookies.set(SetCookie::new("theme", "dark"))?;
//!     Ok((cookies, format!("it was {theme}")))
//! }
//!
//! async fn visit(mut cookies: SignedCookies) -> Result<impl IntoResponse> {
//!     let visits: u64 = cookies.get("visits").map_or(Ok(0), |text| text.parse())?;
//!     cookies.set(SetCookie::new("visits", (visits + 1).to_string()))?;
//!     Ok((cookies, format!("visit {}", visits + 1)))
//! }
//!
//! # fn application() -> Result<Application> {
//! let keys = Keys::new("a secret of 16 bytes or more, from the configuration")?;
//! # Ok(
//! Application::new().keys(keys).route("/theme", theme).route("/visit", visit)
//! # )
//! # }
//! ```
//!
//! A [`SetCookie`] is for the whole site, not for scripts, and `SameSite=Lax`, unless it
//! says otherwise; over TLS it is always `Secure`. Names, values and attributes that would
//! smuggle another attribute in are errors, and so is a `__Host-` or `__Secure-` cookie
//! that does not keep what its name promises.
//!
//! An answer that is an error sets no cookies.

mod clock;
mod context;
mod encrypted;
mod jar;
mod keys;
mod signed;

pub use squall_http::wire::cookie::{InvalidCookie, SameSite, SetCookie};

pub(crate) use clock::{now, seconds};
pub(crate) use encrypted::{OVERHEAD, open, seal};
pub use jar::{Cookies, EncryptedCookies, SignedCookies};
pub(crate) use jar::{is_secure, keys_of, put};
pub use keys::Keys;
pub(crate) use keys::random;

use std::time::Duration;

/// How old a signed or encrypted cookie may be unless its reader says otherwise: 31 days,
/// as in Tornado.
pub const MAX_AGE: Duration = Duration::from_secs(31 * 24 * 3600);

/// How far in the future a cookie may have been made: clocks differ, but not by that.
const AHEAD: Duration = MAX_AGE;

/// Whether what was made at `made`, in seconds since 1970, is still to be believed.
fn is_fresh(made: u64, max_age: Duration, now: std::time::SystemTime) -> bool {
    let now = seconds(now);
    made.saturating_add(max_age.as_secs()) >= now && made <= now.saturating_add(AHEAD.as_secs())
}
