//! `squall fetch` from outside: what it sends, what it prints, and how it ends.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use squall::Application;
use squall::testing::{MockReply, MockServer, Nobody, TestServer};

/// The program, and nothing of the environment that concerns proxies.
fn fetch(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.arg("fetch").args(args);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("RUST_LOG").env_remove("SSLKEYLOGFILE");
    command.stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    fetch(args).output().expect("the program starts")
}

/// What it prints when all goes well.
#[track_caller]
fn printed(args: &[&str]) -> String {
    let done = run(args);
    assert_eq!(done.status.code(), Some(0), "{args:?}: {}", said(&done));
    text(&done.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn said(done: &Output) -> String {
    text(&done.stderr)
}

fn start(command: &mut Command) -> Child {
    (command.stdin(Stdio::piped()).stdout(Stdio::piped()))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// A file of a test's own.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &[u8]) -> Self {
        let name = format!("squall-fetch-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).expect("written");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_get_prints_the_body_and_nothing_else() {
    let server = MockServer::answering(MockReply::ok("hello\n"));
    let done = run(&[&server.url("/a?b=c")]);
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(
        (text(&done.stdout), said(&done)),
        ("hello\n".into(), String::new())
    );
    let request = &server.requests()[0];
    assert!(
        request
            .head
            .starts_with("GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:")
    );
    assert!(
        request
            .header("user-agent")
            .expect("one")
            .starts_with("squall/")
    );
    assert_eq!(
        (request.header("content-length"), request.body.len()),
        (None, 0)
    );

    // http:// is understood; what stands before the host are credentials.
    let bare = format!("me:s%40crt@{}/x", server.address());
    assert_eq!(printed(&[&bare]), "hello\n");
    let request = &server.requests()[1];
    assert_eq!(request.header("authorization"), Some("Basic bWU6c0BjcnQ="));
    let own = ["-H", "Authorization: Bearer t", &bare];
    printed(&own);
    let head = &server.requests()[2].head;
    assert_eq!(head.matches("Authorization").count(), 1, "{head}");
    assert!(head.contains("Authorization: Bearer t\r\n"), "{head}");
}

#[test]
fn the_status_says_how_it_went() {
    let server = MockServer::serve(|_, mut peer| {
        while let Some(request) = peer.request() {
            peer.write(match request.target() {
                "/gone" => "HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\ngone\n",
                "/broken" => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                "/moved" => "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 6\r\n\r\nmoved\n",
                "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                "/slow" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                "/silent" => "",
                "/nonsense" => "SSH-2.0-OpenSSH\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
            });
            match request.target() {
                "/slow" | "/silent" => return peer.hold(),
                "/cut" => return,
                _ => {}
            }
        }
    });
    let nobody = Nobody::bind();
    let closed = nobody.address().to_string();
    let (ok, slow) = (server.url("/"), server.url("/slow"));
    let (missing, dir) = (format!("@{ok}"), "/no/such/dir/x");
    for (args, status, stdout, stderr) in [
        (&[server.url("/moved").as_str()][..], 0, "ok\n", ""),
        (&["-L", &server.url("/moved")], 0, "ok\n", ""),
        (&["--no-follow", &server.url("/moved")], 0, "moved\n", ""),
        (
            &[&server.url("/gone")],
            22,
            "gone\n",
            "squall: the answer is 410 Gone\n",
        ),
        (
            &[&server.url("/broken")],
            22,
            "",
            "squall: the answer is 500 No\n",
        ),
        (&[&closed], 7, "", "connecting"),
        (&["http://no-such-host.invalid/"], 7, "", "resolving"),
        (
            &["--timeout", "1", &slow],
            28,
            "half",
            "squall: reading the answer's body: not done within 1s (--timeout)\n",
        ),
        (
            &["--timeout", "1", &server.url("/silent")],
            28,
            "",
            "waiting for the answer: not done within 1s (--timeout)\n",
        ),
        (&[&server.url("/cut")], 1, "half", "body"),
        (&[&server.url("/nonsense")], 1, "", "squall: fetch"),
        (&["-o", dir, &ok], 1, "", dir),
        (&["-d", &missing, &ok], 1, "", "http:"),
        // Wrong usage.
        (&[], 2, "", "URL"),
        (&["ftp://a.test/"], 2, "", "ftp"),
        (&["http://"], 2, "", "host"),
        (&["-H", "nothing", &ok], 2, "", "Name: value"),
        (&["-H", "A b: c", &ok], 2, "", "A b"),
        (&["-H", "Host:", &ok], 2, "", "Host"),
        (&["-X", "A B", &ok], 2, "", "method"),
        (&["-X", "CONNECT", &ok], 2, "", "tunnel"),
        (&["-X", "TRACE", "-d", "a", &ok], 2, "", "no body"),
        (&["-X", "TRACE", &ok], 0, "ok\n", ""),
        (&["-d", "a", "-F", "b=c", &ok], 2, "", "cannot be used with"),
        (&["-F", "b", &ok], 2, "", "name=value"),
        (&["--timeout", "soon", &ok], 2, "", "seconds"),
        (&["--proxy", "quic://a.test", &ok], 2, "", "quic"),
        (&["--no-such", &ok], 2, "", "--no-such"),
        (&["--http2", &ok], 2, "", "HTTP/2 is not there yet"),
    ] {
        let done = run(args);
        let (out, err) = (text(&done.stdout), said(&done));
        assert_eq!(done.status.code(), Some(status), "{args:?}: {err}");
        assert_eq!(out, stdout, "{args:?}");
        assert!(err.contains(stderr), "{args:?}: {err}");
        assert_eq!(err.is_empty(), stderr.is_empty(), "{args:?}: {err}");
    }
    let help = printed(&["--help"]);
    assert!(help.contains("HTTP/2. Not there yet"), "{help}");
}

#[test]
fn bodies_as_curl_sends_them() {
    let server = MockServer::answering(MockReply::ok(""));
    let url = server.url("/");
    let file = File::new("body.png", b"\x89PNG\r\n\0");
    let at = format!("@{}", file.path());
    let form = Some("application/x-www-form-urlencoded");
    let (short, long) = (Some("3"), Some("11"));
    for (args, method, kind, length, body) in [
        (&["-d", "a=b"][..], "POST", form, short, &b"a=b"[..]),
        (
            &["-d", "a=b", "-d", "c d=e&f"],
            "POST",
            form,
            long,
            b"a=b&c d=e&f",
        ),
        (&["-d", ""], "POST", form, Some("0"), b""),
        (&["-d", "-1"], "POST", form, Some("2"), b"-1"),
        (&["-d", &at], "POST", form, Some("7"), b"\x89PNG\r\n\0"),
        (
            &["-d", "x", "-d", &at],
            "POST",
            form,
            Some("9"),
            b"x&\x89PNG\r\n\0",
        ),
        (
            &["-X", "PUT", "-H", "content-type: a/b", "-d", "x"],
            "PUT",
            Some("a/b"),
            Some("1"),
            b"x",
        ),
        (
            &["-H", "Content-Type:", "-d", "x"],
            "POST",
            None,
            Some("1"),
            b"x",
        ),
        (&["-X", "POST"], "POST", None, Some("0"), b""),
        (&["-X", "DELETE"], "DELETE", None, None, b""),
        (&["-X", "HEAD"], "HEAD", None, None, b""),
        (&["-X", "purge"], "purge", None, None, b""),
    ] {
        printed(&[args, &[url.as_str()]].concat());
        let request = server.requests().pop().expect("a request");
        assert_eq!(request.method(), method, "{args:?}");
        assert_eq!(request.header("content-type"), kind, "{args:?}");
        assert_eq!(request.header("content-length"), length, "{args:?}");
        assert_eq!(request.body, body, "{args:?}");
    }
}

#[test]
fn stdin_is_sent_while_it_is_written() {
    let (told, tells) = mpsc::channel();
    let server = MockServer::serve(move |_, mut peer| {
        let head = peer.head().expect("a head");
        assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
        told.send(peer.read_until("first\r\n")).expect("waited for");
        told.send(peer.read_until("0\r\n\r\n")).expect("waited for");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let mut child = start(&mut fetch(&["-d", "@-", &server.url("/")]));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"first").expect("written");
    assert_eq!(tells.recv().expect("the first piece"), "5\r\nfirst\r\n");
    stdin.write_all(b"second").expect("written");
    drop(stdin);
    assert_eq!(tells.recv().expect("the rest"), "6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

#[test]
fn an_answer_ends_it_while_stdin_is_open() {
    let server = MockServer::serve(|_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nbig\n");
        peer.hold();
    });
    let mut child = start(&mut fetch(&["-d", "@-", &server.url("/")]));
    // Kept open: the program must not wait for its end.
    let stdin = child.stdin.take();
    let done = child.wait_with_output().expect("an end");
    assert_eq!(
        (done.status.code(), text(&done.stdout)),
        (Some(22), "big\n".into())
    );
    drop(stdin);
}

#[test]
fn a_form_in_parts_with_files() {
    let server = MockServer::answering(MockReply::ok(""));
    let file = File::new("cat.png", b"\x89PNG");
    let (plain, named) = (
        format!("image=@{}", file.path()),
        format!(
            "image=@{};type=image/x;filename=\"a \\\"b\\\".x\"",
            file.path()
        ),
    );
    printed(&[
        &server.url("/"),
        "-F",
        "key=k;v",
        "-F",
        &plain,
        "-F",
        &named,
        "-F",
        "meta={};type=application/json",
        "-H",
        "Content-Type: never/this",
    ]);
    let request = &server.requests()[0];
    assert_eq!(request.method(), "POST");
    let kind = request.header("content-type").expect("one");
    let boundary = kind
        .strip_prefix("multipart/form-data; boundary=")
        .expect(kind);
    let last = file.0.file_name().expect("a name").to_string_lossy();
    let wanted = [
        "form-data; name=\"key\"\r\n\r\nk;v\r\n".to_owned(),
        format!(
            "form-data; name=\"image\"; filename=\"{last}\"\r\nContent-Type: image/png\r\n\r\n"
        ),
        "form-data; name=\"image\"; filename=\"a %22b%22.x\"\r\nContent-Type: image/x\r\n\r\n"
            .into(),
        "form-data; name=\"meta\"\r\nContent-Type: application/json\r\n\r\n{}\r\n".into(),
    ];
    let body = request.text();
    let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 6, "{body}");
    for (part, wanted) in parts.iter().skip(1).zip(&wanted) {
        assert!(part.contains(wanted), "{part} has no {wanted}");
    }
    let length = request.header("content-length").expect("known");
    assert_eq!(length, request.body.len().to_string());
}

#[test]
fn headers_are_added_left_out_and_empty() {
    let server = MockServer::answering(MockReply::ok(""));
    printed(&[
        &server.url("/"),
        "-H",
        "X-A:  b ",
        "-H",
        "X-A: c",
        "-H",
        "Host: other.test",
        "-H",
        "User-Agent:",
        "-H",
        "X-Empty;",
        "-H",
        "Accept-Encoding: br",
    ]);
    let head = &server.requests()[0].head;
    let wanted = "GET / HTTP/1.1\r\nHost: other.test\r\nX-A: b\r\nX-A: c\r\nX-Empty: \r\n\
                  Accept-Encoding: br\r\n\r\n";
    assert_eq!(head, wanted);
}

#[test]
fn heads_and_files() {
    let head = "HTTP/1.0 200 Fine\r\nX-Latin: caf\u{e9}\r\nContent-Length: 2\r\n\r\n";
    let server = MockServer::answering([head.as_bytes(), b"ok"].concat());
    let url = server.url("/");
    let whole = format!("{head}ok");
    assert_eq!(printed(&["-i", &url]), whole);
    let out = File::new("out", b"what was there before, and is longer");
    assert_eq!(printed(&["-o", out.path(), &url]), "");
    assert_eq!(fs::read(&out.0).expect("a file"), b"ok");
    assert_eq!(printed(&["-i", "-o", out.path(), &url]), "");
    assert_eq!(fs::read_to_string(&out.0).expect("a file"), whole);
    assert_eq!(printed(&["-o", "-", &url]), "ok");
    // Nothing is lost of a file when there is no answer to put there.
    drop(server);
    assert_eq!(run(&["-o", out.path(), &url]).status.code(), Some(7));
    assert_eq!(fs::read_to_string(&out.0).expect("a file"), whole);
}

#[test]
fn verbose_shows_what_was_sent_and_what_each_phase_took() {
    let server = MockServer::replying([
        MockReply::redirect("/b"),
        MockReply::bytes(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
    ]);
    let done = run(&["-v", "-d", "a", &server.url("/a")]);
    assert_eq!(
        (done.status.code(), text(&done.stdout)),
        (Some(0), "ok".into())
    );
    let said = said(&done);
    let marked = |mark: &str| -> String {
        let lines = said.lines().filter_map(|line| line.strip_prefix(mark));
        lines.map(|line| format!("{line}\r\n")).collect()
    };
    // Byte for byte what has arrived.
    let sent: String = server
        .requests()
        .iter()
        .map(|request| request.head.as_str())
        .collect();
    assert_eq!(marked("> "), sent);
    let answers = marked("< ");
    for line in [
        "HTTP/1.1 302 Found\r\n",
        "Location: /b\r\n",
        "HTTP/1.1 103 Early Hints\r\n",
        "HTTP/1.1 200 OK\r\n",
    ] {
        assert!(answers.contains(line), "{said}");
    }
    let mut sum = 0.0;
    let times = |phase: &str| -> f64 {
        let line = said
            .lines()
            .find(|line| line.starts_with(&format!("* {phase} ")));
        let line = line.unwrap_or_else(|| panic!("no {phase}: {said}"));
        let figure = line.split_whitespace().nth(2).expect("a figure");
        figure.parse().expect("a number")
    };
    for phase in [
        "redirects",
        "queue",
        "name",
        "connect",
        "tls",
        "answer",
        "body",
    ] {
        sum += times(phase);
    }
    assert!((sum - times("total")).abs() < 0.01, "{said}");
    assert!(
        said.contains(&format!("* answered by {}\n", server.address())),
        "{said}"
    );
}

#[test]
fn the_body_is_printed_while_it_comes() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let server = MockServer::serve(move |_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno line");
        let _ = gone.lock().expect("one connection").recv();
        peer.write("; ");
    });
    let mut child = start(&mut fetch(&[&server.url("/")]));
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut first = [0; 7];
    stdout.read_exact(&mut first).expect("the first piece");
    assert_eq!(&first, b"no line");
    go.send(()).expect("waited for");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("the rest");
    assert_eq!(
        (rest.as_str(), child.wait().expect("an end").code()),
        ("; ", Some(0))
    );
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let server = TestServer::start(Application::new().route("/", async || vec![b'x'; 8 << 20]));
    let mut child = start(&mut fetch(&[&format!("http://{}/", server.address())]));
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0; 10]).expect("some of it");
    drop(stdout);
    let done = child.wait_with_output().expect("an end");
    assert_eq!((done.status.code(), said(&done)), (Some(0), String::new()));
}

/// Nobody can hear the program there, which is no reason to fail otherwise.
#[cfg(target_os = "linux")]
#[test]
fn a_stderr_that_takes_nothing_changes_nothing_else() {
    let server = MockServer::serve(|_, mut peer| {
        while let Some(request) = peer.request() {
            peer.write(match request.target() {
                "/gone" => "HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\ngone\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
            });
        }
    });
    let nobody = Nobody::bind();
    let closed = nobody.address().to_string();
    let (ok, gone) = (server.url("/"), server.url("/gone"));
    for (args, status, stdout) in [
        (&["-v", &ok][..], 0, "ok\n"),
        (&["-v", &gone], 22, "gone\n"),
        (&["-v", &closed], 7, ""),
    ] {
        let full = fs::File::options().write(true).open("/dev/full");
        let done = fetch(args).stderr(full.expect("a device")).output();
        let done = done.expect("the program starts");
        assert_eq!(
            (done.status.code(), text(&done.stdout).as_str()),
            (Some(status), stdout),
            "{args:?}"
        );
    }
}

#[test]
fn certificates_are_checked_unless_told_otherwise() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = squall::tls::Tls::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let application = Application::new().route("/", async || "secret");
    let listener = squall::Listener::tcp("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = listener.tls(tls.expect("an identity"));
    let _server = TestServer::start(application.listen_on(listener).expect("complete"));
    let url = format!("https://{address}/");
    let refused = run(&[&url]);
    assert_eq!(
        (refused.status.code(), text(&refused.stdout)),
        (Some(7), String::new())
    );
    // In the words of the command line, not of the library.
    let why = said(&refused);
    assert!(
        why.contains("TLS handshake") && why.contains("with -k"),
        "{why}"
    );
    assert!(!why.contains("ca_certs"), "{why}");
    let done = run(&["-k", &url]);
    assert_eq!(
        (text(&done.stdout), said(&done)),
        ("secret".into(), String::new())
    );
    // As curl does, for whoever looks at the traffic.
    let keys = File::new("keys", b"");
    let mut logged = fetch(&["-k", &url]);
    let done = logged.env("SSLKEYLOGFILE", keys.path()).output();
    assert_eq!(text(&done.expect("the program starts").stdout), "secret");
    let logged = fs::read_to_string(keys.path()).expect("text");
    assert!(logged.contains("CLIENT_TRAFFIC_SECRET_0 "), "{logged}");
}

#[test]
fn proxies_of_the_option_and_of_the_environment() {
    let proxy = MockServer::answering(MockReply::ok("by proxy"));
    let address = proxy.address().to_string();
    let by_option = ["--proxy", &address, "http://a.test/x"];
    assert_eq!(printed(&by_option), "by proxy");
    let mut by_environment = fetch(&["http://b.test/y"]);
    let done = by_environment.env("http_proxy", proxy.url("")).output();
    assert_eq!(text(&done.expect("the program starts").stdout), "by proxy");
    let targets: Vec<_> = (proxy.requests().iter())
        .map(|request| request.target().to_owned())
        .collect();
    assert_eq!(targets, ["http://a.test/x", "http://b.test/y"]);
    // None at all, whatever the environment says.
    let mut without = fetch(&["--proxy", "", "http://no-such-host.invalid/"]);
    let done = without.env("http_proxy", proxy.url("")).output();
    assert_eq!(done.expect("the program starts").status.code(), Some(7));
}

/// A terminal is what `script` makes of its output.
#[test]
fn a_long_transfer_has_a_bar_on_a_terminal() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: script does not start");
        return;
    }
    let reply = MockReply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    let server = MockServer::answering(reply.then_drip("slow", Duration::from_millis(400)));
    let out = File::new("slow", b"");
    let program = env!("CARGO_BIN_EXE_squall");
    let line = format!("{program} fetch -o {} {}", out.path(), server.url("/"));
    let mut on_terminal = Command::new("script");
    on_terminal
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::null());
    let done = on_terminal.output().expect("it starts");
    let seen = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(seen.contains("received") && seen.contains("/4 B"), "{seen}");
    assert_eq!(fs::read(&out.0).expect("a file"), b"slow");
}
