//! Extractors: what a client gets wrong is named, what is right arrives.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use squall::settings::MultipartLimits;
use squall::testing::{TestResponse, TestServer};
use squall::{
    Application, Body, Bytes, Cookies, Form, Headers, Json, Method, Multipart, Path, Query,
    RemoteAddr, Result, Settings, State, UploadPolicy, post,
};

#[derive(serde::Deserialize, serde::Serialize)]
struct Order {
    item: String,
    count: u32,
    #[serde(default)]
    tag: Vec<String>,
}

const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

async fn query(Query(order): Query<Order>) -> Json<Order> {
    Json(order)
}

async fn form(Form(order): Form<Order>) -> Json<Order> {
    Json(order)
}

async fn json(Json(order): Json<Order>) -> Json<Order> {
    Json(order)
}

fn orders() -> TestServer {
    let mut settings = Settings::default();
    settings.max_collected_body = 64;
    TestServer::start(
        Application::new()
            .settings(settings)
            .route("/query", query)
            .route("/form", post(form))
            .route("/json", post(json))
            .route("/text", post(async |text: String| text))
            .route("/bytes", post(async |bytes: Bytes| bytes))
            .route("/echo", post(async |body: Body| body)),
    )
}

#[test]
fn arguments_fill_a_struct_from_each_side() {
    let server = orders();
    let expected = serde_json::json!({"item": "a b", "count": 3, "tag": ["x", "y"]});
    let encoded = "item=a+b&count=3&tag=x&tag=y";
    assert_eq!(server.get(&format!("/query?{encoded}")).json(), expected);
    let answer = server.send("POST", "/form", &[FORM], encoded.as_bytes());
    assert_eq!(answer.json(), expected);
    let answer = server.send("POST", "/json", &[JSON], expected.to_string().as_bytes());
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

fn assert_refused(answer: &TestResponse, status: u16, field: Option<&str>, detail: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["field"].as_str(), field, "{problem}");
    let shown = problem["detail"].as_str().unwrap_or_default();
    assert!(shown.contains(detail), "{problem}");
}

#[test]
fn what_is_wrong_with_arguments_is_named() {
    let server = orders();
    let send = |target, header, body: &str| server.send("POST", target, &[header], body.as_bytes());
    assert_refused(
        &server.get("/query?item=a"),
        400,
        Some("count"),
        "missing argument",
    );
    assert_refused(
        &server.get("/query?item=a&count=x"),
        400,
        Some("count"),
        "invalid digit",
    );
    assert_refused(
        &send("/form", FORM, "count=1"),
        400,
        Some("item"),
        "missing argument",
    );
    assert_refused(
        &send("/form", JSON, "{}"),
        415,
        Some("Content-Type"),
        "x-www-form-urlencoded",
    );
    assert_refused(
        &send("/json", FORM, "a=b"),
        415,
        Some("Content-Type"),
        "application/json",
    );
    assert_refused(&send("/json", JSON, "{\"item\":"), 400, None, "EOF");
    assert_refused(
        &send("/json", JSON, "{\"item\":\"a\",\"count\":-1}"),
        422,
        Some("count"),
        "-1",
    );
    assert_refused(
        &send("/json", JSON, "{\"item\":\"a\",\"count\":1}x"),
        400,
        None,
        "trailing",
    );
    assert_refused(
        &send("/json", JSON, &" ".repeat(65)),
        413,
        None,
        "max_collected_body",
    );
    assert_refused(
        &server.send("POST", "/text", &[], b"\xff"),
        400,
        None,
        "UTF-8",
    );
}

#[test]
fn a_body_that_streams_is_not_bound_by_what_may_be_collected() {
    let server = orders();
    let large = vec![7; 100_000];
    assert_eq!(server.send("POST", "/bytes", &[], &large).status, 413);
    let answer = server.send("POST", "/echo", &[], &large);
    assert_eq!(answer.body, large);
}

#[derive(Default)]
struct Visits(AtomicU64);

async fn state(State(visits): State<Visits>) -> String {
    visits.0.fetch_add(1, Ordering::Relaxed).to_string()
}

#[test]
fn state_is_shared_and_a_missing_one_is_reported_before_the_first_request() {
    let server = TestServer::start(
        Application::new()
            .route("/", state)
            .state(Visits::default()),
    );
    assert_eq!(server.get("/").text(), "0");
    assert_eq!(server.get("/").text(), "1");
    let error = (Application::new().route("/count/{x}", post(state)))
        .listen("127.0.0.1:0")
        .expect_err("no state");
    let error = error.to_string();
    assert!(
        error.contains("\"POST /count/{x}\" needs a state of type"),
        "{error}"
    );
    assert!(error.contains("Visits"), "{error}");
}

async fn parts(
    method: Method,
    headers: Headers,
    cookies: Cookies,
    RemoteAddr(remote): RemoteAddr,
    query: Option<Query<Order>>,
    json: Result<Json<Order>>,
) -> String {
    let cookies: Vec<_> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let refused = json.err().map(|error| error.status_code().as_u16());
    format!(
        "{method} {:?} {} {} {} {refused:?}",
        headers.get("x-a"),
        cookies.join("|"),
        remote.ip().expect("an address"),
        query.is_none(),
    )
}

#[test]
fn parts_come_as_they_are_and_failures_are_values_on_request() {
    let server = TestServer::start(Application::new().route("/", parts));
    let answer = server.send(
        "GET",
        "/",
        &[("X-A", "1"), ("Cookie", "a=1; b=\"2\";a=3; bad")],
        b"",
    );
    assert_eq!(
        answer.text(),
        "GET Some(\"1\") a=1|b=2|a=3 127.0.0.1 true Some(415)"
    );
}

async fn upload(mut form: Multipart) -> Result<String> {
    let mut seen = String::new();
    while let Some(mut part) = form.next_part().await? {
        let text = part.text(10).await?;
        seen += &format!(
            "{} {:?} {:?} {text}; ",
            part.name(),
            part.filename(),
            part.content_type()
        );
    }
    Ok(seen)
}

async fn relay(Path(name): Path<String>, mut form: Multipart) -> Result<Body> {
    Ok(form.part(&name).await?.into_body())
}

const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=xyz");

fn parted(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut body = String::new();
    for (disposition, data) in parts {
        body +=
            &format!("--xyz\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{data}\r\n");
    }
    (body + "--xyz--\r\n").into_bytes()
}

fn uploads() -> TestServer {
    let mut settings = Settings::default();
    settings.uploads = UploadPolicy::new().limits(MultipartLimits {
        parts: 3,
        ..MultipartLimits::default()
    });
    TestServer::start(
        Application::new()
            .settings(settings)
            .route("/upload", post(upload))
            .route("/relay/{name}", post(relay)),
    )
}

#[test]
fn an_upload_comes_part_by_part() {
    let server = uploads();
    let body = parted(&[
        ("name=\"a\"", "1"),
        (
            "name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain",
            "12\r\n--xy",
        ),
        ("name=\"empty\"", ""),
    ]);
    let answer = server.send("POST", "/upload", &[MULTIPART], &body);
    assert_eq!(
        answer.text(),
        "a None None 1; f Some(\"x.txt\") Some(\"text/plain\") 12\r\n--xy; empty None None ; "
    );
}

#[test]
fn an_upload_that_is_wrong_is_refused() {
    let server = uploads();
    let send = |body: &[u8]| server.send("POST", "/upload", &[MULTIPART], body);
    assert_refused(
        &send(&parted(&[("name=\"a\"", "12345678901")])),
        413,
        Some("a"),
        "10 bytes",
    );
    assert_refused(
        &send(&parted(&[("name=\"a\"", ""); 4])),
        413,
        None,
        "3 parts",
    );
    assert_refused(&send(b"--xyz\r\n"), 400, None, "ended before");
    assert_refused(
        &server.send("POST", "/upload", &[JSON], b"{}"),
        415,
        None,
        "multipart",
    );
    let body = parted(&[("name=\"a\"", "1")]);
    let answer = server.send("POST", "/relay/b", &[MULTIPART], &body);
    assert_refused(&answer, 400, Some("b"), "missing");
}

#[test]
fn a_part_is_moved_on_while_it_arrives() {
    let server = uploads();
    let mut stream = server.connect();
    let data = "0123456789".repeat(100_000);
    let body = parted(&[
        ("name=\"skipped\"", "x"),
        ("name=\"f\"; filename=\"f\"", &data),
    ]);
    let (head, rest) = body.split_at(1000);
    let request = format!(
        "POST /relay/f HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        MULTIPART.1,
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    stream.write_all(head).expect("sent");
    // The answer has begun although most of the upload is still to come.
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut answer = first.to_vec();
    let mut reader = stream.try_clone().expect("a clone");
    let (done, read) = mpsc::channel();
    std::thread::spawn(move || {
        std::io::Read::read_to_end(&mut reader, &mut answer).expect("an answer");
        done.send(answer).expect("awaited");
    });
    stream.write_all(rest).expect("sent");
    let answer = TestResponse::parse(&read.recv().expect("read"));
    assert!(
        answer.body == data.as_bytes(),
        "{} bytes",
        answer.body.len()
    );
}
