//! The middleware that comes with the house, at the wire.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall::middleware::{
    BasicAuth, ConcurrencyLimit, Cors, Metrics, RateLimit, RequestId, RequestIds, SecurityHeaders,
    TraceContext, Traces,
};
use squall::testing::{TestResponse, TestServer};
use squall::{Application, AsyncHttpClient, Error, HttpRequest, IoLoop, Method, Request, any};
use squall_loop::TestClock;
use squall_loop::sync::Event;
use squall_tests::on_two_lanes;

fn application() -> Application {
    Application::new()
        .route("/", any(async || "done"))
        .route("/fail", async || {
            Err::<(), _>(Error::bad_gateway("it failed"))
        })
        .route("/item/{id}", async || "item")
}

fn listed() -> Cors {
    Cors::origins(["https://app.example", "http://localhost:3000"])
        .methods([Method::GET, Method::PUT])
        .allow_headers(["Content-Type", "X-Token"])
        .expose_headers(["X-Total"])
        .credentials(true)
        .private_network(true)
}

fn all<'a>(answer: &'a TestResponse, name: &str) -> Vec<&'a str> {
    (answer.headers.iter())
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}

#[test]
fn a_preflight_is_answered_with_what_is_allowed() {
    let server = TestServer::start(application().middleware(listed()));
    let ask = |headers: &[(&str, &str)]| server.send("OPTIONS", "/", headers, b"");
    let answer = ask(&[
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "x-token,content-type"),
        ("Access-Control-Request-Private-Network", "true"),
    ]);
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "Content-Type, X-Token"),
        ("access-control-allow-private-network", "true"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(
        all(&answer, "vary"),
        [
            "Origin",
            "Access-Control-Request-Method, Access-Control-Request-Headers"
        ]
    );
    for (origin, method, headers, why) in [
        ("https://evil.example", "GET", "", "Cors::origins"),
        ("https://app.example.evil", "GET", "", "Cors::origins"),
        ("null", "GET", "", "Cors::origins"),
        ("https://app.example", "DELETE", "", "Cors::methods"),
        ("https://app.example", "get", "", "Cors::methods"),
        (
            "https://app.example",
            "PUT",
            "X-Token, X-Evil",
            "Cors::allow_headers",
        ),
    ] {
        let answer = ask(&[
            ("Origin", origin),
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", headers),
        ]);
        assert_eq!(answer.status, 403, "{origin} {method}");
        assert!(answer.text().contains(why), "{}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert!(all(&answer, "vary").contains(&"Origin"));
    }
    // What is no preflight is answered by the routes.
    let plain = ask(&[("Origin", "https://app.example")]);
    assert_eq!((plain.status, plain.text().as_str()), (200, "done"));
}

#[test]
fn only_named_origins_may_read_and_they_may_act() {
    let server = TestServer::start(application().middleware(listed()));
    let from = |method: &str, origin: &str| server.send(method, "/", &[("Origin", origin)], b"");
    let named = from("GET", "http://localhost:3000");
    assert_eq!(
        named.header("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    assert_eq!(
        named.header("access-control-expose-headers"),
        Some("X-Total")
    );
    assert_eq!(
        named.header("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(named.header("vary"), Some("Origin"));
    let other = from("GET", "https://evil.example");
    assert_eq!((other.status, other.header("vary")), (200, Some("Origin")));
    assert_eq!(other.header("access-control-allow-origin"), None);
    assert_eq!(other.header("access-control-allow-credentials"), None);
    assert_eq!(server.get("/").header("vary"), Some("Origin"));
    assert_eq!(from("PUT", "http://localhost:3000").status, 200);
    assert_eq!(from("PUT", "https://evil.example").status, 403);
    // An error is as readable as any answer.
    let headers = [("Origin", "https://app.example")];
    let failed = server.send("GET", "/fail", &headers, b"");
    assert_eq!(failed.status, 502);
    assert_eq!(
        failed.header("access-control-allow-origin"),
        Some("https://app.example")
    );
}

#[test]
fn anyone_may_read_but_never_with_cookies_and_not_act() {
    let server = TestServer::start(application().middleware(Cors::any()));
    let headers = [("Origin", "https://any.example")];
    let answer = server.send("GET", "/", &headers, b"");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.header("vary"), None);
    assert_eq!(server.send("POST", "/", &headers, b"").status, 403);
    let by_function = Cors::origin_if(|origin| origin == "https://any.example");
    let server = TestServer::start(application().middleware(by_function));
    assert_eq!(server.send("POST", "/", &headers, b"").status, 200);
    for (cors, why) in [
        (
            Cors::any().credentials(true),
            "Cors::any cannot allow credentials",
        ),
        (
            Cors::origins(["app.example"]),
            "\"app.example\" is no origin",
        ),
    ] {
        let error = application().middleware(cors).listen("127.0.0.1:0");
        let error = error.expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn security_headers_are_added_unless_a_handler_has_its_own() {
    let own = async || ([("X-Frame-Options", "DENY")], "own");
    let headers = SecurityHeaders::default()
        .without("Referrer-Policy")
        .set("Permissions-Policy", "camera=()")
        .hsts(Duration::from_secs(3600));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = squall::tls::Tls::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let application = || application().route("/own", own).middleware(headers.clone());
    let server = TestServer::start(application());
    let answer = server.get("/own");
    for (name, value) in [
        ("x-content-type-options", Some("nosniff")),
        ("x-frame-options", Some("DENY")),
        ("content-security-policy", Some("frame-ancestors 'self'")),
        ("cross-origin-opener-policy", Some("same-origin")),
        ("permissions-policy", Some("camera=()")),
        ("referrer-policy", None),
        ("strict-transport-security", None),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert_eq!(all(&answer, "x-frame-options").len(), 1);
    assert_eq!(
        server.get("/lost").header("x-frame-options"),
        Some("SAMEORIGIN")
    );
    let secure = application().listen_tls("127.0.0.1:0", tls.expect("a configuration"));
    let secure = secure.expect("a free port");
    let url = format!("https://{}/", secure.local_addr().expect("an address"));
    let _secure = TestServer::start(secure);
    let answer = on_two_lanes(async move {
        let request = HttpRequest::get(url).validate_cert(false);
        AsyncHttpClient::new()
            .fetch(request)
            .await
            .expect("an answer")
    });
    let hsts = answer.headers().get("strict-transport-security");
    assert_eq!(hsts, Some("max-age=3600"));
    let bad = SecurityHeaders::default().set("X-Bad", "a\r\nb");
    assert!(
        Application::new()
            .middleware(bad)
            .listen("127.0.0.1:0")
            .is_err()
    );
}

#[test]
fn a_request_has_an_id_and_only_trusted_ones_bring_theirs() {
    let show = async |id: RequestId, request: Request| {
        let passed_on = request.headers().get("x-request-id").unwrap_or_default();
        format!("{id} {passed_on}")
    };
    let application = |ids: RequestIds| Application::new().route("/", show).middleware(ids);
    let server = TestServer::start(application(RequestIds::new()));
    let answer = server.send("GET", "/", &[("X-Request-Id", "mine")], b"");
    let id = answer.header("x-request-id").unwrap_or_default().to_owned();
    assert_eq!(answer.text(), format!("{id} {id}"));
    assert!(id.len() == 32 && id != "mine", "{id}");
    assert_ne!(server.get("/").header("x-request-id"), Some(id.as_str()));
    assert!(server.get("/lost").header("x-request-id").is_some());
    let trusting = RequestIds::new().accept_if(|request| request.headers().contains("x-proxy"));
    let server = TestServer::start(application(trusting));
    for (id, proxied, taken) in [
        ("a-B_c.9", true, true),
        ("a-B_c.9", false, false),
        ("with space", true, false),
        ("<script>", true, false),
        ("", true, false),
        (&"x".repeat(65), true, false),
    ] {
        let headers = [("X-Request-Id", id), ("X-Proxy", "1")];
        let sent = if proxied { &headers[..] } else { &headers[..1] };
        let answer = server.send("GET", "/", sent, b"");
        assert_eq!(answer.header("x-request-id") == Some(id), taken, "{id}");
    }
}

#[test]
fn too_much_is_429_until_the_bucket_has_filled() {
    let clock = TestClock::new();
    let io_loop = IoLoop::builder().lanes(1).clock(&clock).build();
    let by_key = |request: &Request| request.headers().get("x-key").map(str::to_owned);
    let limit = RateLimit::new(2, Duration::from_secs(10)).key(by_key);
    let server = TestServer::start_on(io_loop.expect("a loop"), application().middleware(limit));
    let ask = |key: &str| server.send("GET", "/", &[("X-Key", key)], b"");
    for (remaining, reset) in [(1, 5), (0, 10)] {
        let answer = ask("a");
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"default\";q=2;w=10")
        );
        let expected = format!("\"default\";r={remaining};t={reset}");
        assert_eq!(answer.header("ratelimit"), Some(expected.as_str()));
    }
    let refused = ask("a");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=10"));
    assert!(refused.text().contains("setting: RateLimit"));
    assert_eq!(ask("b").status, 200);
    assert_eq!(
        server.get("/").header("ratelimit"),
        None,
        "no key, no limit"
    );
    clock.advance(Duration::from_secs(5));
    assert_eq!(ask("a").status, 200);
    assert_eq!(ask("a").status, 429);
    let limit = RateLimit::new(1, Duration::from_secs(3600));
    let server = TestServer::start(application().middleware(limit));
    assert_eq!(
        (server.get("/").status, server.get("/lost").status),
        (200, 429)
    );
}

#[test]
fn who_finds_the_line_full_or_waits_too_long_gets_503() {
    let (begun, end) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let handler = {
        let (begun, end) = (begun.clone(), end.clone());
        move || {
            let (begun, end) = (begun.clone(), end.clone());
            async move {
                begun.set();
                end.wait().await;
                "done"
            }
        }
    };
    let limit = |queue: usize, wait: u64| {
        let limit = ConcurrencyLimit::new(1).queue(queue);
        limit.wait(Duration::from_millis(wait))
    };
    for (limit, why) in [
        (limit(0, 60_000), "ConcurrencyLimit::queue"),
        (limit(9, 1), "ConcurrencyLimit::wait"),
    ] {
        begun.clear();
        end.clear();
        let application = Application::new().route("/", handler.clone());
        let server = TestServer::start(application.middleware(limit));
        std::thread::scope(|scope| {
            let first = scope.spawn(|| server.get("/"));
            let begun = begun.clone();
            let waited = server.io_loop().run(async move { begun.wait().await });
            waited.expect("it has begun");
            let refused = server.get("/");
            assert_eq!(refused.status, 503);
            assert_eq!(refused.header("retry-after"), Some("1"));
            assert!(refused.text().contains(why), "{}", refused.text());
            end.set();
            assert_eq!(first.join().expect("an answer").text(), "done");
        });
        assert_eq!(server.get("/").text(), "done", "the permit came back");
    }
}

#[test]
fn a_trace_is_continued_and_passed_on() {
    let show = async |trace: TraceContext, request: Request| {
        let passed_on = request.headers().get("traceparent").unwrap_or_default();
        let parent = trace.parent_id().unwrap_or_default();
        let state = trace.state().unwrap_or_default().to_owned();
        format!("{trace} {passed_on} {parent} {state}")
    };
    let application = |traces: Traces| Application::new().route("/", show).middleware(traces);
    let server = TestServer::start(application(Traces::default()));
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "v=1")];
    let answer = server.send("GET", "/", &headers, b"").text();
    let parts: Vec<_> = answer.split(' ').collect();
    assert_eq!(parts[0], parts[1]);
    assert_eq!(parts[2..], [PARENT, "v=1"]);
    assert!(parts[0].starts_with(&format!("00-{TRACE}-")), "{answer}");
    assert!(!parts[0].contains(PARENT), "{answer}");
    for (server, headers) in [
        (&server, &[][..]),
        (&server, &[("traceparent", "00-zz")]),
        (&server, &[headers[0], headers[0]]),
        (
            &TestServer::start(application(Traces::default().restart(true))),
            &headers,
        ),
    ] {
        let answer = server.send("GET", "/", headers, b"").text();
        assert!(!answer.contains(TRACE), "{answer}");
        assert!(
            answer.starts_with("00-") && answer.ends_with("-01  "),
            "{answer}"
        );
    }
}

#[test]
fn figures_are_shown_as_prometheus_reads_them() {
    let noted = Arc::new(Mutex::new(7.5));
    let gauge = noted.clone();
    let metrics = Metrics::new().gauge("my figure", "Mine.", move || {
        *gauge.lock().expect("no panic")
    });
    let server = TestServer::start(
        application()
            .route("/metrics", metrics.route())
            .middleware(metrics),
    );
    for target in [
        "/",
        "/",
        "/item/1",
        "/item/2",
        "/fail",
        "/lost",
        "/lost/too",
    ] {
        server.get(target);
    }
    server.send("BREW", "/", &[], b"");
    server.send("POST", "/fail", &[], b"");
    let page = server.get("/metrics");
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = page.text();
    for line in [
        "squall_requests_total{route=\"/\",method=\"GET\",status=\"200\"} 2",
        "squall_requests_total{route=\"/\",method=\"other\",status=\"200\"} 1",
        "squall_requests_total{route=\"/item/{id}\",method=\"GET\",status=\"200\"} 2",
        "squall_requests_total{route=\"/fail\",method=\"GET\",status=\"502\"} 1",
        "squall_requests_total{route=\"\",method=\"GET\",status=\"404\"} 2",
        "squall_requests_total{route=\"\",method=\"POST\",status=\"405\"} 1",
        "squall_request_duration_seconds_count{route=\"/item/{id}\",method=\"GET\"} 2",
        "squall_request_duration_seconds_bucket{route=\"/\",method=\"GET\",le=\"+Inf\"} 2",
        "squall_requests_in_flight 1",
        "# TYPE squall_blocked_now gauge",
        "squall_requests_shed_total 0",
        "my_figure 7.5",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "no {line} in:\n{text}"
        );
    }
    let lanes = text
        .lines()
        .filter(|line| line.starts_with("squall_lane_connections{"));
    assert_eq!(lanes.count(), 2);
    // Each series once, and each family told about before it.
    let mut series: Vec<_> = (text.lines().filter(|line| !line.starts_with('#')))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, _)| name)
        .collect();
    series.sort_unstable();
    let count = series.len();
    series.dedup();
    assert_eq!(series.len(), count);
}

#[test]
fn a_password_opens_and_nothing_else_does() {
    let auth = BasicAuth::user("my \"realm\"\r\n", "ada", "a:b");
    let server = TestServer::start(application().middleware(auth));
    let ask = |value: &str| server.send("GET", "/", &[("Authorization", value)], b"");
    // "ada:a:b"
    assert_eq!(ask("Basic YWRhOmE6Yg==").text(), "done");
    assert_eq!(ask("basic YWRhOmE6Yg==").status, 200);
    for bad in [
        "Basic YWRhOmE6Yw==",
        "Basic YmRhOmE6Yg==",
        "Basic YWRh",
        "Basic !",
        "Bearer YWRhOmE6Yg==",
        "Basic",
        "",
    ] {
        let answer = ask(bad);
        assert_eq!(answer.status, 401, "{bad}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Basic realm=\"my realm\", charset=\"UTF-8\"")
        );
    }
    assert_eq!(server.get("/lost").status, 401);
}
