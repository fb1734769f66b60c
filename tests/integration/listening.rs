//! Where a server listens: sockets made elsewhere, Unix sockets, sockets given by the
//! program's starter.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use squall::testing::{TestResponse, TestServer};
use squall::{Application, Exchange, IoLoop, Listener};
use squall_tests::TempDir;

fn application() -> Application {
    Application::new().route("/", async |exchange: Exchange| {
        format!("{} {:?}", exchange.remote_addr(), exchange.local_addr())
    })
}

fn ask(mut stream: impl Read + Write) -> TestResponse {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    TestResponse::parse(&answer)
}

fn ask_unix(path: &Path) -> TestResponse {
    ask(UnixStream::connect(path).expect("it listens"))
}

#[test]
fn a_socket_that_was_bound_elsewhere_is_served() {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = bound.local_addr().expect("an address");
    let application = application().listen_on(bound).expect("complete");
    assert_eq!(application.local_addr().expect("an address"), address);
    let _server = TestServer::start(application);
    let answer = ask(std::net::TcpStream::connect(address).expect("it listens"));
    assert!(
        answer.text().ends_with(&format!("Some({address})")),
        "{}",
        answer.text()
    );
}

#[test]
fn a_unix_socket_is_served_and_removed_at_the_end() {
    let dir = TempDir::create();
    let path = dir.path().join("socket");
    // Left over by a server that was killed.
    drop(UnixListener::bind(&path).expect("a socket"));
    let application = application().listen_unix(&path, 0o640).expect("it is free");
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    let mut server = TestServer::start(application);
    let answer = ask_unix(&path);
    assert_eq!((answer.status, answer.text().as_str()), (200, "unix None"));
    server.shutdown(Duration::from_secs(10));
    assert!(!path.exists(), "its file is removed");
}

#[test]
fn a_unix_socket_in_use_or_another_file_is_left_alone() {
    let dir = TempDir::create();
    let path = dir.path().join("socket");
    let _listening = UnixListener::bind(&path).expect("a socket");
    let error = (application().listen_unix(&path, 0o600))
        .expect_err("in use")
        .to_string();
    for words in ["another program listens there", "/socket: "] {
        assert!(error.contains(words), "{error}");
    }
    UnixStream::connect(&path).expect("it still listens");

    let path = dir.path().join("notes");
    fs::write(&path, "mine").expect("a file");
    application()
        .listen_unix(&path, 0o600)
        .expect_err("no socket");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "mine");
}

#[test]
fn a_start_that_fails_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (address, words) in [
        (address.as_str(), "another program listens there"),
        ("192.0.2.1:0", "no network interface here has that address"),
    ] {
        let error = application()
            .listen(address)
            .expect_err("it cannot")
            .to_string();
        assert!(error.contains(address) && error.contains(words), "{error}");
    }
}

#[test]
fn a_program_on_a_unix_socket_alone_starts_and_stops() {
    let dir = TempDir::create();
    let path = dir.path().join("socket");
    let application = application().listen_unix(&path, 0o600).expect("it is free");
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let running = (io_loop.run(application.start()).expect("ran")).expect("served");
    running.local_addr().expect_err("it has no address");
    assert_eq!(ask_unix(&path).status, 200);
    let stopped = io_loop.run(async move { running.shutdown(Duration::from_secs(10)).await });
    assert_eq!(stopped.expect("ran"), 0);
    io_loop.stop();
}

/// Set in the program that was given its sockets.
const GIVEN: &str = "SQUALL_TEST_GIVEN";

/// The program that `sockets_that_the_starter_has_bound_are_served` starts.
#[test]
fn given_sockets() {
    if std::env::var_os(GIVEN).is_none() {
        return;
    }
    let mut application = application();
    let given = Listener::activated().expect("listening sockets");
    assert_eq!(given.len(), 2);
    for listener in given {
        application = application.listen_on(listener).expect("complete");
    }
    assert!(
        Listener::activated().expect("nothing").is_empty(),
        "they are taken"
    );
    application.run().expect("an end in order");
}

#[test]
fn sockets_that_the_starter_has_bound_are_served() {
    let dir = TempDir::create();
    let path = dir.path().join("socket");
    let unix = UnixListener::bind(&path).expect("a socket");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = tcp.local_addr().expect("an address");
    // The shell puts them where the protocol wants them: from descriptor 3 on.
    let script = "exec 4>&1 3<&0 0</dev/null 1>&2; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    let mut program = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "integration::listening::given_sockets"])
        .env(GIVEN, "1")
        .stdin(Stdio::from(OwnedFd::from(tcp)))
        .stdout(Stdio::from(OwnedFd::from(unix)))
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    // The sockets listen already: whoever connects early waits.
    assert_eq!(ask_unix(&path).text(), "unix None");
    let answer = ask(std::net::TcpStream::connect(address).expect("it listens"));
    assert_eq!(answer.status, 200);
    let pid = program.id().to_string();
    let told = Command::new("kill").arg(pid).status().expect("a signal");
    assert!(told.success() && program.wait().expect("an end").success());
    assert!(path.exists(), "a file of somebody else's stays");
}
