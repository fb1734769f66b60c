//! Routers: nesting, merging, hosts, scopes of middleware and state, names, conflicts.

use squall::testing::TestServer;
use squall::{
    AppHandle, Application, Error, FromRequest, Json, Next, Path, Request, Response, Result,
    Router, Settings, State, TrailingSlash, get, post,
};

async fn hello() -> &'static str {
    "hello"
}

async fn params(request: Request) -> String {
    let params: Vec<_> = (request.raw_params())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{} {}", request.route().unwrap_or("-"), params.join(","))
}

/// A middleware that leaves its name in the answer, outermost first.
macro_rules! trace {
    ($name:ident) => {
        async fn $name(request: Request, next: Next) -> Response {
            let mut response = next.run(request).await;
            let inner = response.headers().get("x-trace").unwrap_or_default();
            let trace = format!("{} {inner}", stringify!($name));
            let set = response.headers_mut().set("X-Trace", trace.trim());
            set.expect("a valid header");
            response
        }
    };
}

trace!(app);
trace!(outer);
trace!(inner);
trace!(own);

fn get_of(server: &TestServer, target: &str, host: &str) -> (u16, String) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = squall::testing::TestResponse::parse(&server.raw(request.as_bytes()));
    (answer.status, answer.text())
}

#[test]
fn nested_and_merged_routes_have_their_prefix() {
    let things = Router::new()
        .route("/", get(params).post(params))
        .route("/{id:[0-9]+}", params)
        .route("/{id:[0-9]+}/{*rest}", params);
    let server = TestServer::start(
        Application::new()
            .nest(
                "/api/{version}",
                Router::new().nest("/things", things).route("/x", params),
            )
            .nest(
                "/slashed/",
                Router::new().route("/", params).route("/a", params),
            )
            .merge(Router::new().route("/merged", params)),
    );
    for (method, target, status, says) in [
        (
            "GET",
            "/api/v1/things",
            200,
            "GET /api/{version}/things version=v1",
        ),
        (
            "POST",
            "/api/v1/things",
            200,
            "POST /api/{version}/things version=v1",
        ),
        (
            "GET",
            "/api/v1/things/7",
            200,
            "GET /api/{version}/things/{id:[0-9]+} version=v1,id=7",
        ),
        (
            "GET",
            "/api/v1/things/7/a/b",
            200,
            "GET /api/{version}/things/{id:[0-9]+}/{*rest} version=v1,id=7,rest=a/b",
        ),
        ("GET", "/api/v1/things/x", 404, ""),
        ("GET", "/api/v1/things/", 404, ""),
        ("GET", "/api/v1/x", 200, "GET /api/{version}/x version=v1"),
        ("GET", "/slashed/", 200, "GET /slashed/ "),
        ("GET", "/slashed", 404, ""),
        ("GET", "/slashed/a", 200, "GET /slashed/a "),
        ("GET", "/merged", 200, "GET /merged "),
    ] {
        let answer = server.send(method, target, &[], b"");
        assert_eq!(answer.status, status, "{method} {target}");
        if status == 200 {
            assert_eq!(answer.text(), says, "{method} {target}");
        }
    }
}

#[test]
fn what_matches_is_the_decoded_segment() {
    let server = TestServer::start(
        Application::new()
            .route("/ping", hello)
            .route("/a%20b/é", hello)
            .route("/files/{name}", params)
            .route("/all/{*rest}", params),
    );
    for (target, status) in [
        ("/ping", 200),
        ("/%70ing", 200),
        ("/%70%69%6e%67", 200),
        ("/pin%67?x", 200),
        ("/a%20b/%C3%A9", 200),
        ("/a%20b/%c3%a9", 200),
        ("/ping/", 404),
        ("/Ping", 404),
        ("/ping%2F", 404),
        ("/files%2Fx", 404),
        ("/files/x%2Fy", 200),
        ("/files/x/y", 404),
        ("/files/", 404),
        ("/all/x//y/", 200),
        ("/all/", 404),
        ("/%7", 400),
        ("/%zz", 400),
        ("/files/%00", 400),
        // Dot segments are never resolved, and no parameter takes one.
        ("/x/../ping", 404),
        ("/files/..", 404),
        ("/files/%2e%2E", 404),
        ("/all/../ping", 404),
        ("/all/a/%2e%2e/b", 404),
        ("/all/...", 200),
    ] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
    assert_eq!(
        server.get("/files/x%2Fy").text(),
        "GET /files/{name} name=x%2Fy"
    );
}

#[test]
fn an_absolute_target_is_routed_by_its_path_and_an_asterisk_by_nothing() {
    let server = TestServer::start(Application::new().route("/ping", hello).not_found(hello));
    let raw = |head: &str| {
        let answer = server
            .raw(format!("{head} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes());
        squall::testing::TestResponse::parse(&answer).status
    };
    assert_eq!(raw("GET http://a/ping"), 200);
    assert_eq!(raw("OPTIONS *"), 204);
}

#[test]
fn a_host_has_its_own_routes_and_falls_through() {
    let api = Router::new().route("/", params).route("/{x}", params);
    let closed = Router::new().route("/", hello).not_found(nothing_here);
    let server = TestServer::start(
        Application::new()
            .route("/", hello)
            .route("/shared", hello)
            .route("/{x}/deep", params)
            .host("api.example.com", api)
            .host(
                "{user}.example.com",
                Router::new().route("/{page}/of", params),
            )
            .host("{*any}.example.org", Router::new().route("/", params))
            .host("closed.example", closed),
    );
    for (host, target, status, says) in [
        ("api.example.com", "/", 200, "GET api.example.com/ "),
        ("API.example.com.:80", "/", 200, "GET api.example.com/ "),
        ("api.example.com", "/y", 200, "GET api.example.com/{x} x=y"),
        ("api.example.com", "/y/deep", 200, "GET /{x}/deep x=y"),
        // The stricter pattern has no such path, the next one has.
        (
            "api.example.com",
            "/p/of",
            200,
            "GET {user}.example.com/{page}/of user=api,page=p",
        ),
        (
            "ann.example.com",
            "/p/of",
            200,
            "GET {user}.example.com/{page}/of user=ann,page=p",
        ),
        ("ann.example.com:81", "/shared", 200, "hello"),
        (
            "a.b.example.org",
            "/",
            200,
            "GET {*any}.example.org/ any=a.b",
        ),
        ("example.org", "/", 200, "hello"),
        ("closed.example", "/", 200, "hello"),
        (
            "closed.example",
            "/shared",
            404,
            "{\"detail\":\"nothing here\",\"status\":404,\"title\":\"Not Found\",\"type\":\"about:blank\"}",
        ),
        ("other.example", "/p/of", 404, ""),
        ("[::1]:80", "/shared", 200, "hello"),
    ] {
        let (found, text) = get_of(&server, target, host);
        assert_eq!(found, status, "{host}{target}");
        if !says.is_empty() {
            assert_eq!(text, says, "{host}{target}");
        }
    }
    // An absolute target says which host is meant, not the field.
    let answer = server.raw(b"GET http://api.example.com/y HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n");
    assert!(String::from_utf8_lossy(&answer).ends_with("x=y"));
}

async fn nothing_here() -> Error {
    Error::not_found("nothing here")
}

async fn api_404() -> Error {
    Error::not_found("the API has no such thing")
}

#[test]
fn middleware_holds_for_its_router_from_the_outside_in() {
    let deep = Router::new()
        .route("/leaf", get(hello).middleware(own))
        .route("/plain", hello)
        .middleware(inner);
    let api = Router::new()
        .middleware(outer)
        .nest("/deep", deep)
        .route("/here", post(hello))
        .not_found(api_404);
    let server = TestServer::start(
        Application::new()
            .nest("/api", api)
            .route("/top", hello)
            .merge(Router::new().route("/merged", hello).middleware(inner))
            .middleware(app),
    );
    for (target, status, trace) in [
        ("/api/deep/leaf", 200, "app outer inner own"),
        ("/api/deep/plain", 200, "app outer inner"),
        ("/top", 200, "app"),
        ("/merged", 200, "app inner"),
        ("/api/here", 405, "app outer"),
        ("/api/nowhere", 404, "app outer"),
        ("/api/deep/nowhere", 404, "app outer inner"),
        ("/api", 404, "app outer"),
        ("/apiary", 404, "app"),
        ("/%61pi/nowhere", 404, "app outer"),
        ("/nowhere", 404, "app"),
    ] {
        let answer = server.get(target);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.header("x-trace"), Some(trace), "{target}");
    }
    let detail = |target| {
        server.get(target).json()["detail"]
            .as_str()
            .map(str::to_owned)
    };
    let own = Some("the API has no such thing".to_owned());
    assert_eq!(detail("/api/nowhere"), own);
    assert_eq!(detail("/api/deep/nowhere"), own);
    assert_eq!(detail("/nowhere"), None);
    let options = server.send("OPTIONS", "/api/here", &[], b"");
    assert_eq!(options.header("allow"), Some("POST, OPTIONS"));
    assert_eq!(options.header("x-trace"), Some("app outer"));
}

struct Word(&'static str);
struct Other(&'static str);

async fn words(State(word): State<Word>, State(other): State<Other>) -> String {
    format!("{} {}", word.0, other.0)
}

#[test]
fn state_is_the_innermost_routers_or_the_applications() {
    let inner = Router::new().route("/", words).state(Word("inner"));
    let server = TestServer::start(
        Application::new()
            .route("/", words)
            .nest("/plain", Router::new().route("/", words))
            .nest("/inner", inner)
            .state(Word("app"))
            .state(Other("other")),
    );
    for (target, says) in [
        ("/", "app other"),
        ("/plain", "app other"),
        ("/inner", "inner other"),
    ] {
        assert_eq!(server.get(target).text(), says, "{target}");
    }
}

#[test]
fn a_slash_too_many_or_too_few_is_as_the_setting_says() {
    let server = |trailing_slash| {
        let mut settings = Settings::default();
        settings.trailing_slash = trailing_slash;
        TestServer::start(
            Application::new()
                .route("/a", get(params).post(params))
                .route("/b/", params)
                .route("/c/{*rest}", params)
                .route("/{x}/evil/", params)
                .nest("/n", Router::new().route("/", params).middleware(inner))
                .settings(settings),
        )
    };
    let strict = server(TrailingSlash::Strict);
    for target in ["/a/", "/b", "/n/"] {
        assert_eq!(strict.get(target).status, 404, "{target}");
    }
    let redirect = server(TrailingSlash::Redirect);
    for (target, location) in [
        ("/a/?x=1&y", "/a?x=1&y"),
        ("/%61/", "/%61"),
        ("/b", "/b/"),
        ("/b?", "/b/?"),
        ("/n/", "/n"),
    ] {
        let answer = redirect.send("POST", target, &[], b"");
        let found = (answer.status, answer.header("location"));
        assert_eq!(found, (308, Some(location)), "{target}");
    }
    assert_eq!(redirect.get("/n/").header("x-trace"), Some("inner"));
    for (target, status) in [
        ("/a", 200),
        ("/", 404),
        ("/a//", 404),
        ("/c/", 404),
        ("//evil", 404),
        ("//evil/", 404),
        ("/c/x/", 200),
    ] {
        assert_eq!(redirect.get(target).status, status, "{target}");
    }
    let ignore = server(TrailingSlash::Ignore);
    for (target, status, says) in [
        ("/a/", 200, "GET /a "),
        ("/b", 200, "GET /b/ "),
        ("/x/evil", 200, "GET /{x}/evil/ x=x"),
        ("/n/", 200, "GET /n "),
        ("/c/x/", 200, "GET /c/{*rest} rest=x/"),
        ("/a//", 404, ""),
    ] {
        let answer = ignore.get(target);
        assert_eq!(answer.status, status, "{target}");
        if status == 200 {
            assert_eq!(answer.text(), says, "{target}");
        }
    }
    assert_eq!(ignore.send("PUT", "/a/", &[], b"").status, 405);
}

#[test]
fn no_redirect_leads_to_another_host() {
    let mut settings = Settings::default();
    settings.trailing_slash = TrailingSlash::Redirect;
    let open = Application::new()
        .route("//{host}", params)
        .route("//x/{host}/", params);
    let server = TestServer::start(open.settings(settings));
    for target in ["//evil.example/", "//x/evil"] {
        let answer = server.get(target);
        assert_eq!(
            (answer.status, answer.header("location")),
            (404, None),
            "{target}"
        );
    }
}

async fn url(app: AppHandle, Path((name, arg)): Path<(String, String)>) -> Result<String> {
    app.url(&name, (arg,))
}

#[test]
fn urls_are_built_from_names() {
    let nested = Router::new().route("/{id:[0-9]+}", get(params).name("thing"));
    let server = TestServer::start(
        Application::new()
            .nest("/things", nested)
            .route("/files/{*path}", get(params).name("file"))
            .host(
                "a.example",
                Router::new().route("/ä/{x}", get(params).name("hosted")),
            )
            .route("/url/{name}/{arg}", url),
    );
    for (target, status, says) in [
        ("/url/thing/7", 200, "/things/7"),
        ("/url/file/a%2Fb%20c", 200, "/files/a/b%20c"),
        ("/url/hosted/%25", 200, "/%C3%A4/%25"),
        ("/url/thing/x", 500, ""),
        ("/url/unknown/x", 500, ""),
    ] {
        let answer = server.get(target);
        assert_eq!(answer.status, status, "{target}");
        if status == 200 {
            assert_eq!(answer.text(), says, "{target}");
        }
    }
}

#[track_caller]
fn fault(application: Application) -> String {
    let listening = application.listen("127.0.0.1:0");
    listening.expect_err("something is wrong").to_string()
}

/// Both places of a conflict are named.
#[test]
fn conflicts_are_reported_before_the_first_request() {
    let file = file!();
    let first = line!() + 1;
    let routes = Application::new().route("/a/{x}", hello).route("/b", hello);
    let second = line!() + 1;
    let error = fault(routes.route("/a/{y}", hello).route("/b", get(hello)));
    for part in [
        format!("the route \"/a/{{y}}\" ({file}:{second}:"),
        format!("conflicts with the route \"/a/{{x}}\" ({file}:{first}:"),
        format!("the route \"GET /b\" is there twice ({file}:{first}:"),
        format!("and {file}:{second}:"),
    ] {
        assert!(error.contains(&part), "{part}: {error}");
    }
    let nested = || Router::new().route("/x", hello);
    for (application, says) in [
        (
            Application::new().route("a", hello),
            "has to begin with '/'",
        ),
        (
            Application::new().route("/{a:[}", hello),
            "the constraint \"[\"",
        ),
        (Application::new().nest("a", nested()), "the prefix \"a\""),
        (
            Application::new().nest("/a", nested()).route("/a/x", hello),
            "\"GET /a/x\" is there twice",
        ),
        (
            Application::new().host("a:80", nested()),
            "the host \"a:80\"",
        ),
        (
            Application::new().host("{x}.a", Router::new().route("/{x}", hello)),
            "both have a parameter \"x\"",
        ),
        (
            Application::new()
                .route("/a", get(hello).name("n"))
                .route("/b", get(hello).name("n")),
            "two paths are named \"n\"",
        ),
        (
            Application::new()
                .not_found(hello)
                .merge(Router::new().not_found(hello)),
            "two not_found handlers",
        ),
        (
            Application::new().route("/", words).state(Word("")),
            "needs a state of type",
        ),
        (
            Application::new().not_found(words).state(Word("")),
            "the handler not_found needs a state of type",
        ),
        (
            Application::new().route("/", twice),
            "read the body, which can be read once",
        ),
    ] {
        let error = fault(application);
        assert!(error.contains(says), "{says}: {error}");
    }
}

async fn twice(_: Json<u8>, _: String) {}

/// An extractor that fails in a nested router is rendered as anywhere.
#[test]
fn an_extractor_sees_the_parameters_of_every_level() {
    #[derive(serde::Deserialize)]
    struct Both {
        user: String,
        id: u32,
    }
    async fn both(Path(both): Path<Both>) -> String {
        format!("{} {}", both.user, both.id)
    }
    struct Key;
    impl FromRequest for Key {
        async fn from_request(request: &mut Request) -> Result<Self> {
            match request.param("user")?.as_ref() {
                "ann" => Ok(Self),
                _ => Err(Error::forbidden("not yours")),
            }
        }
    }
    async fn guarded(_: Key) -> &'static str {
        "yours"
    }
    let user = Router::new()
        .route("/photos/{id}", both)
        .route("/key", guarded);
    let server = TestServer::start(Application::new().nest("/{user}", user));
    assert_eq!(server.get("/ann/photos/7").text(), "ann 7");
    assert_eq!(server.get("/ann/photos/x").json()["field"], "id");
    assert_eq!(server.get("/ann/key").text(), "yours");
    assert_eq!(server.get("/bob/key").status, 403);
}
