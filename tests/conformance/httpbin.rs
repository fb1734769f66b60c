//! httpbin, as others run it: under gunicorn.

use serde_json::{Value, json};
use squall::client::{AsyncHttpClient, CookieJar, HttpRequest, Multipart};
use squall::{Body, BodyError, Bytes};
use squall_tests::on_two_lanes;

use super::servers::Server;
use super::{noise, program, run};

fn httpbin() -> Option<Server> {
    let mut python = program("python3", &["--version"])?;
    python.args(["-c", "import gunicorn, httpbin"]);
    if !run(python, b"").status.success() {
        eprintln!("skipped: python3 has not both of gunicorn and httpbin");
        return None;
    }
    Server::start(
        "python3",
        &["--version"],
        |_, _, _| String::new(),
        |python, dir, _, port| {
            let bind = format!("127.0.0.1:{port}");
            python
                .current_dir(dir)
                .args(["-m", "gunicorn", "--threads", "4"]);
            python.args(["--keep-alive", "30", "--bind", &bind, "httpbin:app"]);
        },
    )
}

async fn json_of(client: &AsyncHttpClient, request: HttpRequest) -> Value {
    let response = client.fetch(request).await.expect("an answer");
    let mut response = response.rethrow().expect("a good status");
    response.json().await.expect("JSON")
}

#[test]
fn httpbin_under_gunicorn_understands_and_is_understood() {
    let Some(server) = httpbin() else { return };
    let base = server.url("");
    on_two_lanes(async move {
        let client = AsyncHttpClient::builder()
            .cookie_jar(CookieJar::new())
            .build();
        let at = |path: &str| format!("{base}{path}");

        let query = HttpRequest::get(at("/get")).query([("a", "b c"), ("ä", "ü&=")]);
        let seen = json_of(&client, query.header("X-A", "1")).await;
        assert_eq!(seen["args"], json!({ "a": "b c", "ä": "ü&=" }));
        assert_eq!(seen["headers"]["X-A"], "1");
        for (name, body) in [("post", "x"), ("put", "y"), ("patch", "z"), ("delete", "")] {
            let method = name.to_uppercase().parse().expect("a method");
            let request = HttpRequest::new(at(&format!("/{name}"))).method(method);
            assert_eq!(json_of(&client, request.body(body)).await["data"], body);
        }

        let post = || HttpRequest::post(at("/post"));
        let seen = json_of(&client, post().json(&json!({ "a": [1, "ä"] }))).await;
        assert_eq!(seen["json"], json!({ "a": [1, "ä"] }));
        let seen = json_of(&client, post().form([("a", "b c"), ("ä", "1+1")])).await;
        assert_eq!(seen["form"], json!({ "a": "b c", "ä": "1+1" }));
        let form =
            Multipart::new()
                .text("key", "v")
                .bytes("file", "ä \"x\".txt", "text/plain", "content");
        let seen = json_of(&client, post().multipart(form)).await;
        assert_eq!(
            (&seen["form"]["key"], &seen["files"]["file"]),
            (&json!("v"), &json!("content"))
        );
        let mut pieces = vec![Bytes::from_static(b"piece "); 1000].into_iter();
        let stream = Body::from_fn(move || {
            let piece = pieces.next().map(Ok::<_, BodyError>);
            async move { piece }
        });
        let seen = json_of(&client, post().body(stream)).await;
        assert_eq!(seen["data"], "piece ".repeat(1000));
        assert_eq!(seen["headers"]["Transfer-Encoding"], "chunked");
        let sent = noise(500_000);
        let seen = json_of(&client, post().body(sent.clone())).await;
        // It shows what is no text in base64.
        assert_eq!(
            seen["data"].as_str().map(str::len),
            Some(sent.len().div_ceil(3) * 4 + 37)
        );

        for (path, coding) in [
            ("/gzip", "gzipped"),
            ("/deflate", "deflated"),
            ("/brotli", "brotli"),
        ] {
            assert_eq!(
                json_of(&client, HttpRequest::get(at(path))).await[coding],
                true
            );
        }
        for credentials in [
            "/basic-auth/me/secret",
            "/digest-auth/auth/me/secret/MD5",
            "/digest-auth/auth/me/secret/SHA-256",
        ] {
            let get = || HttpRequest::get(at(credentials));
            let known = if credentials.starts_with("/basic") {
                get().basic_auth("me", "secret")
            } else {
                get().digest_auth("me", "secret")
            };
            assert_eq!(json_of(&client, known).await["authenticated"], true);
            let unknown = client.fetch(get()).await.expect("an answer");
            assert_eq!(unknown.code(), 401);
        }

        let cookies = json_of(&client, HttpRequest::get(at("/cookies/set?taste=sweet"))).await;
        assert_eq!(cookies["cookies"]["taste"], "sweet");
        let moved = client.fetch(at("/redirect/5")).await.expect("an answer");
        assert_eq!((moved.code(), moved.history().len()), (200, 5));
        let mut lines = client.fetch(at("/stream/20")).await.expect("an answer");
        assert_eq!(lines.text().await.expect("text").lines().count(), 20);
        let mut drips = client
            .fetch(at("/drip?numbytes=5&duration=0.2"))
            .await
            .expect("an answer");
        assert_eq!(drips.bytes().await.expect("a body").len(), 5);
        let mut bytes = client
            .fetch(at("/stream-bytes/100000?chunk_size=777"))
            .await
            .expect("an answer");
        assert_eq!(bytes.bytes().await.expect("a body").len(), 100_000);
        let teapot = client.fetch(at("/status/418")).await.expect("an answer");
        assert_eq!(teapot.code(), 418);
        let range = HttpRequest::get(at("/range/100")).header("Range", "bytes=10-19");
        let mut part = client.fetch(range).await.expect("an answer");
        assert_eq!(
            (part.code(), part.bytes().await.expect("a body").len()),
            (206, 10)
        );
    });
}
