//! Proxies at the wire: what they are told, what they are not, and what fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use squall::IoLoop;
use squall::client::{AsyncHttpClient, FetchError, HttpRequest, Phase, Proxy, Retry};
use squall::testing::TestClock;
use squall_tests::{OK, on_one_lane};

use super::client_script::{Script, answering, script};

/// A proxy of its own kind, and everything that it was sent.
fn recording(
    serve: impl Fn(&mut dyn FnMut(&str), &mut super::client_script::Peer) + Send + Sync + 'static,
) -> (Script, mpsc::Receiver<String>) {
    let (seen, sees) = mpsc::channel();
    let proxy = script(move |_, mut peer| {
        let mut tell = |what: &str| seen.send(what.to_owned()).expect("waited for");
        serve(&mut tell, &mut peer);
    });
    (proxy, sees)
}

fn fetch(proxy: &str, request: HttpRequest) -> Result<(u16, String), FetchError> {
    let proxy = Proxy::new(proxy).expect("a proxy");
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().proxy(proxy).build();
        let mut response = client.fetch(request).await?;
        Ok((response.code(), response.text().await?))
    })
}

#[test]
fn plain_requests_go_to_the_proxy_with_their_whole_address() {
    let (proxy, sees) = recording(|tell, peer| {
        while let Some(head) = peer.head() {
            tell(&head);
            peer.write(OK);
        }
    });
    let address = format!("http://user:p%40ss@{}", proxy.address());
    let proxy = Proxy::new(&address).expect("a proxy");
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().proxy(proxy).build();
        // Different hosts share the connection to the proxy.
        for url in ["http://a.test/x?y=z", "http://b.test:8080/"] {
            let response = client.fetch(url).await.expect("an answer");
            assert_eq!(response.code(), 200);
            drop(response.into_body().collect(10).await);
        }
    });
    let heads: Vec<_> = sees.try_iter().collect();
    assert!(
        heads[0].starts_with("GET http://a.test/x?y=z HTTP/1.1\r\n"),
        "{heads:?}"
    );
    assert!(heads[0].contains("\r\nHost: a.test\r\n"), "{heads:?}");
    assert!(
        heads[1].starts_with("GET http://b.test:8080/ HTTP/1.1\r\n"),
        "{heads:?}"
    );
    for head in &heads {
        assert!(
            head.contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"),
            "{head}"
        );
    }
}

#[test]
fn a_connection_to_a_proxy_is_for_one_user() {
    let proxy = answering(OK);
    let address = proxy.address();
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        for (user, reused) in [
            ("ann:secret", false),
            ("bob:secret", false),
            ("ann:other", false),
            ("ann:secret", true),
        ] {
            let proxy = Proxy::new(&format!("http://{user}@{address}")).expect("a proxy");
            let request = HttpRequest::get("http://a.test/").proxy(proxy);
            let response = client.fetch(request).await.expect("an answer");
            assert_eq!(response.reused(), reused, "{user}");
        }
    });
}

#[test]
fn https_goes_through_a_tunnel_and_the_proxy_gets_no_byte_before_it_agrees() {
    let (proxy, sees) = recording(|tell, peer| {
        tell(&peer.head().expect("a head"));
        peer.write("HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\nwho");
        tell(if peer.is_closed() { "closed" } else { "more" });
    });
    let error = fetch(
        &format!("http://{}", proxy.address()),
        HttpRequest::get("https://a.test/secret").bearer("t0ken"),
    );
    let error = error.expect_err("no tunnel");
    assert_eq!(error.phase(), Phase::Proxy);
    assert!(error.to_string().contains("407"), "{error}");
    assert!(error.is_connect());
    let told: Vec<_> = sees.iter().take(2).collect();
    assert_eq!(
        told,
        [
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
            "closed"
        ]
    );
}

#[test]
fn what_the_proxy_adds_to_its_answer_is_not_taken_for_the_servers() {
    let (proxy, _sees) = recording(|_, peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        peer.is_closed();
    });
    let proxy = format!("http://{}", proxy.address());
    let error = fetch(&proxy, HttpRequest::get("https://a.test/")).expect_err("refused");
    assert!(
        error.to_string().contains("more than its answer"),
        "{error}"
    );
}

#[test]
fn socks_is_told_the_name_or_the_address_as_wanted() {
    let serve = |tell: &mut dyn FnMut(&str), peer: &mut super::client_script::Peer| {
        assert_eq!(peer.read(4), [5, 2, 2, 0]);
        peer.write([5, 2]);
        assert_eq!(peer.read(1), [1]);
        let user = usize::from(peer.read(1)[0]);
        let user = String::from_utf8(peer.read(user)).expect("text");
        let password = usize::from(peer.read(1)[0]);
        let password = String::from_utf8(peer.read(password)).expect("text");
        peer.write([1, 0]);
        let start = peer.read(4);
        let host = match start[3] {
            3 => {
                let len = usize::from(peer.read(1)[0]);
                String::from_utf8(peer.read(len)).expect("text")
            }
            1 => format!("{:?}", peer.read(4)),
            _ => format!("{:?}", peer.read(16)),
        };
        let port = u16::from_be_bytes(peer.read(2).try_into().expect("two bytes"));
        tell(&format!("{user}:{password}@{host}:{port}"));
        peer.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        while let Some(head) = peer.head() {
            tell(head.lines().next().unwrap_or_default());
            peer.write(OK);
        }
    };
    for (scheme, url, asked) in [
        ("socks5h", "http://a.test/x", "me:pw@a.test:80"),
        ("socks5", "http://127.0.0.1:1/x", "me:pw@[127, 0, 0, 1]:1"),
    ] {
        let (proxy, sees) = recording(serve);
        let proxy = format!("{scheme}://me:pw@{}", proxy.address());
        let answer = fetch(&proxy, HttpRequest::get(url)).expect("an answer");
        assert_eq!(answer, (200, "ok".to_owned()));
        assert_eq!(
            sees.try_iter().collect::<Vec<_>>(),
            [asked, "GET /x HTTP/1.1"]
        );
    }
}

#[test]
fn a_socks_proxy_that_wants_no_credentials_is_told_none() {
    let (proxy, sees) = recording(|tell, peer| {
        assert_eq!(peer.read(4), [5, 2, 2, 0]);
        peer.write([5, 0]);
        // The next byte is the request's first.
        assert_eq!(peer.read(5 + 6 + 2)[..5], [5, 1, 0, 3, 6]);
        peer.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        tell(&peer.head().expect("a head"));
        peer.write(OK);
    });
    let proxy = format!("socks5h://me:pw@{}", proxy.address());
    let answer = fetch(&proxy, HttpRequest::get("http://a.test/x"));
    assert_eq!(answer.expect("an answer"), (200, "ok".to_owned()));
    assert!(
        sees.iter()
            .next()
            .is_some_and(|head| head.starts_with("GET /x "))
    );
}

#[test]
fn a_socks_proxy_may_choose_only_what_was_offered() {
    for (credentials, chosen, why) in [
        ("", [5, 2], "was not offered"),
        ("", [5, 0xff], "wants credentials"),
        ("me:pw@", [5, 1], "was not offered"),
        ("me:pw@", [5, 0xff], "no user and password"),
        ("me:pw@", [4, 0], "SOCKS5"),
    ] {
        let (proxy, _sees) = recording(move |_, peer| {
            peer.read(if credentials.is_empty() { 3 } else { 4 });
            peer.write(chosen);
            peer.is_closed();
        });
        let proxy = format!("socks5h://{credentials}{}", proxy.address());
        let error = fetch(&proxy, HttpRequest::get("http://a.test/")).expect_err("refused");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.phase(), Phase::Proxy);
    }
}

#[test]
fn a_socks_proxy_is_asked_for_each_address_of_a_host() {
    let proxy = script(|_, mut peer| {
        peer.read(3);
        peer.write([5, 0]);
        let asked = peer.read(4);
        // No route to addresses of the newer kind.
        match asked[3] {
            4 => {
                peer.read(18);
                peer.write([5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            _ => {
                peer.read(6);
                peer.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
                peer.head();
                peer.write(OK);
            }
        }
    });
    let address = format!("socks5://{}", proxy.address());
    let via = Proxy::new(&address).expect("a proxy");
    let code = on_one_lane(async move {
        let both = ["2001:db8::1", "192.0.2.1"].map(|ip| ip.parse().expect("an address"));
        let client = AsyncHttpClient::builder().host("a.test", both).proxy(via);
        let response = client.build().fetch("http://a.test/").await;
        response.map(|response| response.code())
    });
    assert_eq!(code.expect("an answer"), 200);
    assert_eq!(proxy.accepted(), 2);
}

#[test]
fn what_a_socks_proxy_does_not_support_is_not_asked_for_again() {
    for (reply, asked) in [(4, 2), (7, 1), (8, 1)] {
        let proxy = script(move |_, mut peer| {
            peer.read(3);
            peer.write([5, 0]);
            peer.read(5 + 6 + 2);
            peer.write([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
            peer.is_closed();
        });
        let via = Proxy::new(&format!("socks5h://{}", proxy.address())).expect("a proxy");
        let error = on_one_lane(async move {
            let client = AsyncHttpClient::builder().proxy(via).retry(Retry::times(1));
            client.build().fetch("http://a.test/").await.map(|_| ())
        });
        assert_eq!(error.expect_err("refused").phase(), Phase::Proxy);
        assert_eq!(proxy.accepted(), asked, "{reply}");
    }
}

/// A client that finds a host at two addresses, and asks this SOCKS proxy for both.
fn at_two_addresses(proxy: &str) -> AsyncHttpClient {
    let both = ["2001:db8::1", "192.0.2.1"].map(|ip| ip.parse().expect("an address"));
    AsyncHttpClient::builder()
        .host("a.test", both)
        .proxy(Proxy::new(proxy).expect("a proxy"))
        .connect_timeout(Duration::ZERO)
        .request_timeout(Duration::ZERO)
        .build()
}

#[test]
fn a_socks_proxy_that_is_silent_about_one_address_is_asked_for_the_next() {
    let clock = TestClock::new();
    let (turned, asked_again) = (clock.clone(), AtomicBool::new(false));
    let proxy = script(move |_, mut peer| {
        peer.read(3);
        peer.write([5, 0]);
        if peer.read(4)[3] == 4 {
            peer.read(18);
            while !asked_again.load(Ordering::SeqCst) {
                turned.advance(Duration::from_millis(100));
                thread::yield_now();
            }
            return;
        }
        asked_again.store(true, Ordering::SeqCst);
        peer.read(6);
        peer.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        peer.head();
        peer.write(OK);
    });
    let client = at_two_addresses(&format!("socks5://{}", proxy.address()));
    let io_loop = IoLoop::builder().lanes(1).clock(&clock).build();
    let io_loop = io_loop.expect("a loop");
    let fetched = io_loop.run(async move {
        let response = client.fetch("http://a.test/").await;
        response.map(|response| response.code())
    });
    io_loop.stop();
    assert_eq!(fetched.expect("no panic").expect("an answer"), 200);
}

#[test]
fn a_socks_proxy_is_not_asked_again_for_what_another_address_does_not_mend() {
    let (password, rules) = ([1, 1].to_vec(), [5, 2, 0, 1, 0, 0, 0, 0, 0, 0].to_vec());
    for (method, asks, answer, why) in [
        (2, 1 + 3 + 3, password, "user or password"),
        (0, 4 + 18, rules, "rules do not allow"),
        (1, 0, Vec::new(), "was not offered"),
    ] {
        let proxy = script(move |_, mut peer| {
            peer.read(4);
            peer.write([5, method]);
            peer.read(asks);
            peer.write(&answer);
            peer.is_closed();
        });
        let client = at_two_addresses(&format!("socks5://me:pw@{}", proxy.address()));
        let fetched = on_one_lane(async move { client.fetch("http://a.test/").await.map(drop) });
        let error = fetched.expect_err("refused");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(proxy.accepted(), 1, "{why}");
    }
}

#[test]
fn a_socks_proxy_is_told_an_empty_password() {
    let (proxy, sees) = recording(|tell, peer| {
        peer.read(4);
        peer.write([5, 2]);
        tell(&format!("{:?}", peer.read(5)));
        peer.write([1, 0]);
        peer.read(5 + 6 + 2);
        peer.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        peer.head();
        peer.write(OK);
    });
    let proxy = format!("socks5h://me@{}", proxy.address());
    let answer = fetch(&proxy, HttpRequest::get("http://a.test/"));
    assert_eq!(answer.expect("an answer").0, 200);
    let told = [1, 2, b'm', b'e', 0];
    assert_eq!(sees.iter().next(), Some(format!("{told:?}")));
}

#[test]
fn an_interim_answer_as_long_as_what_is_read_at_a_time_is_not_the_end() {
    let (proxy, _sees) = recording(|_, peer| {
        peer.head();
        let start = "HTTP/1.1 103 Early Hints\r\nX: ";
        let rest = "x".repeat(1024 - start.len() - 4);
        peer.write(format!("{start}{rest}\r\n\r\n"));
        peer.write("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
        peer.is_closed();
    });
    let proxy = format!("http://{}", proxy.address());
    let error = fetch(&proxy, HttpRequest::get("https://a.test/")).expect_err("no tunnel");
    assert!(error.to_string().contains("407"), "{error}");
}

#[test]
fn a_socks_proxy_that_refuses_says_why() {
    for (reply, why) in [
        (2, "rules"),
        (4, "route to the host"),
        (5, "refused the connection"),
    ] {
        let (proxy, _sees) = recording(move |_, peer| {
            peer.read(3);
            peer.write([5, 0]);
            peer.read(5 + 6 + 2);
            peer.write([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
            peer.is_closed();
        });
        let proxy = format!("socks5h://{}", proxy.address());
        let error = fetch(&proxy, HttpRequest::get("http://a.test/")).expect_err("refused");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.phase(), Phase::Proxy);
    }
}

#[test]
fn hosts_of_the_no_proxy_list_and_requests_that_want_none_go_directly() {
    let (proxy, sees) = recording(|tell, peer| {
        while let Some(head) = peer.head() {
            tell(&head);
            peer.write("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let server = answering(OK);
    let (url, address) = (server.url("/"), format!("http://{}", proxy.address()));
    on_one_lane(async move {
        let everything = Proxy::new(&address).expect("a proxy");
        let listed = everything.clone().no_proxy("127.0.0.0/8");
        let client = AsyncHttpClient::builder().proxy(listed).build();
        assert_eq!(client.fetch(&url).await.expect("an answer").code(), 200);
        let client = AsyncHttpClient::builder().proxy(everything).build();
        let direct = HttpRequest::get(&url).proxy(Proxy::none());
        assert_eq!(client.fetch(direct).await.expect("an answer").code(), 200);
        assert_eq!(client.fetch(&url).await.expect("an answer").code(), 502);
    });
    assert_eq!(sees.try_iter().count(), 1);
}
