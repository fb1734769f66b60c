//! `RequestHandler`: the life of a handler value, at the wire.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use squall::testing::TestServer;
use squall::{
    Application, Context, CurrentUser, Error, Json, Request, RequestHandler, Result, SetCookie,
    Settings, StatusCode, User,
};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Tells what happens to it, in order.
#[derive(Clone)]
struct Life {
    said: Sender<String>,
    prepared: bool,
}

impl Life {
    fn say(&self, what: &str) {
        self.said.send(what.to_owned()).expect("the test listens");
    }
}

impl RequestHandler for Life {
    fn set_default_headers(&mut self, context: &mut Context) {
        context.set_header("X-Default", "yes").expect("a header");
    }

    async fn prepare(&mut self, context: &mut Context) -> Result<()> {
        self.say("prepare");
        self.prepared = true;
        match context.request().query() {
            Some("early") => context.finish("early"),
            Some("refuse") => return Err(Error::forbidden("not you").with_header("X-Why", "no")),
            _ => {}
        }
        Ok(())
    }

    async fn get(&mut self, context: &mut Context) -> Result<()> {
        self.say("get");
        assert!(context.request().query() != Some("panic"), "a bug");
        context.set_header("X-Set", "1")?;
        context.write(if self.prepared {
            "prepared"
        } else {
            "not prepared"
        });
        if context.request().query() == Some("fail") {
            return Err(Error::internal("the database is gone"));
        }
        Ok(())
    }

    fn on_finish(&mut self, context: &Context, status: StatusCode) {
        self.say(&format!(
            "on_finish {} {}",
            context.request().method(),
            status.as_u16()
        ));
    }

    fn on_connection_close(&mut self, _: &Context) {
        self.say("on_connection_close");
    }
}

fn life() -> (Life, Receiver<String>) {
    let (said, hears) = channel();
    (
        Life {
            said,
            prepared: false,
        },
        hears,
    )
}

#[test]
fn on_finish_ends_every_life_and_default_headers_are_everywhere() {
    let (handler, hears) = life();
    let server = TestServer::start(Application::new().route("/", handler));
    for (target, status, said) in [
        ("/", 200, &["prepare", "get", "on_finish GET 200"][..]),
        ("/?early", 200, &["prepare", "on_finish GET 200"]),
        ("/?refuse", 403, &["prepare", "on_finish GET 403"]),
        ("/?fail", 500, &["prepare", "get", "on_finish GET 500"]),
        ("/?panic", 500, &["prepare", "get", "on_finish GET 500"]),
    ] {
        let answer = server.get(target);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.header("x-default"), Some("yes"), "{target}");
        let heard: Vec<_> = hears.try_iter().collect();
        assert_eq!(heard, said, "{target}");
    }
    let refused = server.get("/?refuse");
    assert_eq!(refused.header("x-why"), Some("no"));
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let failed = server.get("/?fail");
    assert_eq!(
        failed.header("x-set"),
        None,
        "headers of the answer that failed"
    );
    assert!(!failed.text().contains("prepared"), "{}", failed.text());
}

#[derive(Clone)]
struct OwnPage;

impl RequestHandler for OwnPage {
    async fn get(&mut self, context: &mut Context) -> Result<()> {
        context.write("never seen");
        let why = Error::not_found("no photo").with_header("X-Error", "kept");
        match context.request().query() {
            Some("twice") => Err(Error::conflict("twice")),
            _ => Err(why),
        }
    }

    async fn write_error(&mut self, context: &mut Context, error: &Error) -> Result<()> {
        if error.status_code() == StatusCode::CONFLICT {
            return Err(Error::internal("the page is broken, too"));
        }
        context.write(format!("<h1>{}</h1>", error.shown().unwrap_or_default()));
        Ok(())
    }
}

#[test]
fn write_error_answers_in_the_place_of_a_method_that_failed() {
    let server = TestServer::start(Application::new().route("/", OwnPage));
    let answer = server.get("/");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (404, "<h1>no photo</h1>")
    );
    assert_eq!(answer.header("x-error"), Some("kept"));
    assert_eq!(answer.header("etag"), None);
    let twice = server.get("/?twice");
    assert_eq!(twice.status, 500);
    assert!(!twice.text().contains("broken"), "{}", twice.text());
}

#[derive(Clone)]
struct Arguments;

impl RequestHandler for Arguments {
    async fn post(&mut self, context: &mut Context) -> Result<()> {
        let all = serde_json::json!({
            "last": context.argument("a").await?,
            "all": context.arguments("a").await?,
            "query": context.query_argument("a")?,
            "queries": context.query_arguments("a")?,
            "body": context.body_argument("a").await?,
            "bodies": context.body_arguments("a").await?,
            "path": context.path_args()?,
            "none": context.arguments("none").await?,
        });
        context.respond(Json(all))
    }

    async fn get(&mut self, context: &mut Context) -> Result<()> {
        let seen = context.cookie("seen").unwrap_or("no").to_owned();
        context.set_cookie(SetCookie::new("a", "1"))?;
        context.set_cookie(SetCookie::new("ab", "2"))?;
        context.set_cookie(SetCookie::new("a", "3"))?;
        context.clear_cookie("gone")?;
        let url = context.url("arguments", ("x y", 2))?;
        context.write(format!("{seen} {url}"));
        Ok(())
    }

    async fn put(&mut self, context: &mut Context) -> Result<()> {
        context.set_cookie(SetCookie::new("a", "1; Path=/evil"))
    }
}

#[test]
fn arguments_come_from_the_query_the_body_and_the_path() {
    use squall::IntoRoute;
    let route = Arguments.into_route().name("arguments");
    let server = TestServer::start(Application::new().route("/{x}/{y}", route));
    let answer = server.send("POST", "/p%20q/2?a=1&a=+2+", &[FORM], b"a=3&a=4&b=5");
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "last": "4", "all": ["1", "2", "3", "4"], "query": "2", "queries": ["1", "2"],
            "body": "4", "bodies": ["3", "4"], "path": ["p q", "2"], "none": [],
        })
    );
    let missing = server.send("POST", "/p/q", &[FORM], b"b=1");
    assert_eq!(
        (missing.status, missing.json()["field"].as_str()),
        (400, Some("a"))
    );
    let cookies = server.send("GET", "/p/q", &[("Cookie", "seen=yes")], b"");
    assert_eq!(cookies.text(), "yes /x%20y/2");
    let set: Vec<_> = (cookies.headers.iter())
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| value.split(';').next().unwrap_or_default())
        .collect();
    assert_eq!(set, ["ab=2", "a=3", "gone="]);
    assert_eq!(server.send("PUT", "/p/q", &[], b"").status, 500);
}

#[derive(Clone)]
struct Page(&'static str);

impl RequestHandler for Page {
    async fn get(&mut self, context: &mut Context) -> Result<()> {
        if context.request().query() == Some("other") {
            context.set_status(StatusCode::ACCEPTED);
        }
        context.write(self.0);
        Ok(())
    }
}

#[derive(Clone)]
struct Versioned;

impl RequestHandler for Versioned {
    async fn get(&mut self, context: &mut Context) -> Result<()> {
        context.write("anything");
        Ok(())
    }

    fn compute_etag(&self, _: &[u8]) -> Option<String> {
        Some("\"xyzzy\"".to_owned())
    }
}

#[test]
fn a_client_that_has_the_page_is_told_so() {
    let server = TestServer::start(
        Application::new()
            .route("/", Page("page"))
            .route("/v", Versioned)
            .route("/b", Page("b")),
    );
    let tag = server.get("/").header("etag").expect("a tag").to_owned();
    assert_ne!(server.get("/b").header("etag"), Some(tag.as_str()));
    assert_eq!(server.get("/?other").header("etag"), None);
    let again = server.send("GET", "/", &[("If-None-Match", &tag)], b"");
    assert_eq!((again.status, again.text().as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(tag.as_str()));
    for (known, status) in [
        ("\"xyzzy\"", 304),
        ("*", 304),
        ("W/\"xyzzy\"", 304),
        ("\"a\", W/\"xyzzy\" , \"b\"", 304),
        ("\"xyzz\"", 200),
        ("xyzzy", 200),
        ("\"a\", \"b\"", 200),
    ] {
        let answer = server.send("GET", "/v", &[("If-None-Match", known)], b"");
        assert_eq!(answer.status, status, "{known}");
    }
    let head = server.send("HEAD", "/", &[], b"");
    assert_eq!(head.header("etag"), Some(tag.as_str()));
}

static LOOKUPS: AtomicU32 = AtomicU32::new(0);

struct Account(String);

impl User for Account {
    async fn current_user(request: &mut Request) -> Result<Option<Self>> {
        LOOKUPS.fetch_add(1, Ordering::SeqCst);
        squall::yield_now().await;
        match request.headers().get("x-user") {
            Some("broken") => Err(Error::internal("the database is gone")),
            name => Ok(name.map(|name| Self(name.to_owned()))),
        }
    }
}

#[derive(Clone)]
struct Mine;

impl RequestHandler for Mine {
    async fn prepare(&mut self, context: &mut Context) -> Result<()> {
        context.authenticated::<Account>().await.map(drop)
    }

    async fn get(&mut self, context: &mut Context) -> Result<()> {
        let user = context.current_user::<Account>().await?;
        let CurrentUser(same) = context.extract::<CurrentUser<Account>>().await?;
        context.write(format!(
            "{} {}",
            user.map_or_else(String::new, |user| user.0.clone()),
            same.0
        ));
        Ok(())
    }

    async fn post(&mut self, context: &mut Context) -> Result<()> {
        self.get(context).await
    }
}

async fn maybe(user: Option<CurrentUser<Account>>) -> String {
    user.map_or("nobody".to_owned(), |user| user.0.0.clone())
}

async fn mine(user: CurrentUser<Account>) -> String {
    user.0.0.clone()
}

#[test]
fn the_user_is_looked_up_once_and_sent_to_sign_in() {
    let mut settings = Settings::default();
    settings.login_url = Some("/login".to_owned());
    let server = TestServer::start(
        Application::new()
            .route("/mine", Mine)
            .route("/fn", mine)
            .route("/maybe", maybe)
            .settings(settings),
    );
    let ann = ("X-User", "ann");
    let before = LOOKUPS.load(Ordering::SeqCst);
    assert_eq!(server.send("GET", "/mine", &[ann], b"").text(), "ann ann");
    assert_eq!(LOOKUPS.load(Ordering::SeqCst) - before, 1);
    assert_eq!(server.send("GET", "/fn", &[ann], b"").text(), "ann");
    assert_eq!(server.send("GET", "/maybe", &[ann], b"").text(), "ann");
    assert_eq!(server.get("/maybe").text(), "nobody");
    let html = ("Accept", "text/html");
    for (target, location) in [
        ("/mine?a=b&c", "/login?next=%2Fmine%3Fa%3Db%26c"),
        ("/fn", "/login?next=%2Ffn"),
    ] {
        let answer = server.send("GET", target, &[html], b"");
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some(location))
        );
    }
    assert_eq!(server.get("/mine").status, 401);
    assert_eq!(server.send("POST", "/mine", &[html], b"").status, 401);
    assert_eq!(
        server
            .send("GET", "/fn", &[("X-User", "broken")], b"")
            .status,
        500
    );
}
