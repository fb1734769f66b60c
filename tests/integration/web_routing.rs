//! Routing: who answers which method of which path.

use squall::testing::TestServer;
use squall::{
    Application, Context, Json, Method, Path, Query, Request, RequestHandler, Result, StatusCode,
    any, get, on, post,
};

async fn hello() -> &'static str {
    "hello"
}

async fn segment(Path(text): Path<String>) -> String {
    text
}

async fn both(Path((number, rest)): Path<(u8, String)>) -> String {
    format!("{number}|{rest}")
}

#[derive(serde::Deserialize)]
struct Named {
    id: i64,
    kind: Kind,
}

#[derive(serde::Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Big,
    Small,
}

async fn named(Path(named): Path<Named>) -> String {
    format!("{} {:?}", named.id, named.kind)
}

async fn verb(request: Request) -> String {
    format!("{} {}", request.method(), request.route().unwrap_or("-"))
}

fn server() -> TestServer {
    TestServer::start(
        Application::new()
            .route("/", hello)
            .route("/thing", get(verb).post(verb))
            .route("/only-post", post(hello))
            .route("/any/{*path}", any(verb).delete(hello))
            .route(
                "/report",
                on(Method::from_bytes(b"REPORT").expect("a token"), hello),
            )
            .route("/a/{text}", segment)
            .route("/b/{number}/x/{*rest}", both)
            .route("/c/{kind}/{id}", named)
            .route("/many/{a}/{b}/{c}/{d}/{e}", many),
    )
}

async fn many(Path(all): Path<Vec<String>>) -> String {
    all.join(",")
}

#[test]
fn a_path_and_a_method_find_their_handler() {
    let server = server();
    for (method, target, status, body) in [
        ("GET", "/", 200, "hello"),
        ("GET", "/?query=ignored", 200, "hello"),
        ("GET", "/thing", 200, "GET GET /thing"),
        ("POST", "/thing", 200, "POST POST /thing"),
        ("GET", "/any/thing/at/all", 200, "GET ANY /any/{*path}"),
        ("PURGE", "/any/x", 200, "PURGE ANY /any/{*path}"),
        ("GET", "/any/%E9", 200, "GET ANY /any/{*path}"),
        ("DELETE", "/any/x", 200, "hello"),
        ("REPORT", "/report", 200, "hello"),
        ("GET", "/a/b%20c", 200, "b c"),
        ("GET", "/a/b%2Fc%25", 200, "b/c%"),
        ("GET", "/b/7/x/y/z%41", 200, "7|y/zA"),
        ("GET", "/c/small/-5", 200, "-5 Small"),
        ("GET", "/c/big/1", 200, "1 Big"),
        ("GET", "/many/1/2/3/4/5", 200, "1,2,3,4,5"),
    ] {
        let answer = server.send(method, target, &[], b"");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{method} {target}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_and_named() {
    let server = server();
    for (target, status, field) in [
        ("/nowhere", 404, None),
        ("/a", 404, None),
        ("/a/%zz", 400, None),
        ("/a/%ff", 400, Some("text")),
        ("/b/256/x/y", 400, Some("number")),
        ("/b/7/x/y/%ff", 400, Some("rest")),
        ("/c/medium/1", 400, Some("kind")),
        ("/c/big/one", 400, Some("id")),
    ] {
        let answer = server.get(target);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(
            answer.json()["field"].as_str(),
            field,
            "{target}: {}",
            answer.text()
        );
    }
}

#[test]
fn other_methods_are_405_with_allow_and_options_tells_it() {
    let server = server();
    for (method, target, allow) in [
        ("PUT", "/", "GET, HEAD, OPTIONS"),
        ("PUT", "/thing", "GET, POST, HEAD, OPTIONS"),
        ("GET", "/only-post", "POST, OPTIONS"),
        ("HEAD", "/only-post", "POST, OPTIONS"),
    ] {
        let answer = server.send(method, target, &[], b"");
        assert_eq!(answer.status, 405, "{method} {target}");
        assert_eq!(answer.header("allow"), Some(allow));
    }
    let answer = server.send("OPTIONS", "/thing", &[], b"");
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
    assert_eq!(
        server.send("OPTIONS", "/any/x", &[], b"").text(),
        "OPTIONS ANY /any/{*path}"
    );
}

#[test]
fn head_is_get_without_a_body() {
    let answer = server().send("HEAD", "/", &[], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some("5"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(answer.text(), "");
}

#[derive(Clone)]
struct Counter {
    start: u32,
    prepared: bool,
}

#[derive(serde::Deserialize)]
struct By {
    by: u32,
}

impl RequestHandler for Counter {
    async fn prepare(&mut self, context: &mut Context) -> Result<()> {
        self.prepared = true;
        if context.request().query() == Some("stop") {
            context.set_status(StatusCode::FORBIDDEN);
            context.finish("stopped");
        }
        Ok(())
    }

    async fn get(&mut self, context: &mut Context) -> Result<()> {
        context.set_header("X-Prepared", self.prepared.to_string())?;
        context.write(format!("{} ", self.start));
        let name = context.param("name")?.into_owned();
        context.write(name);
        self.start += 1;
        Ok(())
    }

    async fn post(&mut self, context: &mut Context) -> Result<()> {
        let word = context.argument("word").await?;
        let Query(by) = context.request_mut().extract::<Query<By>>().await?;
        context.respond((StatusCode::CREATED, Json(serde_json::json!([word, by.by]))))
    }

    async fn delete(&mut self, context: &mut Context) -> Result<()> {
        context.redirect("/elsewhere")
    }
}

#[test]
fn a_request_handler_is_a_fresh_value_per_request() {
    let counter = Counter {
        start: 5,
        prepared: false,
    };
    let server = TestServer::start(Application::new().route("/count/{name}", counter));
    for _ in 0..2 {
        let answer = server.get("/count/x%2Fy");
        assert_eq!(answer.text(), "5 x/y");
        assert_eq!(answer.header("x-prepared"), Some("true"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
    }
    let stopped = server.get("/count/x?stop");
    assert_eq!((stopped.status, stopped.text().as_str()), (403, "stopped"));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let created = server.send("POST", "/count/x?by=2", &[form], b"word=a&word=+b+");
    assert_eq!(
        (created.status, created.text().as_str()),
        (201, "[\"b\",2]")
    );
    let missing = server.send("POST", "/count/x?by=2", &[form], b"words=a");
    assert_eq!(
        (missing.status, missing.json()["field"].as_str()),
        (400, Some("word"))
    );
    let moved = server.send("DELETE", "/count/x", &[], b"");
    assert_eq!(
        (moved.status, moved.header("location")),
        (303, Some("/elsewhere"))
    );
    let refused = server.send("PUT", "/count/x", &[], b"");
    assert_eq!(refused.status, 405);
    assert_eq!(
        refused.header("allow"),
        Some("GET, POST, DELETE, HEAD, OPTIONS")
    );
    assert_eq!(
        server
            .send("HEAD", "/count/x", &[], b"")
            .header("content-length"),
        Some("3")
    );
}
