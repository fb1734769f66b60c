//! What strangers send in bodies, arguments, cookies and names, and what handlers send
//! back of it. One test a row.
//!
//! | attack | known from | test |
//! |---|---|---|
//! | line ends in headers, cookies, targets, file names | Tornado CVE-2012-2374 and 6.5.5, hyper RUSTSEC-2017-0002 | [`nothing_a_handler_passes_on_becomes_a_header`] |
//! | redirects to other sites | Tornado CVE-2023-28370, aiohttp CVE-2021-21330 | [`redirects_stay_on_this_site`] |
//! | script in error pages | Tornado CVE-2025-67724, Go CVE-2026-42507 | [`error_pages_show_text_only`] |
//! | secrets in error pages | | [`a_failure_shows_nothing_of_the_program`] |
//! | bodies without end | axum RUSTSEC-2022-0055 | [`no_extractor_collects_without_end`] |
//! | broken chunks that end the process | robyn 0.88 | [`a_broken_body_is_a_400_for_every_extractor`] |
//! | deep JSON | | [`deep_json_is_refused`] |
//! | many arguments, colliding or not | | [`arguments_are_counted`] |
//! | parts, headers and fields without number | Go CVE-2022-41725, CVE-2023-24536, werkzeug CVE-2023-25577, Tornado 6.5.5 | [`uploads_are_counted`] |
//! | quadratic boundary search | werkzeug CVE-2023-46136, Tornado CVE-2025-67726 | [`uploads_are_searched_once`] |
//! | a log line per malformed part | Tornado CVE-2025-47287 | [`the_first_malformed_part_ends_the_upload`] |
//! | two names for one file | | [`a_file_has_one_name`] |
//! | names that are paths | aiohttp, werkzeug | [`a_name_never_becomes_a_path`] |
//! | uploads that run as pages | | [`what_is_sent_back_is_saved_and_not_run`] |
//! | temporary files left by aborted uploads | multer CVE-2025-47935, CVE-2026-2359 | `web_uploads` |
//! | nameless cookies that forge a prefix | werkzeug CVE-2023-23934 | [`cookies_cannot_forge_a_prefix`] |
//! | cookies without number, quadratic quotes | Go CVE-2025-58186, Tornado CVE-2024-7592 | [`cookies_are_counted_and_read_once`] |

use std::collections::HashMap;

use squall::testing::{TestResponse, TestServer};
use squall::{
    Application, Attachment, Bytes, Cookies, Error, Form, IntoResponse, Json, Query, Redirect,
    Request, Response, Result, SetCookie, Settings, StatusCode, Upload, UploadPolicy, post,
};

const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=b");

/// What a handler might pass on: the query's argument `x`.
async fn header(request: Request) -> Result<Response> {
    let mut response = Response::new(StatusCode::OK, "fine");
    response
        .headers_mut()
        .set("X-Echo", request.query_argument("x")?)?;
    Ok(response)
}

async fn location(request: Request) -> Result<Redirect> {
    Ok(Redirect::to(request.query_argument("x")?))
}

async fn anywhere(request: Request) -> Result<Redirect> {
    Ok(Redirect::external(request.query_argument("x")?))
}

async fn cookie(request: Request) -> Result<(Cookies, &'static str)> {
    let mut cookies = Cookies::default();
    let x = request.query_argument("x")?;
    cookies.set(SetCookie::new("a", x.clone()).path(format!("/{x}")))?;
    Ok((cookies, "fine"))
}

async fn attachment(request: Request) -> Result<impl IntoResponse> {
    Ok(Attachment::new(&request.query_argument("x")?, "fine"))
}

async fn failing(request: Request) -> Result<String> {
    let error = Error::bad_request("no").with_header("X-Echo", request.query_argument("x")?);
    Err(error)
}

async fn names(form: Upload) -> String {
    let names = form
        .files()
        .iter()
        .map(|file| format!("{}|{}", file.filename(), file.safe_file_name()));
    names.collect::<Vec<_>>().join(",")
}

fn server() -> TestServer {
    let app = Application::new()
        .route("/header", header)
        .route("/location", location)
        .route("/anywhere", anywhere)
        .route("/cookie", cookie)
        .route("/attachment", attachment)
        .route("/failing", failing)
        .route("/secret", async || -> Result<String> {
            Ok(std::fs::read_to_string("/no/such/secret-file")?)
        })
        .route(
            "/query",
            async |Query(map): Query<HashMap<String, String>>| map.len().to_string(),
        )
        .route("/json", post(async |_: Json<serde_json::Value>| "fine"))
        .route(
            "/form",
            post(async |_: Form<HashMap<String, String>>| "fine"),
        )
        .route("/bytes", post(async |_: Bytes| "fine"))
        .route("/text", post(async |_: String| "fine"))
        .route("/upload", post(names))
        .route("/cookies", async |cookies: Cookies| {
            let all = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            all.collect::<Vec<_>>().join("|")
        });
    TestServer::start(app)
}

#[track_caller]
fn assert_alive(server: &TestServer) {
    assert_eq!(server.get("/query?a=1").text(), "1");
}

#[test]
fn nothing_a_handler_passes_on_becomes_a_header() {
    let server = server();
    for evil in [
        "a%0d%0aX-Evil:%201",
        "a%0aX-Evil:%201",
        "a%0dX-Evil:%201",
        "a%00",
        "a%0d%0a%0d%0a<script>",
    ] {
        for target in [
            "header",
            "location",
            "anywhere",
            "cookie",
            "attachment",
            "failing",
        ] {
            let answer = server.get(&format!("/{target}?x={evil}"));
            let evil_ones = answer.headers.iter().filter(|(name, value)| {
                name.eq_ignore_ascii_case("x-evil") || value.contains(['\r', '\n', '\0'])
            });
            assert_eq!(evil_ones.count(), 0, "{target}, {evil}: {answer:?}");
            assert!(
                !answer.text().contains("<script>"),
                "{target}, {evil}: {answer:?}"
            );
        }
    }
    // Attributes of a cookie cannot be added, either.
    assert_eq!(server.get("/cookie?x=a;%20Domain=evil.test").status, 500);
    let answer = server.get("/attachment?x=%22;%20filename=%22evil.exe");
    let disposition = answer.header("content-disposition");
    assert_eq!(
        disposition,
        Some("attachment; filename=\"_; filename=_evil.exe\"")
    );
}

#[test]
fn redirects_stay_on_this_site() {
    let server = server();
    for target in [
        "//evil.test",
        "///evil.test",
        "/%5cevil.test",
        "%5c%5cevil.test",
        "https://evil.test",
        "https:evil.test",
        "javascript:alert(1)",
        "data:text/html,x",
        "/%09/evil.test",
        "%20//evil.test",
        "",
    ] {
        let answer = server.get(&format!("/location?x={target}"));
        assert_eq!(
            (answer.status, answer.header("location")),
            (500, None),
            "{target}"
        );
    }
    for target in ["/", "/a?b=//c", "a/b", "?x"] {
        let answer = server.get(&format!("/location?x={}", target.replace('?', "%3f")));
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some(target))
        );
    }
}

#[test]
fn error_pages_show_text_only() {
    let server = server();
    let page = ("Accept", "text/html");
    let script = "<script>alert(1)</script>\"'&";
    let answers = [
        server.send("POST", "/json", &[page, ("Content-Type", script)], b"{}"),
        server.send(
            "POST",
            "/form",
            &[page, ("Content-Type", "application/x-www-form-urlencoded")],
            b"%3Cscript%3E=%ff",
        ),
        server.send("GET", "/query?%3Cscript%3E=%ff", &[page], b""),
        server.send(
            "POST",
            "/upload",
            &[page, MULTIPART],
            b"--b\r\n<script>\r\n\r\n--b--",
        ),
        server.send("GET", "/%3Cscript%3E", &[page], b""),
    ];
    for answer in answers {
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(!answer.text().contains("<script"), "{}", answer.text());
    }
}

#[test]
fn a_failure_shows_nothing_of_the_program() {
    let server = server();
    for accept in ["text/html", "application/json"] {
        let answer = server.send("GET", "/secret", &[("Accept", accept)], b"");
        assert_eq!(answer.status, 500);
        assert!(
            !answer.text().contains("secret-file") && !answer.text().contains("No such"),
            "{answer:?}"
        );
    }
}

/// A body in chunks that never ends.
fn endless(server: &TestServer, target: &str, kind: &str) -> TestResponse {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut request = head.into_bytes();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..64 {
        request.extend_from_slice(chunk.as_bytes());
    }
    TestResponse::parse(&server.raw(&request))
}

const EXTRACTORS: [(&str, &str); 5] = [
    ("/json", "application/json"),
    ("/form", "application/x-www-form-urlencoded"),
    ("/bytes", "a/b"),
    ("/text", "text/plain"),
    ("/upload", "multipart/form-data; boundary=b"),
];

#[test]
fn no_extractor_collects_without_end() {
    let server = server();
    for (target, kind) in EXTRACTORS {
        assert_eq!(endless(&server, target, kind).status, 413, "{target}");
    }
    assert_alive(&server);
}

#[test]
fn a_broken_body_is_a_400_for_every_extractor() {
    let server = server();
    for (target, kind) in EXTRACTORS {
        for body in [
            "zz\r\n",
            "-1\r\n\r\n",
            "5\r\nabcdefg\r\n0\r\n\r\n",
            "\r\n",
            "ffffffffffffffffff\r\n",
        ] {
            let request = format!(
                "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            );
            let answer = TestResponse::parse(&server.raw(request.as_bytes()));
            assert_eq!(answer.status, 400, "{target}: {body:?}");
        }
    }
    assert_alive(&server);
}

#[test]
fn deep_json_is_refused() {
    let server = server();
    for open in ["[", "{\"a\":"] {
        let body = open.repeat(100_000);
        let answer = server.send(
            "POST",
            "/json",
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        );
        assert_eq!(
            (answer.status, answer.json()["reason"].as_str()),
            (400, Some("syntax"))
        );
    }
    assert_alive(&server);
}

#[test]
fn arguments_are_counted() {
    let server = server();
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let many: String = (0..1001).map(|n| format!("{n}&")).collect();
    for body in [many, "a=1&".repeat(1001), "&".repeat(2_000_000) + "a"] {
        let answer = server.send("POST", "/form", &[form], body.as_bytes());
        let expected = if body.starts_with("&&") { 200 } else { 400 };
        assert_eq!(answer.status, expected, "{}", answer.text());
    }
    for (arguments, expected) in [(1000, 200), (1001, 400)] {
        let query: String = (0..arguments).map(|n| format!("{n}&")).collect();
        let answer = server.get(&format!("/query?{query}"));
        assert_eq!(answer.status, expected, "{}", answer.text());
    }
    assert_alive(&server);
}

fn upload(server: &TestServer, body: &[u8]) -> TestResponse {
    server.send("POST", "/upload", &[MULTIPART], body)
}

const FIELD: &str = "--b\r\nContent-Disposition: form-data; name=a\r\n";
const FILE: &str = "--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n";

#[test]
fn uploads_are_counted() {
    let server = server();
    for (body, setting) in [
        (
            format!("{FIELD}\r\n\r\n").repeat(1001),
            "uploads.limits.parts",
        ),
        (format!("{FILE}\r\n\r\n").repeat(101), "uploads.files"),
        (
            format!("{FIELD}{}\r\n", "X: y\r\n".repeat(33)),
            "uploads.limits.headers",
        ),
        (
            format!("{FIELD}X: {}\r\n", "y".repeat(20_000)),
            "uploads.limits.header_bytes",
        ),
        ("x".repeat(20_000), "uploads.limits.preamble_bytes"),
        (
            format!("{FIELD}\r\n{}", "y".repeat(1_100_000)),
            "uploads.fields",
        ),
        (
            format!("{FIELD}\r\n{}\r\n", "y".repeat(100_000)).repeat(11),
            "uploads.fields",
        ),
    ] {
        let answer = upload(&server, body.as_bytes());
        assert_eq!(answer.status, 413, "{setting}: {}", answer.text());
        assert!(answer.text().contains(setting), "{}", answer.text());
    }
    assert_alive(&server);
}

#[test]
fn uploads_are_searched_once() {
    // Were the search quadratic, each would take hours and the answer would not come.
    let server = server();
    for flood in ["\r", "\r\n", "\r\n--", "\r\n--b x", "\r\n--bb", "\n--b"] {
        let data = flood.repeat(2_000_000 / flood.len());
        let body = format!("{FILE}\r\n{data}\r\n--b--\r\n");
        let answer = upload(&server, body.as_bytes());
        assert_eq!(answer.text(), "x|x", "{flood:?}");
    }
    let padded = format!("{FILE}\r\n\r\n--b{}", " ".repeat(2_000_000));
    assert_eq!(upload(&server, padded.as_bytes()).status, 400);
}

#[test]
fn the_first_malformed_part_ends_the_upload() {
    let server = server();
    let body = "--b\r\nnonsense\r\n\r\n\r\n".repeat(1000);
    let answer = upload(&server, body.as_bytes());
    assert_eq!(
        (answer.status, answer.json()["reason"].as_str()),
        (400, Some("syntax"))
    );
    assert_alive(&server);
}

#[test]
fn a_file_has_one_name() {
    let server = server();
    let named = |names: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=f; {names}\r\n\r\n1\r\n--b--\r\n")
    };
    let answer = upload(
        &server,
        named("filename=a.png; filename*=UTF-8''evil.php").as_bytes(),
    );
    assert_eq!(answer.text(), "a.png|a.png");
    for twice in [
        "filename=a.png; filename=evil.php",
        "filename=\"a.png\"; FILENAME=\"evil.php\"",
    ] {
        assert_eq!(upload(&server, named(twice).as_bytes()).status, 400);
    }
}

#[test]
fn a_name_never_becomes_a_path() {
    let server = server();
    for (name, safe) in [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/passwd", "passwd"),
        ("C:\\autoexec.bat", "autoexec.bat"),
        ("..", "file"),
        ("a/..", "file"),
        ("CON.txt", "_CON.txt"),
        ("x.txt:evil.exe", "x.txt_evil.exe"),
        (".htaccess", "htaccess"),
    ] {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=f; filename=\"{name}\"\r\n\r\n1\r\n--b--\r\n"
        );
        assert_eq!(
            upload(&server, body.as_bytes()).text(),
            format!("{name}|{safe}")
        );
    }
}

#[test]
fn what_is_sent_back_is_saved_and_not_run() {
    let answer = server().get("/attachment?x=page.html");
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"page.html\"")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let mut settings = Settings::default();
    settings.uploads = UploadPolicy::new().extensions(["png"]);
    let app = Application::new()
        .settings(settings)
        .route("/", post(names));
    let server = TestServer::start(app);
    let body =
        "--b\r\nContent-Disposition: form-data; name=f; filename=\"a.svg\"\r\n\r\n1\r\n--b--\r\n";
    assert_eq!(
        server
            .send("POST", "/", &[MULTIPART], body.as_bytes())
            .status,
        415
    );
}

#[test]
fn cookies_cannot_forge_a_prefix() {
    let server = server();
    let send = |value| {
        server
            .send("GET", "/cookies", &[("Cookie", value)], b"")
            .text()
    };
    assert_eq!(send("=__Host-id=evil; a=1"), "a=1");
    assert_eq!(send("\t=__Secure-id=evil"), "");
    assert_eq!(send("__Host-id=1; =__Host-id=2"), "__Host-id=1");
}

#[test]
fn cookies_are_counted_and_read_once() {
    let server = server();
    let send = |value: &str| server.send("GET", "/cookies", &[("Cookie", value)], b"");
    assert_eq!(send(&"a=1;".repeat(5000)).text().split('|').count(), 256);
    let quotes = format!("a=\"{}\"", "\\".repeat(60_000));
    assert_eq!(send(&quotes).text().len(), 60_002);
}
