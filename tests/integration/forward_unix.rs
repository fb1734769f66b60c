//! Upstreams that listen on Unix sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc;

use socket2::SockRef;
use squall::forward::{Balance, Forward, HealthCheck, Upstreams};
use squall::testing::TestServer;
use squall::{Application, AsyncHttpClient, IoLoop, Request, Result, any};
use squall_tests::{TempDir, until};

use super::forward::{proxy, raw};

/// Answers each request of each connection with its own head, and with its name.
fn listen(path: &Path, name: &'static str) {
    let listener = UnixListener::bind(path).expect("it is free");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while matches!(socket.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        let seen = String::from_utf8_lossy(&head).into_owned();
                        let answer = format!("{name}:{seen}");
                        let length = answer.len();
                        let head_line =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                        let _ = socket.write_all(format!("{head_line}{answer}").as_bytes());
                        head.clear();
                    }
                }
            });
        }
    });
}

fn address(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[test]
fn a_socket_is_asked_as_localhost() {
    let folder = TempDir::create();
    let path = folder.path().join("a");
    listen(&path, "a");
    let forward = Forward::to(address(&path)).strip_prefix("/f");
    let server = proxy(forward.clone());
    let answer = server.get("/f/x?y=z").text();
    assert!(
        answer.starts_with("a:GET /x?y=z HTTP/1.1\r\nHost: localhost\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("X-Forwarded-For: 127.0.0.1\r\n"),
        "{answer}"
    );
    assert_eq!(forward.stats()[0].address, address(&path));
    let kept = Forward::to(address(&path)).preserve_host(true);
    let request = "GET /f/x HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\n\r\n";
    let answer = raw(&proxy(kept), request);
    assert!(answer.contains("Host: front.test\r\n"), "{answer}");
}

#[test]
fn several_sockets_are_several_upstreams() {
    let folder = TempDir::create();
    let paths = ["a", "b"].map(|name| folder.path().join(name));
    listen(&paths[0], "a");
    listen(&paths[1], "b");
    let upstreams = Upstreams::of(paths.each_ref().map(|path| address(path)));
    let check = HealthCheck::get("/health");
    let forward = Forward::to(
        upstreams
            .balance(Balance::round_robin())
            .health_check(check),
    );
    let server = proxy(forward);
    let names: String = (0..6)
        .map(|_| server.get("/f/x").text()[..1].to_owned())
        .collect();
    assert_eq!(names, "ababab");
}

#[test]
fn a_socket_is_not_looked_for_through_a_proxy() {
    let folder = TempDir::create();
    let path = folder.path().join("a");
    listen(&path, "a");
    let nowhere = squall::client::Proxy::new("http://127.0.0.1:9").expect("an address");
    let client = AsyncHttpClient::builder().proxy(nowhere).build();
    let answer = proxy(Forward::to(address(&path)).client(&client)).get("/f/x");
    assert_eq!((answer.status, &answer.text()[..2]), (200, "a:"));
}

#[test]
fn a_socket_that_is_not_there_is_a_502_that_does_not_name_it() {
    let folder = TempDir::create();
    let path = folder.path().join("a");
    let server = proxy(Forward::to(address(&path)));
    let answer = server.get("/f/x");
    assert_eq!(answer.status, 502);
    assert!(!answer.text().contains("unix"), "{}", answer.text());
    assert!(!answer.text().contains("squall-"), "{}", answer.text());
    // Once it is there, it is found.
    listen(&path, "a");
    assert_eq!(server.get("/f/x").status, 200);
    for wrong in [
        Upstreams::of(["unix:"]),
        Upstreams::of_name(&address(&path)),
    ] {
        assert_eq!(proxy(Forward::to(wrong)).get("/f/x").status, 500);
    }
    // It is no address of the public internet.
    let public = AsyncHttpClient::builder().public_only(true).build();
    let guarded = Forward::to(address(&path)).client(&public);
    assert_eq!(proxy(guarded).get("/f/x").status, 502);
}

/// The upstream has taken nothing of what the client still sends.
#[test]
fn a_tunnel_delivers_what_was_sent_before_its_upstream_has_closed() {
    const MANY: usize = 1 << 20;
    let folder = TempDir::create();
    let path = folder.path().join("a");
    let listener = UnixListener::bind(&path).expect("it is free");
    let (closed, is_closed) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        head(&mut socket);
        let agrees = "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n";
        socket.write_all(agrees.as_bytes()).expect("sent");
        socket.write_all(&vec![b'a'; MANY]).expect("sent");
        drop(socket);
        let _ = closed.send(());
    });
    let forward = Forward::to(address(&path)).upgrades(["raw"]);
    let application = Application::new().route("/f/{*path}", any(forward.clone()));
    // However slow this machine is, no time passes.
    let (server, _clock) = TestServer::start_turned(application);
    let mut tcp = server.connect();
    let little_room = SockRef::from(&tcp).set_recv_buffer_size(128 << 10);
    little_room.expect("a socket");
    tcp.write_all(b"GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
        .expect("sent");
    assert!(head(&mut tcp).starts_with("HTTP/1.1 101 "));
    let (mut got, mut piece) = (0, [0; 4096]);
    loop {
        if got == MANY || is_closed.try_recv().is_ok() {
            break;
        }
        got += tcp.read(&mut piece).expect("what was sent");
    }
    loop {
        tcp.write_all(&[b'x'; 512]).expect("somebody takes it");
        match tcp.read(&mut piece).expect("what was sent") {
            0 => break,
            read => got += read,
        }
    }
    assert_eq!(got, MANY);
    drop(tcp);
    until("the tunnel's end", || forward.stats()[0].in_flight == 0);
}

/// A head, byte by byte: what follows it is for somebody else.
fn head(socket: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// How long a request's body was, and by whom it has come.
async fn count(mut request: Request) -> Result<String> {
    let mut length = 0;
    while let Some(piece) = request.body_mut().chunk().await {
        length += piece?.len();
    }
    let via = request.headers().get("via").unwrap_or("nobody");
    Ok(format!("{length} by {via}"))
}

#[test]
fn two_squalls_on_one_machine_need_no_port_between_them() {
    let folder = TempDir::create();
    let path = folder.path().join("a");
    let inner = Application::new().route("/f/{*path}", squall::post(count));
    let inner = inner.listen_unix(&path, 0o600).expect("it is free");
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let running = io_loop.run(inner.start()).expect("ran").expect("served");
    let server = proxy(Forward::to(address(&path)));
    let body = vec![b'x'; 3 << 20];
    let answer = server.send("POST", "/f/x", &[], &body);
    assert_eq!(answer.text(), format!("{} by 1.1 squall", body.len()));
    drop(server);
    drop(running);
    io_loop.stop();
    until("the socket's end", || !path.exists());
}
