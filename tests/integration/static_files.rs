//! Static files at the wire: ranges, conditional requests, siblings, directories.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use squall::coding::Coding;
use squall::testing::{TestResponse, TestServer};
use squall::{Application, StaticFiles, get};
use squall_tests::TempDir;

/// When the files were last changed: `Sun, 06 Nov 1994 08:49:37 GMT`.
const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

pub(super) fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(&path, content).expect("written");
    let then = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let file = fs::File::options().write(true).open(&path).expect("a file");
    file.set_modified(then).expect("dated");
}

/// Numbers, so that each byte tells where it is.
fn numbers(len: usize) -> Vec<u8> {
    (0..)
        .flat_map(|number: u32| format!("{number:07},").into_bytes())
        .take(len)
        .collect()
}

fn server(dir: &Path) -> TestServer {
    TestServer::start(Application::new().static_files(StaticFiles::new(dir)))
}

fn ask(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> TestResponse {
    server.send("GET", target, headers, b"")
}

#[test]
fn a_file_is_sent_as_it_is() {
    let dir = TempDir::create();
    for (name, content_type) in [
        ("page.html", "text/html; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("data.json", "application/json"),
        ("logo.svg", "image/svg+xml"),
        ("photo.PNG", "image/png"),
        ("sub/gr\u{fc}\u{df}e %41.txt", "text/plain; charset=utf-8"),
        ("unknown", "application/octet-stream"),
    ] {
        write(dir.path(), name, name);
        let server = server(dir.path());
        let target = name.replace('%', "%25").replace(' ', "%20");
        let target = target
            .replace('\u{fc}', "%C3%BC")
            .replace('\u{df}', "%c3%9f");
        let answer = server.get(&format!("/static/{target}"));
        assert_eq!((answer.status, answer.text().as_str()), (200, name));
        assert_eq!(answer.header("content-type"), Some(content_type), "{name}");
        assert_eq!(answer.header("last-modified"), Some(THEN));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), None);
        let etag = answer.header("etag").expect("a tag");
        assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");

        let head = server.send("HEAD", &format!("/static/{target}"), &[], b"");
        assert!(head.body.is_empty());
        for field in ["content-length", "content-type", "etag", "last-modified"] {
            assert_eq!(head.header(field), answer.header(field), "{field}");
        }
    }
    let server = server(dir.path());
    let refused = server.send("POST", "/static/page.html", &[], b"");
    assert_eq!(refused.status, 405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS"));
}

#[test]
fn large_and_empty_files_come_whole() {
    let dir = TempDir::create();
    for len in [0, 1, 65_535, 65_536, 65_537, 3_000_001] {
        let content = numbers(len);
        write(dir.path(), "file", &content);
        let answer = server(dir.path()).get("/static/file");
        assert_eq!(
            answer.header("content-length"),
            Some(len.to_string().as_str())
        );
        assert!(answer.body == content, "{len}");
    }
}

#[test]
fn one_range_is_sent_alone() {
    let dir = TempDir::create();
    let content = numbers(100_000);
    write(dir.path(), "file.txt", &content);
    let server = server(dir.path());
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=99999-", 99_999, 100_000),
        ("bytes=-10", 99_990, 100_000),
        ("bytes=-1000000", 0, 100_000),
        ("bytes=10-90000", 10, 90_001),
        ("bytes=99990-999999999999999999999", 99_990, 100_000),
    ] {
        let answer = ask(&server, "/static/file.txt", &[("Range", range)]);
        assert_eq!(answer.status, 206, "{range}");
        let named = format!("bytes {from}-{}/100000", to - 1);
        assert_eq!(answer.header("content-range"), Some(named.as_str()));
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(answer.body == content[from..to], "{range}");
    }
    for range in ["bytes=100000-", "bytes=-0", "bytes=200000-300000"] {
        let answer = ask(&server, "/static/file.txt", &[("Range", range)]);
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */100000"));
    }
    for range in ["bytes=5-1", "bytes=x", "lines=1-2", "bytes=", "bytes=1-2-3"] {
        let answer = ask(&server, "/static/file.txt", &[("Range", range)]);
        assert_eq!(
            (answer.status, answer.body.len()),
            (200, 100_000),
            "{range}"
        );
    }
    let head = server.send("HEAD", "/static/file.txt", &[("Range", "bytes=0-9")], b"");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("100000"))
    );
}

#[test]
fn several_ranges_are_parts_of_one_answer() {
    let dir = TempDir::create();
    let content = numbers(200_000);
    write(dir.path(), "file.txt", &content);
    let server = server(dir.path());
    let ranges = "bytes=100000-180000, 0-9,-5,900000-";
    let answer = ask(&server, "/static/file.txt", &[("Range", ranges)]);
    assert_eq!(answer.status, 206);
    assert_eq!(answer.header("content-range"), None);
    let content_type = answer.header("content-type").expect("a type");
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("parts");
    let mut expected = Vec::new();
    for (from, to) in [(100_000, 180_001), (0, 10), (199_995, 200_000)] {
        if !expected.is_empty() {
            expected.extend_from_slice(b"\r\n");
        }
        expected.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Range: bytes {from}-{}/200000\r\n\r\n",
                to - 1
            )
            .as_bytes(),
        );
        expected.extend_from_slice(&content[from..to]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(answer.body == expected, "{}", answer.body.len());
    assert_eq!(
        answer.header("content-length"),
        Some(expected.len().to_string().as_str())
    );
}

#[test]
fn preconditions_are_weighed_in_their_order() {
    let dir = TempDir::create();
    write(dir.path(), "file", "0123456789");
    let server = server(dir.path());
    let tag = server
        .get("/static/file")
        .header("etag")
        .expect("a tag")
        .to_owned();
    let tag = tag.as_str();
    let weak = format!("W/{tag}");
    let list = format!("\"x\", {tag}");
    let range = ("Range", "bytes=0-4");
    for (headers, status) in [
        (&[("If-None-Match", tag)][..], 304),
        (&[("If-None-Match", weak.as_str())], 304),
        (&[("If-None-Match", list.as_str())], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"x\"")], 200),
        (
            &[("If-None-Match", "\"x\""), ("If-Modified-Since", THEN)],
            200,
        ),
        (&[("If-Modified-Since", THEN)], 304),
        (&[("If-Modified-Since", LATER)], 304),
        (&[("If-Modified-Since", EARLIER)], 200),
        (&[("If-Modified-Since", "gestern")], 200),
        (&[("If-Match", tag)], 200),
        (&[("If-Match", "*")], 200),
        (&[("If-Match", weak.as_str())], 412),
        (&[("If-Match", "\"x\"")], 412),
        (&[("If-Match", tag), ("If-Unmodified-Since", EARLIER)], 200),
        (&[("If-Unmodified-Since", THEN)], 200),
        (&[("If-Unmodified-Since", EARLIER)], 412),
        (&[("If-Match", "\"x\""), ("If-None-Match", tag)], 412),
        (&[range, ("If-None-Match", tag)], 304),
        (&[range, ("If-Range", tag)], 206),
        (&[range, ("If-Range", weak.as_str())], 200),
        (&[range, ("If-Range", "\"x\"")], 200),
        (&[range, ("If-Range", THEN)], 206),
        (&[range, ("If-Range", LATER)], 200),
        (&[range, ("If-Range", EARLIER)], 200),
        (&[("Range", "bytes=10-"), ("If-Range", "\"x\"")], 200),
        (&[("Range", "bytes=10-"), ("If-Range", tag)], 416),
        (&[("Range", "bytes=10-"), ("If-None-Match", tag)], 304),
    ] {
        let answer = ask(&server, "/static/file", headers);
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 304 {
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("etag"), Some(tag));
            assert_eq!(answer.header("content-type"), None);
            assert_eq!(answer.header("content-length"), None);
        }
    }
}

#[test]
fn a_file_that_was_just_written_has_a_weak_tag() {
    let dir = TempDir::create();
    fs::write(dir.path().join("file"), "new").expect("written");
    let answer = server(dir.path()).get("/static/file");
    let tag = answer.header("etag").expect("a tag");
    assert!(tag.starts_with("W/\""), "{tag}");
}

#[test]
fn a_change_changes_the_tag() {
    let dir = TempDir::create();
    write(dir.path(), "file", "one");
    let server = server(dir.path());
    let first = server.get("/static/file");
    write(dir.path(), "file", "three");
    let second = server.get("/static/file");
    assert_eq!(second.text(), "three");
    assert_ne!(first.header("etag"), second.header("etag"));
}

#[test]
fn a_directory_is_its_index() {
    let dir = TempDir::create();
    write(dir.path(), "index.html", "root");
    write(dir.path(), "sub/index.html", "sub");
    write(dir.path(), "empty/file", "");
    let server = server(dir.path());
    assert_eq!(server.get("/static/").text(), "root");
    assert_eq!(server.get("/static/sub/").text(), "sub");
    let moved = server.get("/static/sub?a=b");
    assert_eq!(moved.status, 301);
    assert_eq!(moved.header("location"), Some("/static/sub/?a=b"));
    assert_eq!(server.get("/static/empty/").status, 404);
    assert_eq!(server.get("/static/index.html/").status, 404);
    assert_eq!(server.get("/static/none/").status, 404);
}

#[test]
fn a_listing_names_what_is_there_and_nothing_hidden() {
    let dir = TempDir::create();
    write(dir.path(), "sub/<b>&\"'.txt", "12345");
    write(dir.path(), "sub/deeper/file", "");
    write(dir.path(), "sub/.secret", "");
    let files = StaticFiles::new(dir.path()).listing(true);
    let server = TestServer::start(Application::new().static_files(files));
    let page = server.get("/static/sub/");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let page = page.text();
    assert!(
        page.contains("href=\"./%3Cb%3E%26%22%27.txt\">&lt;b&gt;&amp;&quot;&#39;.txt</a>"),
        "{page}"
    );
    assert!(page.contains("<td>5</td>"), "{page}");
    assert!(page.contains("href=\"./deeper/\""), "{page}");
    assert!(page.contains("href=\"../\""), "{page}");
    assert!(!page.contains("secret"), "{page}");
    assert!(!server.get("/static/").text().contains("../"));
}

#[test]
fn a_compressed_sibling_is_sent_to_those_who_take_it() {
    let dir = TempDir::create();
    write(dir.path(), "app.js", "plain");
    write(dir.path(), "app.js.br", "as br");
    write(dir.path(), "app.js.gz", "as gzip");
    let files =
        StaticFiles::new(dir.path()).precompressed(&[Coding::Zstd, Coding::Br, Coding::Gzip]);
    let server = TestServer::start(Application::new().static_files(files));
    let mut tags = Vec::new();
    for (accept, coding, body) in [
        ("zstd, br, gzip", Some("br"), "as br"),
        ("gzip;q=1, br;q=0.1", Some("gzip"), "as gzip"),
        ("zstd", None, "plain"),
        ("br;q=0", None, "plain"),
    ] {
        let answer = ask(&server, "/static/app.js", &[("Accept-Encoding", accept)]);
        assert_eq!(answer.header("content-encoding"), coding, "{accept}");
        assert_eq!(answer.text(), body, "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/javascript; charset=utf-8")
        );
        tags.push(answer.header("etag").expect("a tag").to_owned());
    }
    assert_ne!(tags[0], tags[1]);
    assert_ne!(tags[1], tags[2]);
    assert_eq!(tags[2], tags[3]);
    let headers = [("Accept-Encoding", "br"), ("Range", "bytes=3-")];
    assert_eq!(ask(&server, "/static/app.js", &headers).text(), "br");
}

#[test]
fn what_is_asked_for_by_its_hash_may_be_kept() {
    let dir = TempDir::create();
    write(dir.path(), "app.js", "one");
    let files = StaticFiles::new(dir.path()).cache_control("no-cache");
    let server = TestServer::start(Application::new().static_files(files.clone()));
    let first = files.static_url("app.js");
    assert!(
        first.starts_with("/static/app.js?v=") && first.len() == 33,
        "{first}"
    );
    let cached = |target: &str| {
        let answer = server.get(target);
        answer.header("cache-control").map(str::to_owned)
    };
    let immutable = Some("public, max-age=31536000, immutable".to_owned());
    assert_eq!(cached(&first), immutable);
    assert_eq!(
        cached("/static/app.js?v=0123456789abcdef").as_deref(),
        Some("no-cache")
    );
    assert_eq!(cached("/static/app.js").as_deref(), Some("no-cache"));

    write(dir.path(), "app.js", "three");
    let second = files.static_url("app.js");
    assert_ne!(first, second);
    assert_eq!(cached(&second), immutable);
    // Else a cache would keep the new content under the old one's name.
    assert_eq!(cached(&first).as_deref(), Some("no-cache"));
    assert_eq!(files.static_url("none"), "/static/none");
    assert_eq!(files.static_url("../secret"), "/static/../secret");
}

#[test]
fn embedded_files_are_served_like_others() {
    static FILES: &[(&str, &[u8])] = &[
        ("index.html", b"root"),
        ("js/app.js", b"0123456789"),
        ("js/app.js.gz", b"gzipped"),
    ];
    let files = StaticFiles::embedded(FILES).precompressed(&[Coding::Gzip]);
    let server = TestServer::start(Application::new().static_files(files.clone()));
    assert_eq!(server.get("/static/").text(), "root");
    let answer = server.get("/static/js/app.js");
    assert_eq!(answer.text(), "0123456789");
    assert_eq!(answer.header("last-modified"), None);
    let tag = answer.header("etag").expect("a tag");
    assert!(
        files.static_url("js/app.js").ends_with(&tag[1..17]),
        "{tag}"
    );
    assert_eq!(
        ask(&server, "/static/js/app.js", &[("If-None-Match", tag)]).status,
        304
    );
    let part = ask(&server, "/static/js/app.js", &[("Range", "bytes=2-3")]);
    assert_eq!((part.status, part.text().as_str()), (206, "23"));
    let coded = ask(&server, "/static/js/app.js", &[("Accept-Encoding", "gzip")]);
    assert_eq!(coded.text(), "gzipped");
    assert_eq!(server.get("/static/js").status, 301);
    for target in [
        "/static/js/",
        "/static/j",
        "/static/none",
        "/static/js/app.jsx",
    ] {
        assert_eq!(server.get(target).status, 404, "{target}");
    }
}

#[test]
fn files_can_be_mounted_by_hand() {
    let dir = TempDir::create();
    write(dir.path(), "index.html", "root");
    write(dir.path(), "a/b", "b");
    let files = StaticFiles::new(dir.path());
    let guarded = files.clone();
    let application = Application::new()
        .route("/", files.clone())
        .route("/docs/{*path}", files)
        .route(
            "/guarded/{*path}",
            get(move |request: squall::Request| {
                let files = guarded.clone();
                async move { files.answer(&request).await }
            }),
        );
    let server = TestServer::start(application);
    assert_eq!(server.get("/").text(), "root");
    assert_eq!(server.get("/docs/a/b").text(), "b");
    assert_eq!(server.get("/guarded/a/b").text(), "b");
}
