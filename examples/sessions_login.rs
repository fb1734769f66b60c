//! A log-in form, a session behind it, and a log-out.
//!
//! ```text
//! cargo run --release --example sessions_login
//! ```
//!
//! Open http://127.0.0.1:5000/ and sign in as `ada` with `lovelace`.

use std::time::Duration;

use serde::Deserialize;
use squall::middleware::{RateLimit, SecurityHeaders, same_secret};
use squall::session::{Session, Sessions};
use squall::{
    Application, Error, Form, Html, IntoResponse, Redirect, Response, Result, StatusCode, get, post,
};

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

/// Whether the password is the user's.
///
/// A real program keeps no passwords but their Argon2 digests, and verifies with the crate
/// `argon2`. That takes some 50 ms of CPU, which a handler of Squall may spend.
fn is_known(credentials: &Credentials) -> bool {
    same_secret(&credentials.name, "ada") & same_secret(&credentials.password, "lovelace")
}

async fn home(session: Session) -> Result<impl IntoResponse> {
    let Some(user) = session.get::<String>("user")? else {
        return Ok(Html(form("")));
    };
    let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
    session.insert("visits", visits)?;
    // The name was checked at the log-in: it needs no escape.
    Ok(Html(format!(
        "<!doctype html><title>In</title><p>Hello {user}, visit {visits}.\
         <form method=post action=/logout><button>Sign out</button></form>"
    )))
}

fn form(why: &str) -> String {
    format!(
        "<!doctype html><title>Sign in</title><p>{why}<form method=post action=/login>\
         <input name=name placeholder=name required>\
         <input name=password type=password placeholder=password required>\
         <button>Sign in</button></form>"
    )
}

async fn log_in(session: Session, Form(credentials): Form<Credentials>) -> Result<Response> {
    if !is_known(&credentials) {
        let answer = Html(form("Name or password are wrong."));
        return (StatusCode::UNAUTHORIZED, answer).into_response();
    }
    // Another id: whoever knew the one from before the log-in knows nothing now.
    session.rotate();
    session.insert("user", credentials.name)?;
    Redirect::to("/").into_response()
}

async fn log_out(session: Session) -> Redirect {
    session.flush();
    Redirect::to("/")
}

/// Nobody sees this who has not signed in.
async fn secret(session: Session) -> Result<String> {
    let user: Option<String> = session.get("user")?;
    let user = user.ok_or_else(|| Error::unauthorized("sign in first"))?;
    Ok(format!("{user}, the answer is 42\n"))
}

fn application() -> Application {
    Application::new()
        .middleware(SecurityHeaders::default())
        // Guessing passwords is slow.
        .middleware(RateLimit::new(60, Duration::from_secs(60)))
        .middleware(Sessions::in_memory().idle(Duration::from_secs(15 * 60)))
        .route("/", home)
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/secret", get(secret))
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    application()
        .listen(address.as_deref().unwrap_or("127.0.0.1:5000"))?
        .run()
}
