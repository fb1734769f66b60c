//! Uploads that are collected: files in memory and on disk, the policy, and what is left
//! behind, which is nothing.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::time::{Duration, Instant};

use squall::settings::MultipartLimits;
use squall::testing::TestServer;
use squall::{
    Application, Body, Context, IntoRoute, Multipart, Request, RequestHandler, Result, Settings,
    State, Upload, UploadPolicy, post,
};
use squall_tests::TempDir;

const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=xyz");

/// Parts of a form: what stands in the disposition, and the data.
fn parted(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, data) in parts {
        body.extend_from_slice(b"--xyz\r\nContent-Disposition: form-data; ");
        body.extend_from_slice(disposition.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xyz--\r\n");
    body
}

struct Target(TempDir);

async fn keep(State(target): State<Target>, mut form: Upload) -> Result<String> {
    let title = form.field("title")?.to_owned();
    let file = form.take_file("file")?;
    let told = format!(
        "{title}: {:?} as {} of {}, {} bytes, on disk: {}",
        file.filename(),
        file.safe_file_name(),
        file.content_type().unwrap_or("no type"),
        file.len(),
        file.is_on_disk(),
    );
    let path = target.0.path().join("saved").join(file.safe_file_name());
    file.save_to(path).await?;
    Ok(told)
}

async fn echo(mut form: Upload) -> Result<Body> {
    Ok(form.take_file("file")?.into_body().await?)
}

async fn sizes(mut request: Request) -> Result<String> {
    let files = request.files().await?;
    let sizes: Vec<_> = files.iter().map(|file| file.len().to_string()).collect();
    Ok(sizes.join(" "))
}

#[derive(serde::Deserialize)]
struct Fields {
    n: u8,
    tags: Vec<String>,
}

async fn fields(form: Upload) -> Result<String> {
    let Fields { n, tags } = form.read()?;
    Ok(format!("{n} {tags:?}"))
}

async fn photos(form: Multipart) -> Result<String> {
    let policy = UploadPolicy::new()
        .files(1)
        .types(["image/*"])
        .extensions(["png"]);
    let form = form.with_policy(policy).collect().await?;
    Ok(form.files().len().to_string())
}

#[derive(Clone)]
struct Handler;

impl RequestHandler for Handler {
    async fn post(&mut self, context: &mut Context) -> Result<()> {
        let title = context.argument("title").await?;
        let files = context.files().await?;
        let told = format!("{title}: {}", files.len());
        context.write(told);
        Ok(())
    }
}

/// A server that spools what is longer than 1000 bytes into `spool`, and saves into `saved`.
fn server() -> (TestServer, std::path::PathBuf) {
    let folder = TempDir::create();
    let path = folder.path().to_owned();
    for name in ["spool", "saved"] {
        std::fs::create_dir(path.join(name)).expect("a folder");
    }
    let mut settings = Settings::default();
    settings.uploads = UploadPolicy::new()
        .limits(MultipartLimits {
            parts: 20,
            ..MultipartLimits::default()
        })
        .in_memory(1000)
        .files(3)
        .file(1_000_000)
        .kept(1_500_000)
        .fields(100)
        .total(2_000_000)
        .directory(path.join("spool"));
    let server = TestServer::start(
        Application::new()
            .settings(settings)
            .state(Target(folder))
            .route("/keep", post(keep))
            .route("/echo", post(echo))
            .route("/sizes", post(sizes))
            .route("/fields", post(fields))
            .route("/photos", post(photos))
            .route("/handler", Handler.into_route()),
    );
    (server, path)
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("a folder").count()
}

/// Waits until nothing is spooled any more.
#[track_caller]
fn assert_empty(folder: &Path) {
    let begun = Instant::now();
    while count(folder) > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "a spooled file is left"
        );
        std::thread::yield_now();
    }
}

#[test]
fn small_files_stay_in_memory_and_large_ones_go_to_disk() {
    let (server, folder) = server();
    for (name, size, on_disk) in [
        ("a.bin", 1000, false),
        ("b.bin", 1001, true),
        ("c.bin", 400_000, true),
    ] {
        let data: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[0]).collect();
        let disposition = format!("name=\"file\"; filename=\"../../{name}\"\r\nContent-Type: a/b");
        let body = parted(&[("name=\"title\"", b"T"), (&disposition, &data)]);
        let answer = server.send("POST", "/keep", &[MULTIPART], &body);
        assert_eq!(
            answer.text(),
            format!("T: \"../../{name}\" as {name} of a/b, {size} bytes, on disk: {on_disk}")
        );
        let saved = folder.join("saved").join(name);
        assert!(std::fs::read(&saved).expect("saved") == data, "{name}");
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(&saved).expect("saved").permissions();
            assert_eq!(
                std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
                0o600
            );
        }
        let again = server.send("POST", "/keep", &[MULTIPART], &body);
        assert_eq!(again.status, 500, "nothing is overwritten");
        let answer = server.send("POST", "/echo", &[MULTIPART], &body);
        assert!(answer.body == data, "{name}: {} bytes", answer.body.len());
        assert_eq!(
            answer.header("content-length"),
            Some(size.to_string().as_str())
        );
    }
    assert_eq!(count(&folder.join("saved")), 3);
    assert_empty(&folder.join("spool"));
}

#[test]
fn fields_are_read_as_a_type_and_files_as_tornado_has_them() {
    let (server, folder) = server();
    let body = parted(&[("name=n", b"7"), ("name=tags", b"x"), ("name=tags", b"y")]);
    let answer = server.send("POST", "/fields", &[MULTIPART], &body);
    assert_eq!(answer.text(), "7 [\"x\", \"y\"]");
    let wrong = parted(&[("name=n", b"700"), ("name=tags", b"x")]);
    let answer = server.send("POST", "/fields", &[MULTIPART], &wrong).json();
    assert_eq!(
        (answer["in"].as_str(), answer["field"].as_str()),
        (Some("upload"), Some("n"))
    );
    // A file input that was left empty is no file.
    let body = parted(&[
        ("name=title", b" T "),
        ("name=a; filename=\"\"", b""),
        ("name=a; filename=x", b"12"),
        ("name=b; filename=y", &[0; 5000]),
    ]);
    assert_eq!(
        server.send("POST", "/sizes", &[MULTIPART], &body).text(),
        "2 5000"
    );
    assert_eq!(
        server.send("POST", "/handler", &[MULTIPART], &body).text(),
        "T: 2"
    );
    assert_empty(&folder.join("spool"));
}

/// What is sent where; the status, `reason`, `field` and a piece of `detail`.
type Refused = (
    &'static str,
    Vec<u8>,
    u16,
    &'static str,
    Option<&'static str>,
    &'static str,
);

#[test]
fn what_breaks_the_policy_is_refused_by_name() {
    let (server, folder) = server();
    let large = vec![7; 1_000_001];
    let half = vec![7; 900_000];
    let name = "name=\"f\"; filename=\"x.png\"\r\nContent-Type: image/png";
    let cases: &[Refused] = &[
        (
            "/sizes",
            parted(&[(name, &large)]),
            413,
            "too-large",
            Some("f"),
            "uploads.file)",
        ),
        (
            "/sizes",
            parted(&[(name, &half), (name, &half)]),
            413,
            "too-large",
            Some("f"),
            "uploads.kept",
        ),
        (
            "/sizes",
            parted(&[(name, b"".as_slice()); 4]),
            413,
            "too-many",
            Some("f"),
            "uploads.files",
        ),
        (
            "/sizes",
            parted(&[("name=a", b"".as_slice()); 21]),
            413,
            "too-many",
            None,
            "uploads.limits.parts",
        ),
        (
            "/sizes",
            parted(&[("name=a", &[b'x'; 60]), ("name=b", &[b'x'; 60])]),
            413,
            "too-large",
            Some("b"),
            "uploads.fields",
        ),
        (
            "/fields",
            parted(&[("name=a", b"\xff")]),
            400,
            "not-utf-8",
            Some("a"),
            "UTF-8",
        ),
        (
            "/echo",
            parted(&[("name=a", b"1")]),
            400,
            "missing",
            Some("file"),
            "missing",
        ),
        (
            "/keep",
            parted(&[("name=a", b"1")]),
            400,
            "missing",
            Some("title"),
            "missing",
        ),
        (
            "/photos",
            parted(&[("name=f; filename=x.png", b"")]),
            415,
            "media-type",
            Some("f"),
            "uploads.types",
        ),
        (
            "/photos",
            parted(&[("name=f; filename=x.php\r\nContent-Type: image/png", b"")]),
            415,
            "media-type",
            Some("f"),
            "uploads.extensions",
        ),
        (
            "/photos",
            parted(&[(name, b"1"), (name, b"2")]),
            413,
            "too-many",
            Some("f"),
            "uploads.files",
        ),
        (
            "/sizes",
            b"--xyz\r\nnonsense\r\n\r\n".to_vec(),
            400,
            "syntax",
            None,
            "header",
        ),
    ];
    for (target, body, status, reason, field, detail) in cases {
        let answer = server.send("POST", target, &[MULTIPART], body);
        assert_eq!(
            answer.status,
            *status,
            "{target}, {detail}: {}",
            answer.text()
        );
        let problem = answer.json();
        assert_eq!(problem["reason"], *reason, "{problem}");
        assert_eq!(problem["field"].as_str(), *field, "{problem}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|shown| shown.contains(detail)),
            "{problem}"
        );
    }
    assert_empty(&folder.join("spool"));
}

#[test]
fn a_client_that_goes_away_leaves_no_file_behind() {
    let (server, folder) = server();
    let body = parted(&[("name=file; filename=x", &[7; 600_000])]);
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        MULTIPART.1,
        body.len()
    );
    for sent in [10, 2_000, 150_000, 599_000] {
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(&body[..sent]).expect("sent");
        if sent > 100_000 {
            let begun = Instant::now();
            while count(&folder.join("spool")) == 0 {
                assert!(
                    begun.elapsed() < Duration::from_secs(20),
                    "nothing is spooled"
                );
                std::thread::yield_now();
            }
        }
        stream.shutdown(Shutdown::Both).expect("gone");
        assert_empty(&folder.join("spool"));
    }
}

#[test]
fn a_refusal_is_seen_by_a_client_that_is_still_sending() {
    let (server, _) = server();
    let mut stream = server.connect();
    let body = parted(&[("name=f; filename=x", &[7; 20_000_000])]);
    let head = format!(
        "POST /sizes HTTP/1.1\r\nHost: test\r\nAccept: text/html\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        MULTIPART.1,
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut sender = stream.try_clone().expect("a clone");
    let sending = std::thread::spawn(move || drop(sender.write_all(&body)));
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer, not a reset");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("Content-Type: text/html"), "{answer}");
    assert!(answer.contains("uploads.file)"), "{answer}");
    sending.join().expect("sent, or cut");
}
