//! Each extractor's rejections: the status, and the members of problem+json that a
//! program would look at.

use std::collections::HashMap;

use serde_json::{Value, json};
use squall::testing::TestServer;
use squall::{
    Application, Basic, Bearer, Body, Bytes, Form, Header, Host, Json, Path, Problem, Query,
    Rejection, RemoteAddr, Request, Response, Result, Settings, State, StatusCode, TypedHeader,
    Uri, get, post,
};

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code)]
struct Order {
    item: String,
    count: u8,
    #[serde(default)]
    tags: Vec<u8>,
    #[serde(default)]
    lines: Vec<Line>,
}

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code)]
struct Line {
    price: u32,
    address: Option<Address>,
}

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code)]
struct Address {
    street: String,
}

struct Priority(u8);

impl std::str::FromStr for Priority {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl TypedHeader for Priority {
    const NAME: &'static str = "X-Priority";
}

fn server() -> TestServer {
    let mut settings = Settings::default();
    settings.max_collected_body = 4096;
    settings.max_arguments = 3;
    TestServer::start(
        Application::new()
            .settings(settings)
            .route("/path/{n}", async |Path(n): Path<u8>| n.to_string())
            .route("/query", async |_: Query<Order>| "fine")
            .route(
                "/map",
                async |Query(map): Query<HashMap<String, String>>| map.len().to_string(),
            )
            .route("/form", post(async |_: Form<Order>| "fine"))
            .route(
                "/json",
                post(async |_: Json<Order>| "fine").patch(async |_: Json<Order>| "fine"),
            )
            .route("/value", post(async |Json(value): Json<Value>| Json(value)))
            .route("/text", post(async |text: String| text))
            .route(
                "/few",
                post(async |bytes: Bytes| bytes).max_collected_body(3),
            )
            .route("/header", async |Header(Priority(n)): Header<Priority>| {
                n.to_string()
            })
            .route("/bearer", async |Header(Bearer(token)): Header<Bearer>| {
                token
            })
            .route("/basic", async |Header(basic): Header<Basic>| basic.user)
            .route("/host", async |Host(host): Host| host)
            .route("/uri", async |uri: Uri| {
                uri.query().unwrap_or("none").to_owned()
            }),
    )
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// What a case sends: a target, a content type, a body.
type Sent<'a> = (&'a str, &'a str, &'a [u8]);

/// What comes back: status, `in`, `reason`, `field`, a piece of `detail`.
type Refused<'a> = (u16, &'a str, &'a str, Option<&'a str>, &'a str);

#[test]
fn each_rejection_says_what_is_wrong_and_where() {
    let server = server();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let cases: &[(Sent<'_>, Refused<'_>)] = &[
        (
            ("/path/256", "", b""),
            (400, "path", "invalid", Some("n"), "too large"),
        ),
        (
            ("/path/%ff", "", b""),
            (400, "path", "not-utf-8", Some("n"), "UTF-8"),
        ),
        (
            ("/query", "", b""),
            (400, "query", "missing", Some("item"), "\"item\""),
        ),
        (
            ("/query?count=1", "", b""),
            (400, "query", "missing", Some("item"), "\"item\""),
        ),
        (
            ("/query?item=a&count=-1", "", b""),
            (400, "query", "invalid", Some("count"), "digit"),
        ),
        (
            ("/query?item=a&count=1&tags=x", "", b""),
            (400, "query", "invalid", Some("tags"), "digit"),
        ),
        (
            ("/query?item=a&item=b&count=1", "", b""),
            (400, "query", "repeated", Some("item"), "more than once"),
        ),
        (
            ("/query?item=%ff", "", b""),
            (400, "query", "not-utf-8", Some("item"), "UTF-8"),
        ),
        (
            ("/query?a&b&c&d", "", b""),
            (400, "query", "too-many", None, "max_arguments"),
        ),
        (
            ("/map?a=1&a=2", "", b""),
            (400, "query", "repeated", Some("a"), "more than once"),
        ),
        (
            ("/form", FORM, b"count=1"),
            (400, "form", "missing", Some("item"), "\"item\""),
        ),
        (
            ("/form", FORM, b"item=%C3&count=1"),
            (400, "form", "not-utf-8", Some("item"), "UTF-8"),
        ),
        (
            ("/form", FORM, b"item=\xff&count=1"),
            (400, "form", "not-utf-8", Some("item"), "UTF-8"),
        ),
        (
            ("/form", FORM, b"a&b&c&d"),
            (400, "form", "too-many", None, "max_arguments"),
        ),
        (
            ("/form", JSON, b"{}"),
            (415, "form", "media-type", Some("Content-Type"), FORM),
        ),
        (
            (
                "/form",
                "application/x-www-form-urlencoded; charset=latin1",
                b"item=a&count=1",
            ),
            (415, "form", "media-type", Some("Content-Type"), "latin1"),
        ),
        (
            ("/json", FORM, b"{}"),
            (415, "json", "media-type", Some("Content-Type"), JSON),
        ),
        (
            ("/json", "", b"{}"),
            (
                415,
                "json",
                "media-type",
                Some("Content-Type"),
                "no Content-Type",
            ),
        ),
        (
            ("/json", "application/json; charset=utf-16", b"{}"),
            (415, "json", "media-type", Some("Content-Type"), "utf-16"),
        ),
        (("/json", JSON, b""), (400, "json", "syntax", None, "EOF")),
        (
            ("/json", JSON, b"{\"item\":\"a\",}"),
            (400, "json", "syntax", None, "line 1 column"),
        ),
        (
            ("/value", JSON, b"{} {}"),
            (400, "json", "syntax", None, "trailing"),
        ),
        (
            ("/json", JSON, b"{\"item\":\"\xff\"}"),
            (400, "json", "not-utf-8", None, "byte 9"),
        ),
        (
            ("/json", JSON, b"{\"item\":\"a\"}"),
            (422, "json", "missing", Some("count"), "\"count\""),
        ),
        (
            ("/json", JSON, b"[]"),
            (422, "json", "invalid", None, "invalid length"),
        ),
        (
            ("/json", JSON, b"3"),
            (422, "json", "invalid", None, "invalid type"),
        ),
        (
            (
                "/json",
                JSON,
                b"{\"item\":\"a\",\"item\":\"b\",\"count\":1}",
            ),
            (422, "json", "repeated", Some("item"), "more than once"),
        ),
        (
            (
                "/json",
                JSON,
                b"{\"item\":\"a\",\"count\":1,\"lines\":[{\"price\":1},{\"price\":\"x\"}]}",
            ),
            (
                422,
                "json",
                "invalid",
                Some("lines[1].price"),
                "invalid type",
            ),
        ),
        (
            (
                "/json",
                JSON,
                b"{\"item\":\"a\",\"count\":1,\"lines\":[{\"price\":1,\"address\":{}}]}",
            ),
            (
                422,
                "json",
                "missing",
                Some("lines[0].address.street"),
                "missing",
            ),
        ),
        (
            ("/value", JSON, deep.as_bytes()),
            (400, "json", "syntax", None, "recursion limit"),
        ),
        (
            ("/text", "text/plain", b"a\xff"),
            (400, "body", "not-utf-8", None, "byte 1"),
        ),
        (
            ("/text", "text/plain; charset=\"koi8-r\"", b"a"),
            (415, "body", "media-type", Some("Content-Type"), "koi8-r"),
        ),
        (
            ("/text", "text/plain", &[b'a'; 4097]),
            (413, "body", "too-large", None, "max_collected_body"),
        ),
        (
            ("/few", "text/plain", b"four"),
            (413, "body", "too-large", None, "3 bytes"),
        ),
        (
            ("/header", "", b""),
            (400, "header", "missing", Some("X-Priority"), "X-Priority"),
        ),
    ];
    for ((target, kind, body), (status, part, reason, field, detail)) in cases {
        let method = if kind.is_empty() && body.is_empty() {
            "GET"
        } else {
            "POST"
        };
        let mut headers = vec![("Accept", JSON)];
        if !kind.is_empty() {
            headers.push(("Content-Type", *kind));
        }
        let answer = server.send(method, target, &headers, body);
        let what = format!("{target}, {kind}, {}", body.escape_ascii());
        assert_eq!(answer.status, *status, "{what}: {}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let problem = answer.json();
        assert_eq!(problem["status"], *status, "{what}");
        assert_eq!(
            (&problem["in"], &problem["reason"]),
            (&json!(part), &json!(reason)),
            "{what}: {problem}"
        );
        assert_eq!(problem["field"].as_str(), *field, "{what}: {problem}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|shown| shown.contains(detail)),
            "{what}: {problem}"
        );
    }
}

#[test]
fn what_is_lenient_says_so() {
    let server = server();
    let send =
        |target, kind, body: &[u8]| server.send("POST", target, &[("Content-Type", kind)], body);
    assert_eq!(
        send(
            "/value",
            "application/vnd.a+json; charset=\"UTF-8\"",
            b"\xef\xbb\xbf[1]"
        )
        .text(),
        "[1]"
    );
    assert_eq!(
        send("/value", JSON, b"{\"a\":1,\"a\":2}").text(),
        "{\"a\":2}",
        "the last one counts"
    );
    assert_eq!(send("/text", "text/plain", b"\xef\xbb\xbfa").text(), "a");
    assert_eq!(send("/few", "text/plain", b"abc").text(), "abc");
    assert_eq!(server.get("/uri?a=%20").text(), "a=%20");
    assert_eq!(server.get("/host").text(), "test");
}

#[test]
fn the_types_that_are_taken_are_told() {
    let server = server();
    for (method, field) in [("POST", "accept-post"), ("PATCH", "accept-patch")] {
        let answer = server.send(method, "/json", &[("Content-Type", "text/xml")], b"<a/>");
        assert_eq!((answer.status, answer.header(field)), (415, Some(JSON)));
    }
}

#[test]
fn headers_are_typed() {
    let server = server();
    let send = |target, headers: &[(&str, &str)]| server.send("GET", target, headers, b"");
    assert_eq!(send("/header", &[("x-priority", "7")]).text(), "7");
    let wrong = send("/header", &[("X-Priority", "high")]).json();
    assert_eq!(
        (&wrong["reason"], &wrong["field"]),
        (&json!("invalid"), &json!("X-Priority"))
    );
    let twice = send("/header", &[("X-Priority", "1"), ("X-Priority", "1")]).json();
    assert_eq!(twice["reason"], "repeated");
    assert_eq!(
        send("/bearer", &[("Authorization", "Bearer abc")]).text(),
        "abc"
    );
    for headers in [&[][..], &[("Authorization", "Basic YTpi")]] {
        let answer = send("/bearer", headers);
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Bearer"))
        );
        assert!(!answer.text().contains("YTpi"), "no credentials come back");
    }
    assert_eq!(
        send("/basic", &[("Authorization", "basic YTpi")]).text(),
        "a"
    );
}

async fn optional(
    query: Option<Query<Order>>,
    priority: Option<Header<Priority>>,
    form: Option<Form<Order>>,
) -> String {
    format!(
        "{} {} {}",
        query.is_some(),
        priority.is_some(),
        form.is_some()
    )
}

#[test]
fn an_option_is_none_for_what_is_not_there_and_no_excuse_for_what_is_wrong() {
    let server = TestServer::start(Application::new().route("/", get(optional).post(optional)));
    assert_eq!(server.get("/").text(), "false false false");
    let answer = server.send(
        "POST",
        "/?item=a&count=1",
        &[("X-Priority", "1"), ("Content-Type", FORM)],
        b"item=a&count=2",
    );
    assert_eq!(answer.text(), "true true true");
    assert_eq!(server.get("/?item=a").json()["reason"], "missing");
    assert_eq!(
        server.send("GET", "/", &[("X-Priority", "x")], b"").json()["reason"],
        "invalid"
    );
    assert_eq!(
        server
            .send("POST", "/", &[("Content-Type", JSON)], b"{}")
            .status,
        415
    );
}

async fn fallible(order: Result<Query<Order>>, state: Option<State<u8>>) -> String {
    let rejection = order.err().and_then(|error| error.rejection());
    let known = match rejection {
        Some(Rejection::Missing) => "something is missing",
        Some(Rejection::Invalid) => "something is wrong",
        _ => "all is well",
    };
    format!("{known}, {}", state.is_none())
}

#[test]
fn a_handler_may_deal_with_a_rejection() {
    let server = TestServer::start(Application::new().route("/", fallible));
    assert_eq!(server.get("/").text(), "something is missing, true");
    assert_eq!(
        server.get("/?item=a&count=x").text(),
        "something is wrong, true"
    );
    assert_eq!(server.get("/?item=a&count=1").text(), "all is well, true");
}

#[test]
fn a_browser_gets_a_page_and_the_clients_words_are_escaped_in_it() {
    let server = server();
    let answer = server.send(
        "GET",
        "/path/<script>",
        &[("Accept", "text/html,*/*;q=0.8")],
        b"",
    );
    assert_eq!(answer.status, 400, "the engine refuses the target");
    let answer = server.send(
        "GET",
        "/header",
        &[("Accept", "text/html"), ("X-Priority", "<script>")],
        b"",
    );
    assert_eq!(
        (answer.status, answer.header("vary")),
        (400, Some("Accept"))
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let answer = server.send(
        "POST",
        "/json",
        &[("Accept", "text/html"), ("Content-Type", "<script>")],
        b"x",
    );
    assert!(
        answer.text().contains("&lt;script&gt;") && !answer.text().contains("<script>"),
        "{}",
        answer.text()
    );
}

async fn broke() -> Result<String> {
    let error = squall::Error::status(StatusCode::FORBIDDEN);
    Err(error
        .show("You have 30, it costs 50.")
        .with_type(
            "https://example.com/probs/out-of-credit",
            "You have not enough credit",
        )
        .with_member("balance", 30)
        .with_member("accounts", json!(["/a/1"])))
}

async fn failing() -> Result<String> {
    Ok(std::fs::read_to_string("/no/such/secret-file")?)
}

#[test]
fn problems_have_members_of_their_own_and_keep_secrets() {
    for debug in [false, true] {
        let app = Application::new()
            .route("/broke", broke)
            .route("/failing", failing)
            .debug(debug);
        let server = TestServer::start(app);
        assert_eq!(
            server.get("/broke").json(),
            json!({
                "type": "https://example.com/probs/out-of-credit",
                "title": "You have not enough credit",
                "status": 403,
                "detail": "You have 30, it costs 50.",
                "balance": 30,
                "accounts": ["/a/1"],
            })
        );
        let failed = server.get("/failing");
        assert_eq!(failed.status, 500);
        assert_eq!(
            failed.text().contains("No such file"),
            debug,
            "{}",
            failed.text()
        );
    }
}

fn plain(problem: &Problem<'_>) -> Response {
    let reason = problem
        .error()
        .rejection()
        .map_or("none", Rejection::as_str);
    let mut response = problem.response();
    *response.body_mut() = Body::from(format!("{}: {reason}", problem.status().as_u16()));
    response
}

async fn guarded(mut request: Request, next: squall::Next) -> Response {
    match request.extract::<RemoteAddr>().await {
        Ok(_) => next.run(request).await,
        Err(_) => Response::default(),
    }
}

#[test]
fn one_renderer_holds_for_every_error_of_the_application() {
    let app = Application::new()
        .route("/query", async |_: Query<Order>| "fine")
        .route("/failing", failing)
        .middleware(guarded)
        .error_renderer(plain);
    let server = TestServer::start(app);
    assert_eq!(server.get("/query").text(), "400: missing");
    assert_eq!(server.get("/failing").text(), "500: none");
    assert_eq!(server.get("/nowhere").text(), "404: none");
    assert_eq!(server.send("POST", "/query", &[], b"").text(), "405: none");
    let refused = String::from_utf8(server.raw(b"GET / HTTP/1.1\r\n\r\n")).expect("text");
    assert!(refused.ends_with("400: none"), "{refused}");
}
