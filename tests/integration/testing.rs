//! `squall::testing`: what its users' tests rely on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;
use squall::testing::{ExpectLog, TestServer};
use squall::{
    Application, Cookies, Error, Form, Json, Multipart, Query, Request, Response, Result,
    StatusCode, post,
};

type Pairs = Vec<(String, String)>;

fn server() -> TestServer {
    TestServer::start(
        Application::new()
            .route("/query", async |Query(pairs): Query<Pairs>| Json(pairs))
            .route("/form", post(async |Form(pairs): Form<Pairs>| Json(pairs)))
            .route("/parts", post(parts))
            .route("/types", post(types))
            .route("/seen", squall::any(seen))
            .route("/cookies", cookies)
            .route("/set/{value}", set)
            .route("/log/{text}", log),
    )
}

async fn parts(mut form: Multipart) -> Result<serde_json::Value> {
    let mut parts = Vec::new();
    while let Some(mut part) = form.next_part().await? {
        let (name, filename) = (part.name().to_owned(), part.filename().map(str::to_owned));
        let kind = part.content_type().map(str::to_owned);
        parts.push(json!([name, filename, kind, part.text(1024).await?]));
    }
    Ok(parts.into())
}

/// The `Content-Type`s, without their parameters.
async fn types(request: Request) -> String {
    let types = request.headers().get_all("content-type");
    let types = types.map(|kind| String::from_utf8_lossy(kind).into_owned());
    let names = types.map(|kind| kind.split(';').next().unwrap_or_default().to_owned());
    names.collect::<Vec<_>>().join(" ")
}

async fn seen(request: Request) -> serde_json::Value {
    json!([request.method().as_str(), request.headers().get("x-answer")])
}

async fn cookies(cookies: Cookies) -> String {
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("; ")
}

async fn set(squall::Path(value): squall::Path<String>) -> Result<Response> {
    let mut response = Response::new(StatusCode::OK, "");
    let cookie = match value.as_str() {
        "nothing" => "taste=; Max-Age=0; Path=/".to_owned(),
        value => format!("taste={value}; HttpOnly"),
    };
    response.headers_mut().append("Set-Cookie", cookie)?;
    Ok(response)
}

async fn log(squall::Path(text): squall::Path<String>) -> Result<&'static str> {
    tracing::warn!(answer = 42, "heard {text}");
    match text.as_str() {
        "broken" => Err(Error::internal("the disk is gone")),
        _ => Ok("said"),
    }
}

#[test]
fn requests_are_put_together() {
    let server = server();
    let client = server.client();
    (client.get("/query?a=1").query(&[("b", "2 3"), ("ä", "&")]))
        .send()
        .assert_status(200)
        .assert_json(&json!([["a", "1"], ["b", "2 3"], ["ä", "&"]]));
    (client.post("/form").form(&[("name", "Ann & Bob")]))
        .send()
        .assert_json(&json!([["name", "Ann & Bob"]]));
    (client.post("/parts").part("note", "hi"))
        .file("file", "a \"b\".txt", "text/plain", b"data")
        .send()
        .assert_json(&json!([
            ["note", null, null, "hi"],
            ["file", "a \"b\".txt", "text/plain", "data"],
        ]));
    for method in ["PUT", "PATCH", "DELETE", "PURGE"] {
        (client
            .request(method, "/seen")
            .header("X-Answer", "42")
            .send())
        .assert_json(&json!([method, "42"]));
    }
}

#[test]
fn a_content_type_of_ones_own_is_the_only_one() {
    const PATCH: (&str, &str) = ("content-type", "application/merge-patch+json");
    let server = server();
    let client = server.client();
    let types = || client.post("/types");
    for (request, expected) in [
        (types().json(&1), "application/json"),
        (types().json(&1).header(PATCH.0, PATCH.1), PATCH.1),
        (types().header(PATCH.0, PATCH.1).json(&1), PATCH.1),
        (
            types()
                .header("Content-Type", "a/b")
                .header(PATCH.0, PATCH.1),
            PATCH.1,
        ),
        (
            types().json(&1).form(&[]),
            "application/x-www-form-urlencoded",
        ),
        (
            types().header(PATCH.0, PATCH.1).part("a", "b"),
            "multipart/form-data",
        ),
        (
            types()
                .part("a", "b")
                .part("c", "d")
                .header(PATCH.0, PATCH.1),
            PATCH.1,
        ),
    ] {
        assert_eq!(request.send().text(), expected);
    }
}

#[test]
fn cookies_are_kept() {
    let server = server();
    let client = server.client();
    client.get("/cookies").send().assert_text("");
    client.get("/set/sweet").send().assert_status(200);
    client.set_cookie("size", "large");
    client
        .get("/cookies")
        .send()
        .assert_text("taste=sweet; size=large");
    client.get("/set/bitter").send();
    assert_eq!(client.cookie("taste").as_deref(), Some("bitter"));
    client.get("/set/nothing").send();
    client.get("/cookies").send().assert_text("size=large");
    server.client().get("/cookies").send().assert_text("");
}

#[test]
fn assertions_fail_and_say_what_came() {
    let server = server();
    let answer = server.get("/missing");
    let said = |check: &dyn Fn()| {
        let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("it does not hold");
        *panic.downcast::<String>().expect("words")
    };
    let words = said(&|| {
        answer.assert_status(200);
    });
    assert!(words.contains("404") && words.contains("200"), "{words}");
    let words = said(&|| {
        answer.assert_header("x-answer", "42");
    });
    assert!(words.contains("x-answer"), "{words}");
    said(&|| {
        answer.assert_text("It works");
    });
    said(&|| {
        answer.assert_json(&json!({}));
    });
}

#[test]
fn a_log_is_heard_of_one_server_alone() {
    let (one, other) = (server(), server());
    let (log, others) = (ExpectLog::on(&one), ExpectLog::on(&other));
    one.get("/log/this").assert_text("said");
    other.get("/log/that").assert_text("said");
    let event = log.expect("it::integration::testing", "heard this");
    assert_eq!(event.level, tracing::Level::WARN);
    assert_eq!(event.message, "heard this");
    assert_eq!(event.field("answer"), Some("42"));
    others.expect("it::integration::testing", "heard that answer=42");
    log.refute("it::integration::testing", "that");
    others.refute("it::integration::testing", "this");

    one.get("/log/broken").assert_status(500);
    log.expect("squall::web", "the disk is gone");
    let line = log.expect("squall::access", "path=/log/broken status=500");
    let (_, decimals) = line
        .field("ms")
        .and_then(|ms| ms.split_once('.'))
        .expect("a float");
    assert!(decimals.len() <= 3, "{decimals}: more than a person reads");
    let missed = catch_unwind(AssertUnwindSafe(|| log.refute("squall::web", "disk")));
    let words = *missed
        .expect_err("it was logged")
        .downcast::<String>()
        .expect("words");
    assert!(words.contains("the disk is gone"), "{words}");
}

#[test]
fn a_log_is_heard_of_ones_own_thread_alone() {
    let log = ExpectLog::here();
    std::thread::spawn(|| tracing::info!("from elsewhere"))
        .join()
        .expect("no panic");
    tracing::info!("from here");
    log.expect("it::integration::testing", "from here");
    assert_eq!(log.events().len(), 1);
    drop(log);
    tracing::info!("nobody listens");
}
