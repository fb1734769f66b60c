//! nginx serves the same files: same status, same headers, for every pair of a condition
//! and a range.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use squall::testing::{TestResponse, TestServer};
use squall::{Application, StaticFiles};
use squall_tests::TempDir;

use super::program;

const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

/// nginx in the foreground, on a Unix socket; killed when it is dropped.
struct Nginx {
    child: Child,
    socket: PathBuf,
}

impl Nginx {
    fn start(dir: &Path) -> Option<Self> {
        let mut command = program("nginx", &["-v"])?;
        let (socket, config) = (dir.join("socket"), dir.join("nginx.conf"));
        let (root, at) = (dir.join("root"), socket.display());
        let text = format!(
            "daemon off; master_process off; pid {pid}; error_log stderr;
             events {{}}
             http {{
               access_log off; default_type application/octet-stream; if_modified_since before;
               client_body_temp_path {tmp}; proxy_temp_path {tmp}; fastcgi_temp_path {tmp};
               uwsgi_temp_path {tmp}; scgi_temp_path {tmp};
               server {{ listen unix:{at}; root {root}; }}
             }}",
            pid = dir.join("pid").display(),
            tmp = dir.join("tmp").display(),
            root = root.display(),
        );
        fs::write(&config, text).expect("a configuration");
        let child = command
            .arg("-p")
            .arg(dir)
            .arg("-c")
            .arg(&config)
            .args(["-e", "stderr"])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let mut nginx = Self { child, socket };
        while UnixStream::connect(&nginx.socket).is_err() {
            let ended = nginx.child.try_wait().expect("its state");
            assert_eq!(ended, None, "nginx has ended");
            thread::yield_now();
        }
        Some(nginx)
    }

    fn send(&self, request: &str) -> TestResponse {
        let mut stream = UnixStream::connect(&self.socket).expect("connected");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a timeout");
        stream.write_all(request.as_bytes()).expect("written");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        TestResponse::parse(&answer)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_are_answered_as_nginx_answers() {
    let dir = TempDir::create();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("sub")).expect("a directory");
    for (name, content) in [
        ("file.txt", "0123456789"),
        ("empty.txt", ""),
        ("sub/index.html", "i"),
    ] {
        fs::write(root.join(name), content).expect("a file");
        let file = fs::File::options()
            .write(true)
            .open(root.join(name))
            .expect("a file");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(784_111_777))
            .expect("dated");
    }
    let Some(nginx) = Nginx::start(dir.path()) else {
        return;
    };
    let files = StaticFiles::new(&root).prefix("/");
    let squall = TestServer::start(Application::new().static_files(files));
    let request = |method: &str, path: &str, headers: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n")
    };
    let ours = |text: &str| TestResponse::parse(&squall.raw(text.as_bytes()));
    let plain = request("GET", "/file.txt", "");
    let tag_of = |answer: TestResponse| answer.header("etag").expect("a tag").to_owned();
    let (their_tag, our_tag) = (tag_of(nginx.send(&plain)), tag_of(ours(&plain)));

    let conditions = [
        String::new(),
        "If-None-Match: TAG\r\n".to_owned(),
        "If-None-Match: W/TAG\r\n".to_owned(),
        "If-None-Match: \"x\", TAG\r\n".to_owned(),
        "If-None-Match: \"x\"\r\n".to_owned(),
        "If-None-Match: *\r\n".to_owned(),
        "If-Match: TAG\r\n".to_owned(),
        "If-Match: \"x\"\r\n".to_owned(),
        "If-Match: *\r\n".to_owned(),
        format!("If-Modified-Since: {THEN}\r\n"),
        format!("If-Modified-Since: {LATER}\r\n"),
        format!("If-Modified-Since: {EARLIER}\r\n"),
        format!("If-Unmodified-Since: {THEN}\r\n"),
        format!("If-Unmodified-Since: {EARLIER}\r\n"),
        format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {THEN}\r\n"),
    ];
    // Malformed ones are left out: nginx refuses them, we ignore them, and both may
    // (RFC 9110 section 14.2).
    let ranges = [
        "",
        "Range: bytes=0-0\r\n",
        "Range: bytes=2-5\r\n",
        "Range: bytes=5-\r\n",
        "Range: bytes=-3\r\n",
        "Range: bytes=-30\r\n",
        "Range: bytes=0-\r\n",
        "Range: bytes=10-\r\n",
        "Range: bytes=10-20\r\n",
        "Range: bytes=0-1,4-5\r\n",
        "Range: bytes=0-1,20-\r\n",
        "Range: bits=0-1\r\n",
        "Range: bytes=2-3\r\nIf-Range: TAG\r\n",
        "Range: bytes=2-3\r\nIf-Range: \"x\"\r\n",
        "Range: bytes=2-3\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "Range: bytes=2-3\r\nIf-Range: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
    ];
    for condition in &conditions {
        for range in ranges {
            let headers = format!("{condition}{range}");
            let theirs = nginx.send(&request(
                "GET",
                "/file.txt",
                &headers.replace("TAG", &their_tag),
            ));
            let ours = ours(&request(
                "GET",
                "/file.txt",
                &headers.replace("TAG", &our_tag),
            ));
            assert_eq!(ours.status, theirs.status, "{headers}");
            assert_eq!(
                ours.header("content-range"),
                theirs.header("content-range"),
                "{headers}"
            );
            if matches!(ours.status, 200 | 206) {
                assert_eq!(ours.header("last-modified"), theirs.header("last-modified"));
                if theirs
                    .header("content-type")
                    .is_some_and(|it| !it.starts_with("multipart/"))
                {
                    assert_eq!(ours.body, theirs.body, "{headers}");
                }
            }
        }
    }
    for (method, path) in [
        ("HEAD", "/file.txt"),
        ("GET", "/empty.txt"),
        ("GET", "/sub/"),
        ("GET", "/none"),
        ("GET", "/sub/none"),
        ("GET", "/file.txt/"),
        ("GET", "/file.txt/x"),
        ("GET", "/sub"),
        ("POST", "/file.txt"),
        ("DELETE", "/file.txt"),
    ] {
        let (theirs, ours) = (
            nginx.send(&request(method, path, "")),
            ours(&request(method, path, "")),
        );
        assert_eq!(ours.status, theirs.status, "{method} {path}");
        if ours.status == 200 {
            for field in ["content-length", "last-modified"] {
                assert_eq!(ours.header(field), theirs.header(field), "{method} {path}");
            }
        }
    }
}
