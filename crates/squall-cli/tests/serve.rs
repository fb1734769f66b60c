//! `squall serve` from outside: the real program, and requests on the wire.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use squall::testing::TestResponse;

/// A running server; killed when it is dropped.
struct Serve {
    child: Child,
    address: SocketAddr,
}

impl Serve {
    fn start(dir: &Path, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_squall"))
            .arg("serve")
            .arg(dir)
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.trim_end().strip_prefix("squall listening on http://");
        let address = address
            .expect("the ready line")
            .parse()
            .expect("an address");
        Self { child, address }
    }

    fn send(&self, request: &[u8]) -> TestResponse {
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.write_all(request).expect("written");
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).expect("an answer");
        TestResponse::parse(&answer)
    }

    fn get(&self, target: &str, headers: &str) -> TestResponse {
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        self.send(head.as_bytes())
    }

    /// Sends a form with one file.
    fn upload(&self, filename: &str, content: &str, headers: &str) -> TestResponse {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\r\n\
             {content}\r\n--b--\r\n"
        );
        let len = body.len();
        self.send(
            format!(
                "POST /.upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\
                 Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len}\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory of the test's own.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("squall-serve-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("sub")).expect("a directory");
        fs::write(path.join("file.txt"), "0123456789").expect("a file");
        fs::write(path.join("sub/page.html"), "page").expect("a file");
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_ranges_tags_and_listings() {
    let dir = Dir::new("files");
    let serve = Serve::start(&dir.0, &[]);
    let whole = serve.get("/file.txt", "");
    assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
    let part = serve.get("/file.txt", "Range: bytes=2-4\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    let tag = whole.header("etag").expect("a tag");
    let unchanged = serve.get("/file.txt", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(unchanged.status, 304);
    let listing = serve.get("/", "").text();
    assert!(
        listing.contains("./file.txt") && listing.contains("./sub/"),
        "{listing}"
    );
    assert_eq!(serve.get("/sub", "").header("location"), Some("/sub/"));
    assert_eq!(serve.get("/sub/page.html", "").text(), "page");
    assert_eq!(serve.get("/../etc/passwd", "").status, 404);
    // Nobody may write unless it was said.
    assert_eq!(serve.upload("new.txt", "new", "").status, 405);
    assert!(!dir.0.join("new.txt").exists());
}

#[test]
fn an_upload_is_stored_and_never_overwrites() {
    let dir = Dir::new("upload");
    let serve = Serve::start(&dir.0, &["--upload", "--max-upload", "2000"]);
    assert!(
        serve
            .get("/.upload", "")
            .text()
            .contains("multipart/form-data")
    );

    let stored = serve.upload("new.txt", "new", "");
    assert_eq!(
        (stored.status, stored.text().as_str()),
        (201, "new.txt 3\n")
    );
    assert_eq!(serve.get("/new.txt", "").text(), "new");
    let page = serve.upload("other.txt", "x", "Accept: text/html\r\n");
    assert_eq!((page.status, page.header("location")), (303, Some("/")));

    assert_eq!(serve.upload("file.txt", "other", "").status, 409);
    assert_eq!(serve.get("/file.txt", "").text(), "0123456789");
    assert_eq!(serve.upload("../../escape.txt", "x", "").status, 201);
    assert!(dir.0.join("escape.txt").exists());
    for name in [".hidden", "..", ""] {
        assert_eq!(serve.upload(name, "x", "").status, 400, "{name}");
    }
    assert_eq!(serve.upload("large", &"x".repeat(3000), "").status, 413);
    assert!(!dir.0.join("large").exists());
    // Another site's page may not send a form here.
    let foreign = serve.upload(
        "evil",
        "x",
        "Sec-Fetch-Site: cross-site\r\nOrigin: http://evil.example\r\n",
    );
    assert_eq!(foreign.status, 403);
    assert!(!dir.0.join("evil").exists());
}

#[test]
fn an_upload_that_breaks_off_leaves_no_file() {
    let dir = Dir::new("broken");
    let serve = Serve::start(&dir.0, &["--upload"]);
    let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"part\"\r\n\r\nhalf\r\n--b";
    let len = body.len();
    let answer = serve.send(
        format!(
            "POST /.upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len}\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    assert_eq!(answer.status, 400);
    assert!(!dir.0.join("part").exists());
}

#[test]
fn wrong_usage_is_status_2_and_a_port_in_use_1() {
    let status = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command
            .arg("serve")
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().expect("ran").code()
    };
    assert_eq!(status(&["/no/such/directory"]), Some(2));
    assert_eq!(status(&["--listen", "nowhere"]), Some(2));
    assert_eq!(status(&["--max-upload", "5"]), Some(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    assert_eq!(status(&["--listen", &address]), Some(1));
}
