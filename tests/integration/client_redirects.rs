//! Redirects: what is followed, what goes along, what stays behind.

use std::sync::mpsc;

use squall::client::{AsyncHttpClient, FetchError, HttpRequest, Phase};
use squall::{Body, BodyError, Bytes};
use squall_tests::on_one_lane;

use super::client_script::{Script, script};

/// Redirects `/N` to `/N-1`, until `/0` answers; tells every head and body it gets.
fn countdown(status: u16) -> (Script, mpsc::Receiver<(String, String)>) {
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let len = head
                .split("Content-Length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next());
            let body = peer.read(len.map_or(0, |len| len.parse().expect("a length")));
            let left: u32 = head
                .split(['/', ' '])
                .nth(2)
                .and_then(|n| n.parse().ok())
                .expect("a number");
            seen.send((head, String::from_utf8(body).expect("text")))
                .expect("waited for");
            peer.write(match left {
                0 => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
                left => format!(
                    "HTTP/1.1 {status} Go\r\nLocation: {}\r\nContent-Length: 4\r\n\r\ngone",
                    left - 1
                ),
            });
        }
    });
    (server, sees)
}

/// Answers every request with a redirect to `location`.
fn pointing(location: String) -> Script {
    script(move |_, mut peer| {
        while peer.head().is_some() {
            peer.write(format!(
                "HTTP/1.1 302 Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            ));
        }
    })
}

fn fetch(request: HttpRequest) -> Result<u16, FetchError> {
    on_one_lane(async move {
        AsyncHttpClient::new()
            .fetch(request)
            .await
            .map(|r| r.code())
    })
}

#[test]
fn a_body_that_does_not_come_does_not_hold_a_redirect_up() {
    let server = script(|number, mut peer| {
        peer.head();
        if number == 0 {
            peer.write("HTTP/1.1 302 Go\r\nLocation: /b\r\nContent-Length: 5\r\n\r\n");
            assert!(peer.is_closed());
        } else {
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    assert_eq!(fetch(server.url("/a").into()).expect("an answer"), 200);
}

#[test]
fn what_cannot_be_followed_is_told_without_its_secrets() {
    for location in [
        "ftp://user:secret@b.test/c?token=secret",
        "view-source:https://user:secret@b.test/",
        "http://user:secret@a b/c?token=secret#secret",
        "\\\\user:secret@a b\\c?token=secret",
    ] {
        let server = pointing(location.to_owned());
        let error = fetch(HttpRequest::new(server.url("/"))).expect_err(location);
        let told = error.to_string();
        assert!(error.is_redirect(), "{told}");
        assert!(!format!("{error:?} {told}").contains("secret"), "{told}");
    }
    for address in [
        "http://user:secret@a b/c?secret",
        "http://user:secret/secret@a/",
        "http://user:secret#secret@a/",
        "http://user:secret?secret@a/",
        "http:/user:secret@a b/",
        "http:\\\\\\user:secret@a b/",
        "user:secret@a b/",
        "a.test/?token=secret&next=https://b.test/",
        "http://a.test:port/?mail=u@b.test&token=secret",
    ] {
        let error = fetch(HttpRequest::new(address)).expect_err("no address");
        assert!(error.is_request(), "{error}");
        assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
    }
}

#[test]
fn exactly_the_allowed_number_is_followed() {
    let (server, _sees) = countdown(302);
    let request = |hops: u32| HttpRequest::new(server.url(&format!("/{hops}"))).max_redirects(3);
    assert_eq!(fetch(request(3)).expect("an answer"), 200);
    let error = fetch(request(4)).expect_err("one too many");
    assert!(error.to_string().contains("max_redirects"), "{error}");
    assert_eq!(
        fetch(request(2).follow_redirects(false)).expect("an answer"),
        302
    );
}

#[test]
fn hops_of_one_origin_share_a_connection() {
    let (server, _sees) = countdown(302);
    fetch(HttpRequest::new(server.url("/5"))).expect("an answer");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn methods_and_bodies_follow_the_status() {
    for (status, method, then, body) in [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (302, "PUT", "PUT", "body"),
        (303, "PUT", "GET", ""),
        (307, "POST", "POST", "body"),
        (308, "POST", "POST", "body"),
    ] {
        let (server, sees) = countdown(status);
        let request = HttpRequest::new(server.url("/1")).method(method.parse().expect("one"));
        fetch(request.header("X-A", "1").body("body")).expect("an answer");
        sees.recv().expect("the first hop");
        let (head, sent) = sees.recv().expect("the second hop");
        let case = format!("{status} {method}: {head}");
        assert!(
            head.starts_with(&format!("{then} /0 ")) && head.contains("X-A: 1"),
            "{case}"
        );
        assert_eq!(sent, body, "{case}");
        assert_eq!(head.contains("Content-Type"), !body.is_empty(), "{case}");
    }
}

#[test]
fn a_streamed_body_cannot_be_sent_twice() {
    let (server, _sees) = countdown(307);
    let mut chunk = Some(Ok::<_, BodyError>(Bytes::from("x")));
    let body = Body::from_fn(move || {
        let chunk = chunk.take();
        async move { chunk }
    });
    let error = fetch(HttpRequest::put(server.url("/1")).body(body));
    let error = error.expect_err("it is gone");
    assert_eq!(error.phase(), Phase::Redirect);
    assert!(error.to_string().contains("streamed"), "{error}");
}

#[test]
fn credentials_stay_with_their_origin_and_never_come_back() {
    let (seen, sees) = mpsc::channel();
    let home = script({
        let seen = seen.clone();
        move |_, mut peer| {
            while let Some(head) = peer.head() {
                let away = head
                    .split(' ')
                    .nth(1)
                    .and_then(|path| path.strip_prefix("/to/"));
                let location = away.map(|port| format!("http://u:p@127.0.0.1:{port}/"));
                seen.send(("home", head.clone())).expect("waited for");
                peer.write(match location {
                    Some(location) => format!(
                        "HTTP/1.1 302 Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                    ),
                    None => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
                });
            }
        }
    });
    let back = home.url("/back");
    let away = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            seen.send(("away", head)).expect("waited for");
            peer.write(format!(
                "HTTP/1.1 302 Go\r\nLocation: {back}\r\nContent-Length: 0\r\n\r\n"
            ));
        }
    });
    let request = HttpRequest::new(home.url(&format!("/to/{}", away.address().port())))
        .bearer("secret")
        .header("Cookie", "a=1")
        .header("cookie", "b=2")
        .secret_header("X-Api-Key", "k")
        .header("X-Kept", "1");
    fetch(request).expect("an answer");
    let heads: Vec<_> = sees.try_iter().collect();
    let hosts: Vec<_> = heads.iter().map(|(host, _)| *host).collect();
    assert_eq!(hosts, ["home", "away", "home"]);
    for (at, (_, head)) in heads.iter().enumerate() {
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("x-kept"), "{head}");
        for name in ["authorization:", "cookie:", "x-api-key:"] {
            assert_eq!(lower.contains(name), at == 0, "{head}");
        }
    }
}

#[test]
fn some_places_are_not_gone_to() {
    for (location, why) in [
        ("file:///etc/passwd", "file"),
        ("ftp://a.test/", "ftp"),
        ("data:,x", "data"),
        ("javascript:alert(1)", "javascript"),
        ("http://[", "http://["),
        ("x\r\nLocation: y", "several"),
    ] {
        let server = pointing(location.to_owned());
        let error = fetch(HttpRequest::new(server.url("/"))).expect_err(location);
        assert_eq!(error.phase(), Phase::Redirect, "{location}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// Which answers lead on, by their first line and their fields.
#[test]
fn an_answer_leads_on_only_by_a_status_and_a_place() {
    for (answer, code, asked) in [
        ("301 Moved\r\nLocation: /next", 200, 2),
        ("308 Moved\r\nLocation: next?a=%20b", 200, 2),
        ("302 Found\r\nLocation: /next\r\nLocation: /next", 200, 2),
        ("302 Found\r\nLocation:   /next  ", 200, 2),
        // No place, or no status that leads there.
        ("302 Found\r\nX: y", 302, 1),
        ("300 Choose\r\nLocation: /next", 300, 1),
        ("304 Same\r\nLocation: /next", 304, 1),
        ("305 Proxy\r\nLocation: /next", 305, 1),
        ("306 Old\r\nLocation: /next", 306, 1),
        ("399 New\r\nLocation: /next", 399, 1),
        ("200 OK\r\nLocation: /next\r\nRefresh: 0; url=/next", 200, 1),
        ("201 Created\r\nLocation: /next", 201, 1),
        ("404 Gone\r\nLocation: /next", 404, 1),
    ] {
        let (seen, sees) = mpsc::channel();
        let first = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        let server = script(move |_, mut peer| {
            while let Some(head) = peer.head() {
                let next = head.contains("next");
                let _ = seen.send(());
                peer.write(match next {
                    true => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                    false => &first,
                });
            }
        });
        assert_eq!(
            fetch(HttpRequest::new(server.url("/"))).expect(answer),
            code
        );
        assert_eq!(sees.try_iter().count(), asked, "{answer}");
    }
}

#[test]
fn a_place_that_leads_back_to_itself_is_left_in_the_end() {
    for location in ["", "/", "#here", "?"] {
        let server = pointing(location.to_owned());
        let request = HttpRequest::new(server.url("/")).max_redirects(3);
        let error = fetch(request).expect_err(location);
        assert!(error.to_string().contains("max_redirects"), "{error}");
    }
}
