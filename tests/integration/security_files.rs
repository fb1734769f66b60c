//! What attackers try on files and on compressed bodies; one row, one attack.

use std::fs;
use std::time::{Duration, Instant};

use squall::coding::{Coding, DecodeLimits, Level, encode};
use squall::testing::TestServer;
use squall::{Application, Compression, Request, Result, StaticFiles, post};
use squall_tests::{TempDir, on_two_lanes};

use super::static_files::write;

/// `outside/secret` lies beside `root`, which is served, and `root-old` shares its prefix.
fn tree() -> TempDir {
    let dir = TempDir::create();
    write(dir.path(), "root/index.html", "index");
    write(dir.path(), "root/a/inside.txt", "inside");
    write(dir.path(), "root/.env", "SECRET");
    write(dir.path(), "root/.git/config", "SECRET");
    write(dir.path(), "root/.well-known/security.txt", "contact");
    write(dir.path(), "outside/secret", "SECRET");
    write(dir.path(), "root-old/secret", "SECRET");
    dir
}

fn server(dir: &TempDir, prefix: &str) -> TestServer {
    let files = StaticFiles::new(dir.path().join("root"))
        .prefix(prefix)
        .listing(true);
    TestServer::start(Application::new().static_files(files))
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let dir = tree();
    for prefix in ["/static", "/"] {
        let server = server(&dir, prefix);
        let base = prefix.trim_end_matches('/');
        for path in [
            // Dot segments, plain and encoded, once and twice.
            "../outside/secret",
            "../root-old/secret",
            "a/../../outside/secret",
            "%2e%2e/outside/secret",
            "%2E%2E/outside/secret",
            ".%2e/outside/secret",
            "%252e%252e/outside/secret",
            "..%2foutside/secret",
            "..%2Foutside%2Fsecret",
            "a/..%2f..%2foutside/secret",
            "....//outside/secret",
            "..;/outside/secret",
            // Backslashes, drives, streams, devices.
            "..\\outside\\secret",
            "..%5coutside%5csecret",
            "a%5c..%5c..%5coutside/secret",
            "C:/Windows/win.ini",
            "c%3a/secret",
            "index.html::$DATA",
            "CON",
            "aux.txt",
            // Overlong UTF-8, NUL, absolute paths, empty segments.
            "%c0%ae%c0%ae/outside/secret",
            "%c0%af",
            "index.html%00.png",
            "%00",
            "/etc/passwd",
            "//etc/passwd",
            "%2fetc/passwd",
            "a//inside.txt",
            "a/./inside.txt",
            // Hidden files.
            ".env",
            ".git/config",
            "%2eenv",
            "%2e%67it/config",
            ".git/",
            "a/../.env",
        ] {
            let answer = server.get(&format!("{base}/{path}"));
            let status = answer.status;
            assert!(matches!(status, 400 | 404), "{prefix} {path}: {status}");
            assert!(!answer.text().contains("SECRET"), "{path}");
        }
        let shown = server.get(&format!("{base}/.well-known/security.txt"));
        assert_eq!(shown.text(), "contact");
    }
}

#[test]
fn a_directory_never_redirects_to_another_site() {
    let dir = tree();
    fs::create_dir_all(dir.path().join("root/evil.example/a")).expect("a directory");
    for prefix in ["/static", "/"] {
        let server = server(&dir, prefix);
        for path in [
            "//evil.example/a",
            "//evil.example",
            "/\\evil.example",
            "/%5cevil.example/a",
            "/%2fevil.example/a",
            "///evil.example/a",
            "//evil.example/%2e%2e/a",
        ] {
            let answer = server.get(path);
            assert_ne!(
                answer.status,
                301,
                "{path}: {:?}",
                answer.header("location")
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_only_inside_of_the_directory() {
    use std::os::unix::fs::symlink;

    let dir = tree();
    let root = dir.path().join("root");
    let link = |target: &str, name: &str| symlink(target, root.join(name)).expect("a link");
    link("a/inside.txt", "good");
    link("a", "good-dir");
    link("../root/a/inside.txt", "out-and-in");
    link("../outside/secret", "bad");
    link("../outside", "bad-dir");
    link(
        dir.path().join("outside/secret").to_str().expect("a path"),
        "absolute",
    );
    link("/etc/passwd", "passwd");
    link("/proc/self/root/etc/passwd", "magic");
    link("loop", "loop");
    let server = server(&dir, "/static");
    assert_eq!(server.get("/static/good").text(), "inside");
    assert_eq!(server.get("/static/good-dir/inside.txt").text(), "inside");
    for path in [
        "out-and-in",
        "bad",
        "bad-dir/secret",
        "bad-dir/",
        "absolute",
        "passwd",
        "magic",
        "loop",
    ] {
        let answer = server.get(&format!("/static/{path}"));
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_is_swapped_while_it_is_asked_for_gives_nothing_away() {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    let dir = tree();
    let root = dir.path().join("root");
    let server = server(&dir, "/static");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (fresh, name) = (root.join("fresh"), root.join("swapped"));
            let mut inside = false;
            while !done.load(Ordering::Relaxed) {
                inside = !inside;
                let target = if inside { "a" } else { "../outside" };
                symlink(target, &fresh).expect("a link");
                fs::rename(&fresh, &name).expect("swapped");
            }
        });
        for _ in 0..300 {
            let answer = server.get("/static/swapped/secret");
            assert_eq!(answer.status, 404);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_file_and_stops_nobody() {
    let dir = tree();
    let made = std::process::Command::new("mkfifo")
        .arg(dir.path().join("root/pipe"))
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: mkfifo does not work here");
    }
    let server = server(&dir, "/static");
    assert_eq!(server.get("/static/pipe").status, 404);
    assert_eq!(server.get("/static/a/inside.txt").text(), "inside");
}

#[test]
fn a_flood_of_ranges_gets_the_file_once() {
    let dir = tree();
    write(dir.path(), "root/file", vec![b'x'; 10_000]);
    let server = server(&dir, "/static");
    let many = (0..17)
        .map(|at| format!("{at}-{at}"))
        .collect::<Vec<_>>()
        .join(",");
    let overlapping = ["0-"; 16].join(",");
    let empty = ",".repeat(4000);
    for list in [&many, &overlapping, "0-5999,4000-", &empty, "0-9999,0-0"] {
        let range = format!("bytes={list}");
        let answer = server.send("GET", "/static/file", &[("Range", &range)], b"");
        assert_eq!((answer.status, answer.body.len()), (200, 10_000), "{range}");
    }
    let few = (0..16)
        .map(|at| format!("{at}-{at}"))
        .collect::<Vec<_>>()
        .join(",");
    let answer = server.send(
        "GET",
        "/static/file",
        &[("Range", &format!("bytes={few}"))],
        b"",
    );
    assert_eq!(answer.status, 206);
}

#[test]
fn a_path_of_many_segments_is_answered_at_once() {
    let dir = tree();
    let server = server(&dir, "/static");
    for path in ["a/".repeat(2000), "%61".repeat(1500), "x".repeat(5000)] {
        let begun = Instant::now();
        let answer = server.get(&format!("/static/{path}"));
        assert!(matches!(answer.status, 404 | 414), "{}", answer.status);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

/// Reads a request's body and forgets it.
async fn swallow(mut request: Request) -> Result<String> {
    let mut count = 0;
    while let Some(chunk) = request.body_mut().chunk().await {
        count += chunk?.len();
    }
    Ok(count.to_string())
}

#[test]
fn a_bomb_is_refused_whatever_its_coding() {
    let mut small = DecodeLimits::default();
    small.max_decoded_size = 1 << 20;
    small.max_ratio = u64::MAX;
    for (limits, setting) in [
        (DecodeLimits::default(), "max_ratio"),
        (small, "max_decoded_size"),
    ] {
        let server = TestServer::start(
            Application::new()
                .middleware(Compression::default().decompress_requests(limits))
                .route("/", post(swallow)),
        );
        for coding in Coding::ALL {
            let bomb = on_two_lanes(async move {
                let mut bomb = encode(vec![0; 8 << 20].into(), coding, Level::Default);
                bomb.collect(u64::MAX).await.expect("encoded")
            });
            let headers = [("Content-Encoding", coding.name())];
            let answer = server.send("POST", "/", &headers, &bomb);
            assert_eq!(answer.status, 413, "{coding}: {}", answer.text());
            assert!(
                answer.text().contains(setting),
                "{coding}: {}",
                answer.text()
            );
        }
        let chain = [("Content-Encoding", "gzip, gzip, gzip")];
        let answer = server.send("POST", "/", &chain, b"x");
        assert_eq!(answer.status, 415);
        assert!(answer.text().contains("max_codings"), "{}", answer.text());
    }
}
