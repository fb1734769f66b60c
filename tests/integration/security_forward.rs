//! What was found in other proxies, tried on this one.
//!
//! | advisory | test |
//! |---|---|
//! | CVE-2021-33197, CVE-2022-31813, CVE-2024-45410, CVE-2025-48865, CVE-2026-29054 | `connection_cannot_take_away_what_the_proxy_says` |
//! | CVE-2025-64484, CVE-2026-39858, CVE-2026-30851, CVE-2026-52845 | `no_other_spelling_of_a_field_goes_along` |
//! | CVE-2024-45806, CVE-2026-35051, CVE-2026-40575, CVE-2026-54764, CVE-2022-32148 | `nothing_about_the_client_is_believed_that_the_client_says` |
//! | CVE-2022-2880, CVE-2026-39825 | `a_query_keeps_every_byte` |
//! | CVE-2025-66490, CVE-2026-40912, CVE-2026-48020, CVE-2026-65600, CVE-2021-29492, CVE-2019-9901 | `no_spelling_of_a_path_leads_out_of_the_prefix` |
//! | CVE-2019-9900, CVE-2019-20372, CVE-2021-32779, CVE-2021-40346, CVE-2023-25690, CVE-2023-25725, CVE-2023-40225, CVE-2023-45539, CVE-2026-2835, RUSTSEC-2020-0008, RUSTSEC-2021-0078 | `requests_that_two_parsers_read_differently_are_not_forwarded` |
//! | CVE-2022-1705, CVE-2023-39326, CVE-2025-22871 | `answers_that_two_parsers_read_differently_are_not_relayed` |
//! | CVE-2024-24791 | `a_refusal_before_the_body_does_not_poison_the_next_request` |
//! | CVE-2025-4366 | `the_body_of_a_refused_request_is_no_request` |
//! | CVE-2021-36221 | `a_client_that_breaks_off_its_body_breaks_off_the_request` |
//! | CVE-2021-40438 | `no_request_chooses_its_upstream` |
//! | CVE-2026-2833, CVE-2024-23326, CVE-2026-71324 | `forward_upgrade`: `nothing_goes_through_before_the_upstream_has_agreed`, `connect_makes_no_tunnel` |
//! | requests that go in a circle (RFC 9110 section 7.6.3) | `forward_via`: `a_request_that_comes_back_is_a_508`, `a_proxy_that_forwards_to_itself_says_so` |
//! | CVE-2026-2836, CVE-2017-7529 | there is no cache |
//! | CVE-2026-26998, CVE-2026-41181, CVE-2022-26377 | there is no service that is asked beside the upstream, and no AJP |
//! | CVE-2025-8671, RUSTSEC-2023-0034 | there is no HTTP/2 yet |

use std::io::{Read, Write};
use std::sync::mpsc;

use squall::forward::Forward;
use squall::testing::TestServer;
use squall::{Application, Router};

use super::client_script::{Script, answering, script};
use super::forward::{proxy, raw, relayed, relayed_by, to};

fn get(fields: &str) -> String {
    format!("GET /f/x HTTP/1.1\r\nHost: front.test\r\n{fields}\r\n")
}

#[test]
fn connection_cannot_take_away_what_the_proxy_says() {
    for connection in [
        "Connection: close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Via, X-User",
        // An empty one first, one per line, any case.
        "Connection:\r\nConnection: close\r\nConnection: x-forwarded-for, VIA\r\nConnection: x-user,x-forwarded-host",
    ] {
        let head = relayed(
            |upstream| {
                to(upstream).rewrite(|_, onward| {
                    onward.headers_mut().set("X-User", "ann")?;
                    Ok(())
                })
            },
            &get(&format!("{connection}\r\nX-User: eve\r\n")),
        );
        for field in [
            "X-Forwarded-For: 127.0.0.1\r\n",
            "X-Forwarded-Host: front.test\r\n",
            "X-Forwarded-Proto: http\r\n",
            "Via: 1.1 squall\r\n",
            "X-User: ann\r\n",
        ] {
            assert!(head.contains(field), "{connection}: {head}");
        }
        let head = head.to_ascii_lowercase();
        assert!(
            !head.contains("eve") && !head.contains("connection"),
            "{head}"
        );
    }
}

#[test]
fn no_other_spelling_of_a_field_goes_along() {
    let head = relayed(
        |upstream| {
            to(upstream).rewrite(|_, onward| {
                onward.headers_mut().set("X-User", "ann")?;
                onward.headers_mut().remove("x-role");
                Ok(())
            })
        },
        &get(
            "Connection: close\r\nX_Forwarded_Proto: https\r\nX_Real_IP: 6.6.6.6\r\nX-USER: eve\r\nx-user: eve\r\n\
             X_User: eve\r\nX-Role: admin\r\nX_Role: admin\r\nTransfer_Encoding: chunked\r\n",
        ),
    );
    assert_eq!(head.matches("X-User: ann").count(), 1, "{head}");
    for spoofed in ["eve", "admin", "6.6.6.6", "https", "chunked"] {
        assert!(!head.contains(spoofed), "{head}");
    }
}

#[test]
fn nothing_about_the_client_is_believed_that_the_client_says() {
    let head = relayed(
        to,
        &get(
            "Connection: close\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For:\r\nX-Forwarded-Prefix: /admin\r\n\
             X-Forwarded-Port: 443\r\nX-Forwarded-Uri: /admin\r\nX-Forwarded-Server: evil\r\nX-Forwarded-: evil\r\n\
             X-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n",
        ),
    );
    for spoofed in ["6.6.6.6", "/admin", "443", "evil", "https"] {
        assert!(!head.contains(spoofed), "{spoofed}: {head}");
    }
    assert!(head.contains("X-Forwarded-For: 127.0.0.1\r\n"), "{head}");
}

#[test]
fn a_query_keeps_every_byte() {
    let query = "a=1;b=2&a=%zz&%&&=+x%00&u=http://b/../c?d[]='e'";
    let request = get("Connection: close\r\n").replace("/f/x", &format!("/f/x?{query}"));
    let head = relayed(to, &request);
    let expected = format!("GET /x?{query} HTTP/1.1\r\n");
    assert!(head.starts_with(&expected), "{head}");
}

#[test]
fn no_request_chooses_its_upstream() {
    let elsewhere = answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let evil = elsewhere.address();
    let upstream = script(|_, mut peer| {
        while let Some(head) = peer.head() {
            let length = head.len();
            peer.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{head}"
            ));
        }
    });
    let (server, own) = (proxy(to(&upstream)), upstream.address());
    for (target, arrives) in [
        (
            format!("/f/x?unix:/tmp/a%7Chttp://{evil}/"),
            format!("/x?unix:/tmp/a%7Chttp://{evil}/"),
        ),
        (
            format!("/f/unix:/tmp/a%7Chttp://{evil}/"),
            format!("/unix:/tmp/a%7Chttp://{evil}/"),
        ),
        (format!("/f//{evil}/"), format!("//{evil}/")),
        (format!("/f/@{evil}/"), format!("/@{evil}/")),
        (format!("/f/http://{evil}/"), format!("/http://{evil}/")),
        (format!("http://{evil}/f/x"), "/x".to_owned()),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {evil}\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, &request);
        let expected = format!("\r\n\r\nGET {arrives} HTTP/1.1\r\nHost: {own}\r\n");
        assert!(answer.contains(&expected), "{target}: {answer}");
    }
    assert_eq!(elsewhere.accepted(), 0);
}

#[test]
fn no_spelling_of_a_path_leads_out_of_the_prefix() {
    let upstream = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let plain = Forward::to(upstream.url(""));
    let api = Router::new().not_found(plain.clone());
    let rewritten = plain.clone().rewrite(|_, onward| {
        let target = format!("/internal{}", onward.target());
        onward.set_target(target)
    });
    let servers = [
        ("mapped", proxy(to(&upstream))),
        ("as it is", proxy(plain)),
        (
            "not found",
            TestServer::start(Application::new().nest("/f", api)),
        ),
        ("rewritten", proxy(rewritten)),
    ];
    for path in [
        "/f/../admin",
        "/f/a/../../admin",
        "/f/%2e%2e/admin",
        "/f/.%2E/admin",
        "/f/..;/admin",
        "/f/..%2fadmin",
        "/f/a%2f..%2f..%2fadmin",
        "/f/..%5cadmin",
        "/f/%c0%ae%c0%ae/admin",
        "/f/..%c0%afadmin",
        "/f/a;b%2f..%2f..%2fadmin",
        "/f/..%3b/admin",
        "/f/./admin",
        "/f/%2e",
    ] {
        for (what, server) in &servers {
            let status = server.get(path).status;
            assert!(matches!(status, 400 | 404), "{what} {path}: {status}");
        }
    }
    assert_eq!(upstream.accepted(), 0);
    for path in [
        "/f/a%2fb",
        "/f/.well-known/a..b/c.",
        "/f/...",
        "/f/%252e%252e/x",
        "/f/x?/../admin",
    ] {
        for (what, server) in &servers {
            assert_eq!(server.get(path).status, 200, "{what} {path}");
        }
    }
}

#[test]
fn no_rewrite_leads_out_of_a_path_by_what_the_client_says() {
    let file = |upstream: &Script| {
        to(upstream).rewrite(|request, onward| {
            let name = request.query_argument("name")?;
            onward.set_target(format!("/files/{name}"))
        })
    };
    let upstream = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let server = proxy(file(&upstream));
    assert_eq!(server.get("/f/x?name=../admin").status, 400);
    assert_eq!(server.get("/f/x?name=..%253b/admin").status, 400);
    assert_eq!(upstream.accepted(), 0);
    assert_eq!(server.get("/f/x?name=a..b").status, 200);
}

#[test]
fn dot_segments_go_along_where_a_program_says_so() {
    let server = |upstream: &Script| {
        let lax = Forward::to(upstream.url("")).allow_dot_segments(true);
        let lax = lax.rewrite(|_, onward| onward.set_target(format!("/x{}", onward.target())));
        TestServer::start(Application::new().not_found(lax))
    };
    let request = "GET /a/../b/..%2fc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let head = relayed_by(server, request);
    assert!(
        head.starts_with("GET /x/a/../b/..%2fc HTTP/1.1\r\n"),
        "{head}"
    );
}

#[test]
fn requests_that_two_parsers_read_differently_are_not_forwarded() {
    let upstream = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let server = proxy(to(&upstream));
    let long_name = "X".repeat(300);
    for (what, request) in [
        ("HTTP/1.0 with two codings", "POST /f/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n".to_owned()),
        ("length and coding", "POST /f/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        ("two lengths", "POST /f/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx".to_owned()),
        ("a signed length", "POST /f/x HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello".to_owned()),
        ("an empty length", "POST /f/x HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello".to_owned()),
        ("a folded coding", "POST /f/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n".to_owned()),
        ("another coding", "POST /f/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n".to_owned()),
        ("a coding with a tab in its name", "POST /f/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n".to_owned()),
        ("an empty name", "GET /f/x HTTP/1.1\r\nHost: a\r\n: x\r\nX: y\r\n\r\n".to_owned()),
        ("a line without a colon", "GET /f/x HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n".to_owned()),
        ("a NUL in a value", "GET /f/x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".to_owned()),
        ("a bare CR in a value", "GET /f/x HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n".to_owned()),
        ("a fragment", "GET /f/x#y HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a backslash", "GET /f\\x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("no host", "GET /f/x HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", "GET /f/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned()),
        ("a host with a user", "GET /f/x HTTP/1.1\r\nHost: a@b\r\n\r\n".to_owned()),
        ("a host with a comma", "GET /f/x HTTP/1.1\r\nHost: a,b\r\n\r\n".to_owned()),
        ("too many long names", format!("GET /f/x HTTP/1.1\r\nHost: a\r\n{}\r\n", format!("{long_name}: y\r\n").repeat(300))),
    ] {
        let answer = raw(&server, &request);
        assert!(answer.starts_with("HTTP/1.1 4"), "{what}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{what}: {answer}");
    }
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn answers_that_two_parsers_read_differently_are_not_relayed() {
    for (what, answer) in [
        (
            "length and coding",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        ),
        (
            "another coding",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a bare CR",
            "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "a NUL",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "space before the colon",
            "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        ),
        ("another protocol", "SSH-2.0-OpenSSH\r\n\r\n"),
    ] {
        let upstream = answering(answer);
        let relayed = proxy(to(&upstream)).get("/f/x");
        assert_eq!(relayed.status, 502, "{what}");
    }
    for (what, body) in [
        ("a bare LF behind a size", "5\nhello\r\n0\r\n\r\n"),
        ("a sign before a size", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a prefix before a size", "0x5\r\nhello\r\n0\r\n\r\n"),
        (
            "too large a size",
            "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ),
        ("no end behind the data", "5\r\nhello0\r\n\r\n"),
    ] {
        let upstream = script(move |_, mut peer| {
            peer.head();
            peer.write(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n{body}"
            ));
            assert!(peer.is_closed(), "{what}: it is not used again");
        });
        let answer = raw(&proxy(to(&upstream)), &get(""));
        assert!(!answer.ends_with("0\r\n\r\n"), "{what}: {answer}");
        assert!(!answer.contains("hello0"), "{what}: {answer}");
    }
}

#[test]
fn a_refusal_before_the_body_does_not_poison_the_next_request() {
    let upstream = script(|number, mut peer| {
        let head = peer.head().expect("a head");
        if number == 0 {
            assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
            peer.write("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
            assert!(
                peer.is_closed(),
                "the body that is owed would be the next request"
            );
        } else {
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let server = proxy(to(&upstream));
    let refused = raw(
        &server,
        "POST /f/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert!(refused.contains("\r\nConnection: close\r\n"), "{refused}");
    assert_eq!(server.get("/f/x").text(), "ok");
    assert_eq!(upstream.accepted(), 2);
}

#[test]
fn the_body_of_a_refused_request_is_no_request() {
    let upstream = script(|_, mut peer| {
        while let Some(head) = peer.head() {
            assert!(!head.contains("smuggled"), "{head}");
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let server = proxy(to(&upstream));
    let smuggled = "GET /f/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    // Refused here, because of its path; the next request is behind its body.
    let request = format!(
        "POST /f/..%2f HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        smuggled.len()
    );
    let answers = raw(&server, &request);
    assert!(answers.starts_with("HTTP/1.1 40"), "{answers}");
    assert!(answers.ends_with("ok"), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
}

#[test]
fn a_client_that_breaks_off_its_body_breaks_off_the_request() {
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let (closed, is_closed) = mpsc::channel();
        let upstream = script(move |_, mut peer| {
            peer.head();
            let body = peer.read_to_end();
            let _ = closed.send(String::from_utf8(body).expect("text"));
        });
        let server = proxy(to(&upstream));
        let mut tcp = server.connect();
        let request = format!("POST /f/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n5\r\nhello\r\n");
        tcp.write_all(request.as_bytes()).expect("sent");
        tcp.shutdown(std::net::Shutdown::Write).expect("a socket");
        let body = is_closed.recv().expect("told");
        assert!(!body.ends_with("0\r\n\r\n") && body.len() < 100, "{body}");
        let mut answer = String::new();
        let _ = tcp.read_to_string(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
        assert_eq!(server.get("/nowhere").status, 404, "it lives on");
    }
}
