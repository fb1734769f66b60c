//! Sessions at the wire: what is kept, for how long, and what is told to the client.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall::session::{MemoryStore, Session, SessionId, SessionStore, Sessions};
use squall::testing::{TestResponse, TestServer};
use squall::{
    Application, Bytes, Context, Error, IoLoop, Keys, Path, RequestHandler, Result, StatusCode,
};
use squall_loop::TestClock;

async fn read(session: Session) -> Result<String> {
    Ok(session
        .get::<String>("user")?
        .unwrap_or_else(|| "nobody".to_owned()))
}

async fn write(session: Session, Path(user): Path<String>) -> Result<()> {
    session.insert("user", user)?;
    Ok(())
}

async fn fill(session: Session, Path(size): Path<usize>) -> Result<()> {
    session.insert("filling", "x".repeat(size))?;
    Ok(())
}

#[derive(Clone)]
struct Typed;

impl RequestHandler for Typed {
    async fn get(&mut self, context: &mut Context) -> Result<()> {
        let session: Session = context.request_mut().extract().await?;
        session.insert("user", "typed")?;
        Ok(())
    }
}

fn application(sessions: Sessions) -> Application {
    Application::new()
        .keys(Keys::new("a secret for the tests").expect("it is long enough"))
        .middleware(sessions)
        .route("/", read)
        .route("/write/{user}", write)
        .route("/fill/{size}", fill)
        .route("/typed", Typed)
        .route("/untouched", async || "nothing")
        .route("/remove", async |session: Session| {
            session.remove("user");
        })
        .route("/rotate", async |session: Session| session.rotate())
        .route("/flush", async |session: Session| session.flush())
        .route("/fail", async |session: Session| {
            session.insert("user", "failed")?;
            Err::<(), _>(Error::status(StatusCode::BAD_GATEWAY))
        })
}

/// A browser, as far as cookies go.
struct Visitor<'a> {
    server: &'a TestServer,
    cookie: String,
}

impl<'a> Visitor<'a> {
    fn new(server: &'a TestServer) -> Self {
        Self {
            server,
            cookie: String::new(),
        }
    }

    fn get(&mut self, target: &str) -> TestResponse {
        let cookie = self.cookie.clone();
        let headers = [("Cookie", cookie.as_str())];
        let headers = if cookie.is_empty() {
            &headers[..0]
        } else {
            &headers
        };
        let answer = self.server.send("GET", target, headers, b"");
        if let Some(line) = answer.header("set-cookie") {
            let pair = line.split("; ").next().unwrap_or_default();
            self.cookie = match line.contains("Max-Age=0") {
                true => String::new(),
                false => pair.to_owned(),
            };
        }
        answer
    }
}

fn each_kind() -> [Sessions; 2] {
    [Sessions::in_memory(), Sessions::in_cookie()]
}

#[test]
fn a_visitor_is_remembered_and_forgotten() {
    for sessions in each_kind() {
        let server = TestServer::start(application(sessions));
        let mut visitor = Visitor::new(&server);
        assert_eq!(visitor.get("/").text(), "nobody");
        assert_eq!(visitor.cookie, "", "nothing is remembered yet");
        let set = visitor.get("/write/ada");
        let line = set.header("set-cookie").expect("a cookie");
        assert!(line.starts_with("session="), "{line}");
        assert!(line.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{line}");
        assert!(!line.contains("ada"), "{line}");
        assert_eq!(set.header("cache-control"), Some("no-store"));
        let read = visitor.get("/");
        assert_eq!(read.text(), "ada");
        assert_eq!(read.header("vary"), Some("Cookie"));
        assert_eq!(read.header("set-cookie"), None, "nothing has changed");
        assert_eq!(visitor.get("/write/ada").header("set-cookie"), None);
        let untouched = visitor.get("/untouched");
        assert_eq!(untouched.header("vary"), None);
        assert_eq!(visitor.get("/fail").status, 502);
        assert_eq!(visitor.get("/").text(), "ada", "a failure changes nothing");
        assert_eq!(Visitor::new(&server).get("/").text(), "nobody");
        visitor.get("/flush");
        assert_eq!(visitor.cookie, "");
        assert_eq!(visitor.get("/").text(), "nobody");
        visitor.get("/typed");
        assert_eq!(visitor.get("/").text(), "typed");
        visitor.get("/remove");
        assert_eq!(visitor.cookie, "", "an empty session is none");
    }
}

#[test]
fn a_session_may_only_be_so_large() {
    for (sessions, fits, too_much) in [
        (Sessions::in_memory().max_size(1000), 900, 1000),
        (Sessions::in_cookie(), 2900, 3100),
        (Sessions::in_cookie().max_size(500), 400, 500),
    ] {
        let server = TestServer::start(application(sessions).debug(true));
        let mut visitor = Visitor::new(&server);
        visitor.get("/write/ada");
        assert_eq!(visitor.get(&format!("/fill/{fits}")).status, 200);
        let answer = visitor.get(&format!("/fill/{too_much}"));
        assert_eq!(answer.status, 500);
        assert!(
            answer.text().contains("(setting: max_size)"),
            "{}",
            answer.text()
        );
        assert_eq!(visitor.get("/").text(), "ada");
    }
}

#[test]
fn a_cookie_is_never_larger_than_browsers_keep() {
    let server = TestServer::start(application(Sessions::in_cookie()));
    let mut largest = 0;
    for size in 2950..3100 {
        let answer = Visitor::new(&server).get(&format!("/fill/{size}"));
        if let Some(line) = answer.header("set-cookie") {
            let pair = line.split("; ").next().unwrap_or_default();
            largest = largest.max(pair.len() - 1);
        } else {
            assert_eq!(answer.status, 500);
        }
    }
    assert!((4080..=4096).contains(&largest), "{largest}");
}

/// A server whose clock the test turns.
fn turned(sessions: Sessions) -> (TestServer, TestClock) {
    let clock = TestClock::new();
    let io_loop = IoLoop::builder().lanes(1).clock(&clock).build();
    let server = TestServer::start_on(io_loop.expect("a loop"), application(sessions));
    (server, clock)
}

#[test]
fn a_session_ends_when_it_is_idle_and_after_its_lifetime() {
    const MINUTE: Duration = Duration::from_secs(60);
    for sessions in each_kind() {
        let (server, clock) = turned(sessions.idle(20 * MINUTE).lifetime(60 * MINUTE));
        let mut visitor = Visitor::new(&server);
        visitor.get("/write/ada");
        clock.advance(19 * MINUTE);
        let read = visitor.get("/");
        assert_eq!(read.text(), "ada");
        assert!(read.header("set-cookie").is_some(), "it was written again");
        clock.advance(4 * MINUTE);
        let read = visitor.get("/");
        assert_eq!(read.header("set-cookie"), None, "not yet again");
        clock.advance(15 * MINUTE);
        assert_eq!(visitor.get("/").text(), "ada");
        clock.advance(15 * MINUTE);
        assert_eq!(visitor.get("/").text(), "ada");
        clock.advance(8 * MINUTE);
        assert_eq!(visitor.get("/").text(), "nobody", "its lifetime is over");
        visitor.get("/write/ada");
        clock.advance(21 * MINUTE);
        assert_eq!(visitor.get("/").text(), "nobody", "it was idle");
    }
}

#[test]
fn a_persistent_cookie_lives_as_long_as_its_session() {
    let server = TestServer::start(application(
        Sessions::in_memory()
            .persistent(true)
            .idle(Duration::from_secs(600))
            .cookie_name("visit"),
    ));
    let answer = server.get("/write/ada");
    let line = answer.header("set-cookie").expect("a cookie");
    assert!(line.starts_with("visit="), "{line}");
    assert!(
        line.contains("; Max-Age=600;") || line.contains("; Max-Age=599;"),
        "{line}"
    );
}

#[test]
fn what_is_missing_is_reported_at_the_start() {
    for (application, why) in [
        (
            Application::new().route("/", read),
            "needs the middleware session::Sessions",
        ),
        (
            Application::new().middleware(Sessions::in_cookie()),
            "a middleware needs keys",
        ),
        (
            Application::new().middleware(Sessions::in_memory().cookie_name("a b")),
            "the cookie of the sessions: the name of a cookie must be a token",
        ),
    ] {
        let error = application
            .listen("127.0.0.1:0")
            .expect_err(why)
            .to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// A store that notes what it is asked for.
#[derive(Clone, Default)]
struct Noting {
    calls: Arc<Mutex<Vec<String>>>,
    records: Arc<MemoryStore>,
}

impl Noting {
    fn note(&self, call: &str) {
        self.calls.lock().expect("no panic").push(call.to_owned());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().expect("no panic"))
    }
}

impl SessionStore for Noting {
    async fn load(&self, id: &SessionId) -> Result<Option<Bytes>> {
        self.note("load");
        self.records.load(id).await
    }

    async fn create(&self, id: &SessionId, record: Bytes, ttl: Duration) -> Result<()> {
        self.note("create");
        self.records.create(id, record, ttl).await
    }

    async fn update(&self, id: &SessionId, record: Bytes, ttl: Duration) -> Result<bool> {
        self.note("update");
        self.records.update(id, record, ttl).await
    }

    async fn remove(&self, id: &SessionId) -> Result<()> {
        self.note("remove");
        self.records.remove(id).await
    }
}

#[test]
fn a_store_is_asked_as_little_as_can_be() {
    let store = Noting::default();
    let server = TestServer::start(application(Sessions::in_store(store.clone())));
    let mut visitor = Visitor::new(&server);
    for (target, calls) in [
        ("/", &[][..]),
        ("/write/ada", &["create"]),
        ("/untouched", &[]),
        ("/", &["load"]),
        ("/write/ada", &["load"]),
        ("/write/bob", &["load", "update"]),
        ("/rotate", &["load", "remove", "create"]),
        ("/", &["load"]),
        ("/fail", &["load"]),
        ("/flush", &["load", "remove"]),
        ("/", &[]),
    ] {
        visitor.get(target);
        assert_eq!(store.taken(), calls, "{target}");
    }
    assert!(store.records.is_empty());
}
