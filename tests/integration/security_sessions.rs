//! What attackers try with cookies, sessions and requests from other sites.
//!
//! | row | test |
//! |---|---|
//! | a signed value is moved to another name, changed, cut, aged; an old key; a short secret | unit tests of `web/cookies/signed.rs`, `keys.rs`; `web_cookies` |
//! | a cookie's value, domain or path brings an attribute of its own; `__Host-` broken | unit tests of `wire/cookie.rs`; `web_cookies` |
//! | a cookie without a name forges a prefix; 20,000 cookies; a quote that never ends | here |
//! | session fixation: an id from outside, an id from before the log-in | here |
//! | a session that was ended comes back | here |
//! | a store's thief uses what he has read | here |
//! | unsafe requests of other sites' pages; `Origin: null`; look-alike hosts; methods in odd case | here |

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use squall::session::{MemoryStore, Session, SessionId, SessionStore, Sessions};
use squall::testing::TestServer;
use squall::{Application, Bytes, Cookies, Path, Result, Settings, StatusCode, any, post};
use squall_loop::sync::Event;

#[test]
fn a_cookie_without_a_name_forges_no_prefix() {
    let read = async |cookies: Cookies| {
        cookies
            .iter()
            .map(|(name, value)| format!("{name}={value};"))
            .collect::<String>()
    };
    let server = TestServer::start(Application::new().route("/", read));
    let answer = server.send(
        "GET",
        "/",
        &[("Cookie", "=__Host-id=evil; a=b; __Host-id")],
        b"",
    );
    assert_eq!(answer.text(), "a=b;");
}

#[test]
fn many_cookies_are_cut_and_odd_ones_take_no_time() {
    let count = async |cookies: Cookies| cookies.iter().count().to_string();
    let server = TestServer::start(Application::new().route("/", count));
    let many = "a=b;".repeat(15_000);
    assert_eq!(
        server.send("GET", "/", &[("Cookie", &many)], b"").text(),
        "256"
    );
    let begun = Instant::now();
    let quotes = format!("a=\"{}\"", "\\\"".repeat(30_000));
    assert_eq!(
        server.send("GET", "/", &[("Cookie", &quotes)], b"").text(),
        "1"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

fn log_in() -> Application {
    Application::new()
        .route(
            "/login",
            post(async |session: Session, user: String| {
                session.rotate();
                session.insert("user", user)
            }),
        )
        .route(
            "/basket/{thing}",
            async |session: Session, Path(thing): Path<String>| session.insert("basket", thing),
        )
        .route("/logout", post(async |session: Session| session.flush()))
        .route("/", async |session: Session| {
            let user: Option<String> = session.get("user")?;
            let basket: Option<String> = session.get("basket")?;
            Ok::<_, squall::Error>(format!("{user:?} {basket:?}"))
        })
}

/// The pair that a browser sends back.
fn cookie(answer: &squall::testing::TestResponse) -> String {
    let line = answer.header("set-cookie").unwrap_or_default();
    line.split("; ").next().unwrap_or_default().to_owned()
}

#[test]
fn an_id_from_outside_is_not_taken_over() {
    let server = TestServer::start(log_in().middleware(Sessions::in_memory()));
    let planted = "session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for planted in [planted, "session=x", "session=", "session=../../etc"] {
        let answer = server.send("POST", "/login", &[("Cookie", planted)], b"ada");
        assert_eq!(answer.status, 200);
        assert_ne!(cookie(&answer), planted);
        let thief = server.send("GET", "/", &[("Cookie", planted)], b"");
        assert_eq!(thief.text(), "None None");
    }
}

#[test]
fn an_id_from_before_the_log_in_is_worth_nothing_after_it() {
    let server = TestServer::start(log_in().middleware(Sessions::in_memory()));
    let before = cookie(&server.get("/basket/socks"));
    let answer = server.send("POST", "/login", &[("Cookie", &before)], b"ada");
    let after = cookie(&answer);
    assert_ne!(before, after);
    let thief = server.send("GET", "/", &[("Cookie", &before)], b"");
    assert_eq!(thief.text(), "None None");
    let visitor = server.send("GET", "/", &[("Cookie", &after)], b"");
    assert_eq!(visitor.text(), "Some(\"ada\") Some(\"socks\")");
    server.send("POST", "/logout", &[("Cookie", &after)], b"");
    let thief = server.send("GET", "/", &[("Cookie", &after)], b"");
    assert_eq!(thief.text(), "None None");
}

#[test]
fn a_slow_request_does_not_bring_an_ended_session_back() {
    let (begun, ended) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let slow = {
        let (begun, ended) = (begun.clone(), ended.clone());
        move |session: Session| {
            let (begun, ended) = (begun.clone(), ended.clone());
            async move {
                session.insert("basket", "late")?;
                begun.set();
                ended.wait().await;
                Ok::<_, squall::Error>("done")
            }
        }
    };
    let has_begun = move || {
        let begun = begun.clone();
        async move { begun.wait().await }
    };
    let end = move || {
        let ended = ended.clone();
        async move { ended.set() }
    };
    let store = Arc::new(MemoryStore::new());
    let application = log_in()
        .middleware(Sessions::in_store(Watched(store.clone(), Arc::default())))
        .route("/slow", slow)
        .route("/begun", has_begun)
        .route("/end", end);
    let server = TestServer::start(application);
    let visitor = cookie(&server.send("POST", "/login", &[], b"ada"));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| server.send("GET", "/slow", &[("Cookie", &visitor)], b""));
        server.get("/begun");
        server.send("POST", "/logout", &[("Cookie", &visitor)], b"");
        server.get("/end");
        assert_eq!(slow.join().expect("an answer").text(), "done");
    });
    assert_eq!(store.len(), 0);
    let thief = server.send("GET", "/", &[("Cookie", &visitor)], b"");
    assert_eq!(thief.text(), "None None");
}

/// A store that shows the ids it was given.
struct Watched(Arc<MemoryStore>, Arc<Mutex<Vec<String>>>);

impl SessionStore for Watched {
    async fn load(&self, id: &SessionId) -> Result<Option<Bytes>> {
        self.0.load(id).await
    }

    async fn create(&self, id: &SessionId, record: Bytes, ttl: Duration) -> Result<()> {
        self.1
            .lock()
            .expect("no panic")
            .push(id.as_str().to_owned());
        self.0.create(id, record, ttl).await
    }

    async fn update(&self, id: &SessionId, record: Bytes, ttl: Duration) -> Result<bool> {
        self.0.update(id, record, ttl).await
    }

    async fn remove(&self, id: &SessionId) -> Result<()> {
        self.0.remove(id).await
    }
}

#[test]
fn who_reads_the_store_cannot_use_the_sessions() {
    let ids = Arc::default();
    let store = Watched(Arc::default(), Arc::clone(&ids));
    let server = TestServer::start(log_in().middleware(Sessions::in_store(store)));
    let visitor = cookie(&server.send("POST", "/login", &[], b"ada"));
    let stolen = ids.lock().expect("no panic").clone();
    let [stolen] = &stolen[..] else {
        panic!("{stolen:?}");
    };
    assert!(!visitor.contains(stolen.as_str()));
    let stolen = format!("session={stolen}");
    let thief = server.send("GET", "/", &[("Cookie", &stolen)], b"");
    assert_eq!(thief.text(), "None None");
}

fn transfer() -> Application {
    Application::new()
        .route("/", any(async || "done"))
        .route("/hook", any(async || "done").allow_cross_origin())
}

#[test]
fn pages_of_other_sites_cannot_act() {
    let server = TestServer::start(transfer());
    for (headers, passes) in [
        (&[][..], true),
        (&[("Sec-Fetch-Site", "same-origin")], true),
        (&[("Sec-Fetch-Site", "none")], true),
        (
            &[
                ("Sec-Fetch-Site", "same-origin"),
                ("Origin", "http://evil.test"),
            ],
            true,
        ),
        (&[("Sec-Fetch-Site", "cross-site")], false),
        (&[("Sec-Fetch-Site", "same-site")], false),
        (&[("Sec-Fetch-Site", "")], false),
        (
            &[
                ("Sec-Fetch-Site", "same-origin"),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            false,
        ),
        (
            &[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://test")],
            false,
        ),
        (&[("Origin", "http://test")], true),
        (&[("Origin", "https://TEST")], true),
        (&[("Origin", "http://test:80")], true),
        (&[("Origin", "http://test:81")], false),
        (&[("Origin", "http://test.evil.test")], false),
        (&[("Origin", "http://evil.test")], false),
        (
            &[("Origin", "http://test"), ("Origin", "http://evil.test")],
            false,
        ),
        (&[("Origin", "null")], false),
        (&[("Origin", "\u{1F4A5}")], false),
        (
            &[
                ("X-Requested-With", "XMLHttpRequest"),
                ("Origin", "http://evil.test"),
            ],
            false,
        ),
    ] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "post", "PROPFIND"] {
            let answer = server.send(method, "/", headers, b"");
            let status = if passes { 200 } else { 403 };
            assert_eq!(answer.status, status, "{method} {headers:?}");
            if !passes {
                assert!(
                    answer.text().contains("trusted_origins"),
                    "{}",
                    answer.text()
                );
            }
            assert_eq!(server.send(method, "/hook", headers, b"").status, 200);
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(
                server.send(method, "/", headers, b"").status,
                200,
                "{headers:?}"
            );
        }
    }
    let shown = server.send("POST", "/", &[("Origin", "http://<b>evil\u{e9}")], b"");
    let detail = shown.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        detail.contains("Origin: http://<b>evil\\xc3\\xa9, Host: test"),
        "{detail}"
    );
}

#[test]
fn the_settings_name_who_may() {
    let mut settings = Settings::default();
    settings.trusted_origins = vec!["https://app.example".to_owned()];
    let server = TestServer::start(transfer().settings(settings.clone()));
    for (origin, status) in [
        ("https://app.example", 200),
        ("http://app.example", 403),
        ("https://app.example.evil.test", 403),
        ("https://app.example:444", 403),
    ] {
        let headers = [("Sec-Fetch-Site", "cross-site"), ("Origin", origin)];
        assert_eq!(
            server.send("POST", "/", &headers, b"").status,
            status,
            "{origin}"
        );
    }
    settings.trusted_origins = vec!["app.example".to_owned()];
    let error = transfer().settings(settings.clone()).listen("127.0.0.1:0");
    let error = error.expect_err("no origin").to_string();
    assert!(
        error.contains("trusted_origins: \"app.example\" is no origin"),
        "{error}"
    );
    settings.trusted_origins.clear();
    settings.cross_origin_protection = false;
    let server = TestServer::start(transfer().settings(settings));
    let headers = [("Sec-Fetch-Site", "cross-site")];
    assert_eq!(server.send("POST", "/", &headers, b"").status, 200);
}

#[test]
fn what_no_route_answers_stays_404_and_a_fallback_is_protected() {
    let headers = [("Sec-Fetch-Site", "cross-site")];
    let application = || Application::new().route("/get", async || "got");
    let server = TestServer::start(application());
    assert_eq!(server.send("POST", "/nowhere", &headers, b"").status, 404);
    assert_eq!(server.send("POST", "/get", &headers, b"").status, 405);
    let fallback = application().not_found(async || StatusCode::ACCEPTED);
    let server = TestServer::start(fallback);
    assert_eq!(server.send("POST", "/nowhere", &headers, b"").status, 403);
    assert_eq!(server.send("GET", "/nowhere", &headers, b"").status, 202);
}
