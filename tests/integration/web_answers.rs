//! Answers, errors, middleware, panics and the life of an application.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall::testing::TestServer;
use squall::{
    Application, Body, BodyError, Bytes, Error, Html, Json, Next, Redirect, Request, Response,
    Result, StatusCode, get, with_timeout,
};
use squall_tests::break_log;

#[test]
fn each_kind_of_answer_has_its_type() {
    let chunked = async || {
        let mut left = vec!["b", "a"];
        Body::from_fn(move || {
            let chunk = left.pop().map(|text| Ok::<_, BodyError>(Bytes::from(text)));
            async move { chunk }
        })
    };
    let server = TestServer::start(
        Application::new()
            .route("/str", async || "s")
            .route("/vec", async || vec![1_u8])
            .route("/json", async || Json([1]))
            .route("/html", async || Html("<p>"))
            .route("/status", async || StatusCode::ACCEPTED)
            .route("/pair", async || (StatusCode::CREATED, "c"))
            .route("/triple", async || {
                (StatusCode::OK, [("X-A", "1"), ("Content-Type", "a/b")], "c")
            })
            .route("/unit", async || ())
            .route("/none", async || None::<&str>)
            .route("/stream", chunked)
            .route("/redirect", async || Redirect::to("/str"))
            .route("/away", async || Redirect::to("//evil.example"))
            .route("/crlf", async || {
                (StatusCode::OK, [("X-A", "1\r\nX-B: 2")], "c")
            }),
    );
    const TEXT: Option<&str> = Some("text/plain; charset=utf-8");
    for (target, status, content_type, body) in [
        ("/str", 200, TEXT, "s"),
        ("/vec", 200, Some("application/octet-stream"), "\u{1}"),
        ("/json", 200, Some("application/json"), "[1]"),
        ("/html", 200, Some("text/html; charset=utf-8"), "<p>"),
        ("/status", 202, None, ""),
        ("/pair", 201, TEXT, "c"),
        ("/triple", 200, Some("a/b"), "c"),
        ("/unit", 200, None, ""),
        ("/stream", 200, None, "ab"),
        ("/redirect", 303, None, ""),
    ] {
        let answer = server.get(target);
        assert_eq!(
            (
                answer.status,
                answer.header("content-type"),
                answer.text().as_str()
            ),
            (status, content_type, body),
            "{target}"
        );
    }
    assert_eq!(server.get("/redirect").header("location"), Some("/str"));
    assert_eq!(server.get("/triple").header("x-a"), Some("1"));
    assert_eq!(server.get("/none").status, 404);
    assert_eq!(server.get("/away").status, 500);
    let injected = server.get("/crlf");
    assert_eq!((injected.status, injected.header("x-b")), (500, None));
}

async fn io_error() -> Result<String> {
    Ok(std::fs::read_to_string("/nowhere/secret.txt")?)
}

async fn timeout() -> Result<()> {
    with_timeout(Duration::ZERO, std::future::pending::<()>()).await?;
    Ok(())
}

async fn shown() -> Result<()> {
    Err(Error::bad_gateway("the job ended with status 3")
        .with_source(io::Error::other("secret"))
        .retry_after(Duration::from_secs(7)))
}

async fn mine() -> Result<(), std::num::ParseIntError> {
    "secret".parse::<u8>().map(|_| ())
}

fn failing() -> Application {
    Application::new()
        .route("/io", io_error)
        .route("/timeout", timeout)
        .route("/shown", shown)
        .route("/mine", mine)
        .route("/bad", async || {
            Err::<(), _>(Error::bad_request("<b> is \"bad\""))
        })
}

#[test]
fn errors_show_what_was_meant_to_be_shown() {
    let server = TestServer::start(failing());
    for (target, status, detail) in [
        ("/io", 500, None),
        ("/mine", 500, None),
        ("/timeout", 504, Some("not done within 0ns")),
        ("/shown", 502, Some("the job ended with status 3")),
        ("/bad", 400, Some("<b> is \"bad\"")),
    ] {
        let answer = server.get(target);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.json()["detail"].as_str(), detail);
        assert!(!answer.text().contains("secret"));
    }
    assert_eq!(server.get("/shown").header("retry-after"), Some("7"));
}

#[test]
fn browsers_get_a_page_and_programs_get_json() {
    let server = TestServer::start(failing());
    for (accept, content_type) in [
        (
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/html; charset=utf-8",
        ),
        (
            "application/json, text/html;q=0.1",
            "application/problem+json",
        ),
        ("*/*", "application/problem+json"),
    ] {
        let answer = server.send("GET", "/bad", &[("Accept", accept)], b"");
        assert_eq!(
            answer.header("content-type"),
            Some(content_type),
            "{accept}"
        );
        if content_type.starts_with("text/html") {
            assert!(answer.text().contains("<h1>400: Bad Request</h1>"));
            assert!(answer.text().contains("&lt;b&gt; is &quot;bad&quot;"));
        }
    }
}

#[test]
fn debug_shows_the_cause_and_a_renderer_replaces_everything() {
    let server = TestServer::start(failing().debug(true));
    assert!(server.get("/mine").text().contains("invalid digit"));
    let server = TestServer::start(failing().error_renderer(|problem| {
        let answer = format!("{} {:?}", problem.title(), problem.detail());
        Response::new(problem.status(), answer)
    }));
    assert_eq!(server.get("/mine").text(), "Internal Server Error None");
    assert_eq!(server.get("/nowhere").text(), "Not Found None");
    let malformed = String::from_utf8_lossy(&server.raw(b"GET / HTTP/1.1\r\n\r\n")).into_owned();
    assert!(malformed.contains("Bad Request Some("), "{malformed}");
}

#[test]
fn a_panic_is_a_500_and_the_server_lives_on() {
    async fn panics(request: Request) -> &'static str {
        assert!(request.query().is_some(), "on purpose");
        "fine"
    }
    let server = TestServer::start(Application::new().route("/", panics));
    for _ in 0..3 {
        let answer = server.get("/");
        assert_eq!(answer.status, 500);
        assert!(!answer.text().contains("purpose"));
        assert_eq!(server.get("/?x").text(), "fine");
    }
}

#[test]
fn a_log_that_panics_costs_no_answer() {
    async fn fails() -> Result<&'static str> {
        break_log();
        Err(Error::internal("on purpose"))
    }
    async fn panics() -> &'static str {
        break_log();
        panic!("on purpose")
    }
    async fn forbids() -> Result<&'static str> {
        break_log();
        Err(Error::status(StatusCode::FORBIDDEN).with_header("no name", "is logged"))
    }
    let application = Application::new()
        .route("/fails", fails)
        .route("/panics", panics)
        .route("/forbids", forbids)
        .route("/", async || "fine");
    let server = TestServer::start(application);
    // On one connection, and so on the lane whose log is broken.
    let answers = server.raw(
        b"GET /fails HTTP/1.1\r\nHost: a\r\n\r\n\
          GET /panics HTTP/1.1\r\nHost: a\r\n\r\n\
          GET /forbids HTTP/1.1\r\nHost: a\r\n\r\n\
          GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n\
          GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let answers = String::from_utf8_lossy(&answers);
    let statuses: Vec<_> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|it| &it[..3])
        .collect();
    assert_eq!(statuses, ["500", "500", "403", "404", "200"], "{answers}");
}

type Trace = Arc<Mutex<Vec<String>>>;

fn traced(name: &'static str, trace: Trace) -> impl squall::web::Middleware {
    move |request: Request, next: Next| {
        let trace = trace.clone();
        async move {
            let note = |text: String| trace.lock().expect("no panic").push(text);
            note(format!("{name} {}", request.path()));
            let response = next.run(request).await;
            note(format!("{name} {}", response.status().as_u16()));
            response
        }
    }
}

#[test]
fn middleware_runs_from_the_outside_in_and_sees_every_answer() {
    let trace = Trace::default();
    let server = TestServer::start(
        failing()
            .route("/ok", async || "ok")
            .route(
                "/panic",
                get(async || -> &'static str { panic!("on purpose") }),
            )
            .middleware(traced("outer", trace.clone()))
            .middleware(async |request: Request, next: Next| {
                if request.query() == Some("stop") {
                    return Response::new(StatusCode::IM_A_TEAPOT, "stopped");
                }
                next.run(request).await
            })
            .middleware(traced("inner", trace.clone())),
    );
    for (target, expected) in [
        (
            "/ok",
            &["outer /ok", "inner /ok", "inner 200", "outer 200"][..],
        ),
        ("/io", &["outer /io", "inner /io", "inner 500", "outer 500"]),
        (
            "/panic",
            &["outer /panic", "inner /panic", "inner 500", "outer 500"],
        ),
        (
            "/lost",
            &["outer /lost", "inner /lost", "inner 404", "outer 404"],
        ),
        ("/ok?stop", &["outer /ok", "outer 418"]),
    ] {
        server.get(target);
        let seen = std::mem::take(&mut *trace.lock().expect("no panic"));
        assert_eq!(seen, expected, "{target}");
    }
}

#[test]
fn a_handler_of_ones_own_answers_what_no_route_fits() {
    async fn lost(request: Request) -> (StatusCode, String) {
        (StatusCode::NOT_FOUND, format!("no {}", request.path()))
    }
    let server = TestServer::start(failing().not_found(lost));
    let answer = server.get("/x/y");
    assert_eq!((answer.status, answer.text().as_str()), (404, "no /x/y"));
    assert_eq!(server.send("POST", "/io", &[], b"").status, 405);
    assert_eq!(server.app().stats().requests, 2);
}
