//! Forwarding: what goes along in the heads of both directions, and how failures look.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use squall::forward::{Forward, forward};
use squall::settings::ForwardedBy;
use squall::testing::{Nobody, TestServer};
use squall::{Application, Request, Response, Result, Settings, TrustedPeers, any};
use squall_tests::until;

use super::client_script::{Script, answering, script};

pub(super) fn proxy(upstream: Forward) -> TestServer {
    TestServer::start(Application::new().route("/f/{*path}", any(upstream)))
}

/// A proxy that believes what its clients say of others.
fn trusting(upstream: Forward, by: ForwardedBy) -> TestServer {
    let mut settings = Settings::default();
    settings.trusted_proxies = TrustedPeers::new(["127.0.0.1"]).expect("an address");
    settings.forwarded_by = by;
    let application = Application::new().settings(settings);
    TestServer::start(application.route("/f/{*path}", any(upstream)))
}

pub(super) fn to(script: &Script) -> Forward {
    Forward::to(script.url("")).strip_prefix("/f")
}

/// Sends bytes on a connection of their own; what comes back until it is closed.
pub(super) fn raw(server: &TestServer, request: &str) -> String {
    let mut tcp = TcpStream::connect(server.address()).expect("a connection");
    tcp.set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket");
    tcp.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let _ = tcp.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

/// The head that an upstream sees for a request.
pub(super) fn relayed(forward: impl FnOnce(&Script) -> Forward, request: &str) -> String {
    relayed_by(|upstream| proxy(forward(upstream)), request)
}

pub(super) fn relayed_by(server: impl FnOnce(&Script) -> TestServer, request: &str) -> String {
    let (seen, sees) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let _ = seen.send(head);
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let answer = raw(&server(&upstream), request);
    let host = upstream.address().to_string();
    // What was passed on was seen before it was answered.
    match sees.try_recv() {
        Ok(head) => head.replace(&host, "UPSTREAM"),
        Err(_) => panic!("{request:?} was not passed on, but answered: {answer:?}"),
    }
}

#[test]
fn a_request_keeps_its_bytes_and_loses_what_was_for_one_hop() {
    let head = relayed(
        to,
        "GET /f/a%2Fb//c?q=%zz&a;b HTTP/1.1\r\nHost: front.test\r\nConnection: close, X-Hop, X-Forwarded-For\r\n\
         X-Hop: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Authorization: x\r\nUpgrade: websocket\r\n\
         X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_Proto: https\r\nX-Forwarded-Prefix: /x\r\nForwarded: for=6.6.6.6\r\n\
         X-Real-IP: 6.6.6.6\r\nCookie: a=1\r\nX-Kept: 1\r\nx-kept: 2\r\n\r\n",
    );
    let expected = "GET /a%2Fb//c?q=%zz&a;b HTTP/1.1\r\nHost: UPSTREAM\r\nCookie: a=1\r\nX-Kept: 1\r\nx-kept: 2\r\n\
                    X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: front.test\r\nX-Forwarded-Proto: http\r\n\
                    Via: 1.1 squall\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn a_trusted_proxy_is_believed_and_the_host_can_be_kept() {
    let head = relayed_by(
        |upstream| trusting(to(upstream).preserve_host(true), ForwardedBy::XForwarded),
        "GET /f/x HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\nX-Forwarded-For: 9.9.9.9\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\nVia: 1.1 edge\r\nForwarded: for=6.6.6.6\r\n\r\n",
    );
    let expected = "GET /x HTTP/1.1\r\nHost: front.test\r\nX-Forwarded-Port: 443\r\n\
                    X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\nX-Forwarded-Host: front.test\r\nX-Forwarded-Proto: https\r\n\
                    Via: 1.1 edge, 1.1 squall\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn a_trusted_proxy_that_passes_a_real_ip_on_does_not_vouch_for_it() {
    // The load balancer has said the one field, and the client the other.
    let said = "X-Forwarded-For: 9.9.9.9\r\nX-Real-IP: 6.6.6.6\r\n";
    for (connection, by, expected) in [
        ("close", ForwardedBy::XForwarded, Some("X-Real-IP: 9.9.9.9")),
        ("close, X-Real-IP", ForwardedBy::XForwarded, None),
        ("close", ForwardedBy::Forwarded, None),
    ] {
        let request =
            format!("GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n{said}\r\n");
        let head = relayed_by(|upstream| trusting(to(upstream), by), &request);
        let real = head.lines().find(|line| line.starts_with("X-Real-IP"));
        assert_eq!(real, expected, "{head}");
        assert!(!head.contains("6.6.6.6"), "{head}");
    }
}

#[test]
fn what_cannot_be_read_of_forwarded_is_not_extended() {
    let server = |upstream: &Script| {
        let upstream = to(upstream).forwarded(true);
        trusting(upstream, ForwardedBy::Forwarded)
    };
    let ours = "for=127.0.0.1;host=\"a\";proto=http\r\n";
    for (lines, expected) in [
        // The client has opened a quote, and the proxy has added itself behind it.
        (&["for=\"1.1.1.1, for=192.0.2.7"][..], ours.to_owned()),
        (
            &["for=6.6.6.6", "for=\"1.1.1.1, for=192.0.2.7"],
            ours.to_owned(),
        ),
        (
            &["for=\"1.1.1.1", "for=9.9.9.9"],
            format!("for=9.9.9.9, {ours}"),
        ),
    ] {
        let lines: String = (lines.iter())
            .map(|line| format!("Forwarded: {line}\r\n"))
            .collect();
        let request = format!("GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n");
        let head = relayed_by(server, &request);
        let expected = format!("\r\nForwarded: {expected}");
        assert!(head.contains(&expected), "{lines}: {head}");
    }
}

#[test]
fn forwarded_says_the_same_in_one_field_and_extends_what_is_trusted() {
    let request = "GET /f/x HTTP/1.1\r\nHost: front.test:80\r\nConnection: close\r\n\
                   X-Forwarded-For: 9.9.9.9\r\nForwarded: for=8.8.8.8;proto=https\r\n\r\n";
    let forwarded = |head: &str| {
        let lines = head.lines().filter(|line| line.contains("orwarded"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let head = relayed(|upstream| to(upstream).forwarded(true), request);
    assert_eq!(
        forwarded(&head),
        [
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Host: front.test:80",
            "X-Forwarded-Proto: http",
            "Forwarded: for=127.0.0.1;host=\"front.test:80\";proto=http",
        ]
    );
    let by = |by| {
        let server = move |upstream: &Script| trusting(to(upstream).forwarded(true), by);
        forwarded(&relayed_by(server, request))
    };
    assert_eq!(
        by(ForwardedBy::Forwarded),
        [
            "X-Forwarded-For: 8.8.8.8, 127.0.0.1",
            "X-Forwarded-Host: front.test:80",
            "X-Forwarded-Proto: https",
            "Forwarded: for=8.8.8.8;proto=https, for=127.0.0.1;host=\"front.test:80\";proto=https",
        ]
    );
    assert_eq!(
        by(ForwardedBy::XForwarded),
        [
            "X-Forwarded-For: 9.9.9.9, 127.0.0.1",
            "X-Forwarded-Host: front.test:80",
            "X-Forwarded-Proto: http",
            "Forwarded: for=9.9.9.9, for=127.0.0.1;host=\"front.test:80\";proto=http",
        ]
    );
}

#[test]
fn names_with_underscores_stay_behind_unless_they_are_allowed() {
    let request = "GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX_User: eve\r\napi_key: 1\r\n\
                   X_Forwarded_For: 6.6.6.6\r\nContent_Length: 5\r\n\r\n";
    let head = relayed(to, request);
    assert!(!head.contains('_'), "{head}");
    let head = relayed(|upstream| to(upstream).allow_underscores(true), request);
    assert!(head.contains("X_User: eve\r\napi_key: 1\r\n"), "{head}");
    assert!(
        !head.contains("X_F") && !head.contains("Content_"),
        "{head}"
    );
}

#[test]
fn a_program_changes_what_is_left_and_cannot_break_the_framing() {
    let head = relayed(
        |upstream| {
            to(upstream).rewrite(|request, onward| {
                let user = request.headers().get("x-session").unwrap_or("nobody");
                let user = user.to_owned();
                let headers = onward.headers_mut();
                headers.set("X-User", user)?;
                headers.remove("x-session");
                headers.set("Content-Length", "100")?;
                headers.set("Connection", "close, X-User")?;
                let target = format!("/v2{}", onward.target());
                onward.set_target(target)?;
                assert!(onward.set_target("no-path").is_err());
                assert!(onward.set_target("/a b").is_err());
                assert!(onward.set_host("a b").is_err());
                onward.set_host("inner.test")
            })
        },
        "GET /f/x?y HTTP/1.1\r\nHost: front.test\r\nConnection: close, X-User\r\nX-Session: ann\r\nX-User: eve\r\n\r\n",
    );
    let expected = "GET /v2/x?y HTTP/1.1\r\nHost: inner.test\r\nX-Forwarded-For: 127.0.0.1\r\n\
                    X-Forwarded-Host: front.test\r\nX-Forwarded-Proto: http\r\nVia: 1.1 squall\r\n\
                    X-User: ann\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn a_handler_of_ones_own_forwards_and_changes_the_answer() {
    let upstream = answering("HTTP/1.1 200 OK\r\nServer: secret\r\nContent-Length: 2\r\n\r\nok");
    let api = to(&upstream);
    let relay = move |request: Request| {
        let api = api.clone();
        async move {
            let mut response = forward(request, &api).await?;
            response.headers_mut().remove("server");
            Result::<Response>::Ok(response)
        }
    };
    let server = TestServer::start(Application::new().route("/f/{*path}", any(relay)));
    let answer = server.get("/f/x");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.header("server"), None);
}

#[test]
fn an_answer_keeps_its_lines_and_loses_what_was_for_one_hop() {
    let upstream = answering(
        "HTTP/1.1 302 Found\r\nLocation: /there\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: X-Hop\r\n\
         X-Hop: 1\r\nAlt-Svc: h3\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let answer = proxy(to(&upstream)).get("/f/x");
    assert_eq!((answer.status, answer.text().as_str()), (302, "ok"));
    assert_eq!(answer.header("location"), Some("/there"));
    let cookies = (answer.headers.iter()).filter(|(name, _)| name == "Set-Cookie");
    let cookies: Vec<_> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.header("via"), Some("1.1 squall"));
    for gone in ["x-hop", "alt-svc", "keep-alive"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

#[test]
fn values_beyond_ascii_go_along_byte_for_byte() {
    let (seen, sees) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(peer.read(1));
        }
        let _ = seen.send(head);
        peer.write(b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9 \xff\r\nContent-Length: 0\r\n\r\n");
    });
    let answer = proxy(to(&upstream))
        .raw(b"GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Name: caf\xe9 \x80\r\n\r\n");
    let has = |head: &[u8], line: &[u8]| head.windows(line.len()).any(|part| part == line);
    let request = sees.recv().expect("forwarded");
    assert!(
        has(&request, b"\r\nX-Name: caf\xe9 \x80\r\n"),
        "{request:?}"
    );
    assert!(has(&answer, b"\r\nX-Name: caf\xe9 \xff\r\n"), "{answer:?}");
}

#[test]
fn an_upstream_that_fails_is_a_502() {
    let nobody = Nobody::bind();
    assert_eq!(proxy(Forward::to(nobody.url(""))).get("/f/x").status, 502);
    let mute = script(|_, mut peer| drop(peer.head()));
    assert_eq!(proxy(to(&mute)).get("/f/x").status, 502);
    let nonsense = answering("ICY 200 OK\r\n\r\n");
    assert_eq!(proxy(to(&nonsense)).get("/f/x").status, 502);
    assert_eq!(proxy(to(&nonsense)).get("/f/..%2fx").status, 400);
    assert_eq!(proxy(Forward::to("nonsense")).get("/f/x").status, 500);
}

#[test]
fn interim_answers_go_to_the_client_as_they_come() {
    let (go, goes) = mpsc::channel::<()>();
    let goes = Mutex::new(goes);
    let upstream = script(move |_, mut peer| {
        peer.head();
        peer.write(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
        );
        goes.lock()
            .expect("no panic")
            .recv()
            .expect("the hint was seen");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        peer.is_closed();
    });
    let server = proxy(to(&upstream));
    let mut tcp = server.connect();
    tcp.write_all(b"GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nVia: 1.1 squall\r\n\r\n";
    let mut early = vec![0; hint.len()];
    tcp.read_exact(&mut early)
        .expect("the hint before the answer");
    assert_eq!(String::from_utf8_lossy(&early), hint);
    go.send(()).expect("the upstream waits");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("the answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_answer() {
    let upstream = answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let answer = raw(
        &proxy(to(&upstream)),
        "GET /f/x HTTP/1.0\r\nHost: a\r\n\r\n",
    );
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") || answer.starts_with("HTTP/1.0 200 OK\r\n"),
        "{answer}"
    );
}

#[test]
fn options_of_the_server_as_a_whole_are_asked_for_as_such() {
    let head = relayed_by(
        |upstream| {
            let forward = Forward::to(upstream.url(""));
            TestServer::start(Application::new().route("/", any(forward)))
        },
        "OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
    );
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");
}

#[test]
fn an_answer_says_in_which_version_it_came() {
    for version in ["1.0", "1.1"] {
        let upstream = script(move |_, mut peer| {
            peer.head();
            peer.write(format!(
                "HTTP/{version} 200 OK\r\nContent-Length: 0\r\n\r\n"
            ));
        });
        let answer = proxy(to(&upstream)).get("/f/x");
        let via = answer.header("via").map(str::to_owned);
        assert_eq!(via, Some(format!("{version} squall")));
    }
}

#[test]
fn a_prefix_is_taken_off_however_it_is_spelled() {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    for (path, target) in [
        ("/%66/x", "/x"),
        ("/%66/%66/x", "/%66/x"),
        ("/f/%66", "/%66"),
    ] {
        let head = relayed(to, &get(path));
        assert!(
            head.starts_with(&format!("GET {target} ")),
            "{path}: {head}"
        );
    }
}

#[test]
fn a_path_that_is_no_text_keeps_its_bytes() {
    let head = relayed(
        to,
        "GET /f/caf%E9/%ff.%FE HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(
        head.starts_with("GET /caf%E9/%ff.%FE HTTP/1.1\r\n"),
        "{head}"
    );
}

#[test]
fn an_upstream_that_informs_without_end_is_a_502() {
    let upstream = script(|_, mut peer| {
        peer.head();
        for _ in 0..20 {
            peer.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        }
        peer.is_closed();
    });
    let answer = raw(
        &proxy(to(&upstream)),
        "GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answer.matches("HTTP/1.1 103 ").count(), 10, "{answer}");
    assert!(answer.contains("\r\n\r\nHTTP/1.1 502 "), "{answer}");
}

#[test]
fn an_upstream_that_is_silent_is_a_504() {
    let (asked, asks) = mpsc::channel();
    let upstream = script(move |_, mut peer| {
        peer.head();
        let _ = asked.send(());
        assert!(peer.is_closed());
    });
    let limit = Duration::from_secs(5);
    let forward = to(&upstream).idle_timeout(limit);
    let application = Application::new().route("/f/{*path}", any(forward));
    let (server, clock) = TestServer::start_turned(application);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| server.get("/f/x"));
        asks.recv().expect("forwarded");
        until("the answer", || {
            clock.advance(limit);
            answer.is_finished()
        });
        let answer = answer.join().expect("no panic");
        assert_eq!(answer.status, 504);
        assert!(answer.text().contains("waiting for the answer"));
    });
}
