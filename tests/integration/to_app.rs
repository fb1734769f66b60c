//! `AsyncHttpClient::to_app`: the whole client, and an application that nobody listens for.

use std::time::Duration;

use squall::client::{CookieJar, HttpClient, Phase, Proxy};
use squall::testing::TestClock;
use squall::{
    Application, AsyncHttpClient, Body, BodyError, Bytes, Cookies, HttpRequest, IoLoop, Path,
    Redirect, Request, Response, Result, Router, StatusCode, any, sleep,
};
use squall_tests::{finished, on_two_lanes};

/// The body, while it comes.
async fn echo(mut request: Request) -> Response {
    Response::new(StatusCode::OK, request.take_body())
}

async fn set() -> Result<Response> {
    let mut response = Response::new(StatusCode::FOUND, "");
    response.headers_mut().append("Set-Cookie", "taste=sweet")?;
    response.headers_mut().append("Location", "/taste")?;
    Ok(response)
}

async fn taste(cookies: Cookies) -> String {
    cookies.get("taste").unwrap_or("none").to_owned()
}

fn application() -> Application {
    Application::new()
        .route("/", async || "hello")
        .route("/echo", any(echo))
        .route("/set", set)
        .route("/taste", taste)
        .route("/moved", async || Redirect::to("/"))
        .host(
            "other.test",
            Router::new().route("/", async || "another host"),
        )
        .route("/late/{ms}", async |Path(ms): Path<u64>| {
            sleep(Duration::from_millis(ms)).await;
            "late"
        })
}

#[test]
fn every_host_is_the_application() {
    on_two_lanes(async {
        let client = AsyncHttpClient::to_app(application());
        for (url, body) in [
            ("http://any.invalid/", "hello"),
            ("https://any.invalid/", "hello"),
            ("http://other.test:81/", "another host"),
            ("http://any.invalid/moved", "hello"),
        ] {
            let mut response = client.fetch(url).await.expect("an answer");
            assert_eq!(response.text().await.expect("text"), body, "{url}");
            assert_eq!(response.remote_addr(), None);
        }
        let missing = client.fetch("http://any.invalid/missing").await;
        assert_eq!(missing.expect("an answer").code(), 404);
    });
}

#[test]
fn bodies_stream_both_ways_on_connections_that_are_kept() {
    on_two_lanes(async {
        let client = AsyncHttpClient::to_app(application());
        for round in 0..5 {
            let mut left = 1000;
            let body = Body::from_fn(move || {
                left -= 1;
                let chunk = (left >= 0).then(|| Ok::<_, BodyError>(Bytes::from(vec![b'x'; 5000])));
                async move { chunk }
            });
            let request = HttpRequest::post("http://app.test/echo").body(body);
            let mut response = client.fetch(request).await.expect("an answer");
            assert_eq!(response.reused(), round > 0);
            let mut length = 0;
            while let Some(chunk) = response.chunk().await.expect("a body") {
                length += chunk.len();
            }
            assert_eq!(length, 5_000_000);
        }
        assert_eq!(client.stats().open, 1);
    });
}

#[test]
fn the_clients_settings_hold() {
    let jar = CookieJar::new();
    let builder = AsyncHttpClient::builder()
        .cookie_jar(jar)
        .to_app(application());
    let client = HttpClient::with(builder).expect("a loop");
    let answer = client.fetch("http://app.test/set").expect("an answer");
    assert_eq!(
        (answer.body(), answer.history().len()),
        (Some(&b"sweet"[..]), 1)
    );
}

#[test]
fn no_proxy_is_asked() {
    let proxy = || Proxy::new("http://user:secret@proxy.test").expect("an address");
    let told = async |request: Request| {
        let field = request.headers().contains("proxy-authorization");
        format!("{} {field}", request.target())
    };
    let application = Application::new().route("/", told);
    on_two_lanes(async move {
        let client = AsyncHttpClient::builder().to_app(application);
        let client = client.proxy(proxy()).build();
        for request in [
            HttpRequest::get("http://app.test/"),
            HttpRequest::get("http://app.test/").proxy(proxy()),
        ] {
            let mut response = client.fetch(request).await.expect("an answer");
            assert_eq!(response.text().await.expect("text"), "/ false");
        }
    });
}

#[test]
fn time_is_the_loops() {
    let clock = TestClock::new();
    let io_loop = IoLoop::builder()
        .lanes(1)
        .clock(&clock)
        .build()
        .expect("a loop");
    let fetched = io_loop.spawn(async {
        let client = AsyncHttpClient::to_app(application());
        let slow = HttpRequest::get("http://app.test/late/5000");
        let slow = client
            .fetch(slow.request_timeout(Duration::from_secs(1)))
            .await;
        let patient = client.fetch("http://app.test/late/5000").await;
        (
            slow.expect_err("too late").is_timeout(),
            patient.expect("an answer").code(),
        )
    });
    while !fetched.is_finished() {
        clock.advance(Duration::from_millis(100));
        io_loop.run(async {}).expect("the loop has seen the time");
    }
    assert_eq!(finished(&io_loop, fetched), (true, 200));
}

#[test]
fn an_application_that_is_not_complete_is_an_error() {
    on_two_lanes(async {
        let twice = Application::new()
            .route("/", async || "")
            .route("/", async || "");
        let client = AsyncHttpClient::to_app(twice);
        for _ in 0..2 {
            let error = client
                .fetch("http://app.test/")
                .await
                .expect_err("no application");
            assert_eq!(error.phase(), Phase::Connect);
            assert!(error.to_string().contains("not complete"), "{error}");
        }
    });
}
