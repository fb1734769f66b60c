//! Upstreams that are found by name.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use squall::client::{AsyncHttpClient, Proxy, Resolver, Resolving};
use squall::forward::{Forward, Upstreams};
use squall::sync::Event;
use squall::testing::{ExpectLog, Nobody, TestServer};
use squall::{Application, any};
use squall_tests::until;

use super::client_script::{Script, answering, script};
use super::forward::{proxy, raw};
use super::forward_upstreams::named;

#[test]
fn a_name_is_asked_past_the_proxy_if_the_list_has_it() {
    let upstream = named("a");
    let nobody = Nobody::bind();
    let proxy_there = Proxy::new(&nobody.url("")).expect("an address");
    let name = format!("http://backend.test:{}", upstream.address().port());
    for (no_proxy, status) in [("backend.test", 200), ("other.test", 502)] {
        let client = AsyncHttpClient::builder()
            .host("backend.test", [[127, 0, 0, 1].into()])
            .proxy(proxy_there.clone().no_proxy(no_proxy))
            .build();
        let forward = Forward::to(Upstreams::of_name(&name)).client(&client);
        assert_eq!(proxy(forward).get("/f/x").status, status, "{no_proxy}");
    }
}

#[test]
fn a_proxy_is_told_the_name_and_not_its_address() {
    let (seen, sees) = mpsc::channel();
    let there = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let _ = seen.send(head);
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let client = AsyncHttpClient::builder()
        .host("backend.test", [[127, 0, 0, 1].into()])
        .proxy(Proxy::new(&there.url("")).expect("an address"))
        .build();
    let forward = Forward::to(Upstreams::of_name("http://backend.test:8080")).client(&client);
    assert_eq!(proxy(forward).get("/f/x").status, 200);
    let head = sees.recv().expect("forwarded");
    let begin = "GET http://backend.test:8080/f/x HTTP/1.1\r\nHost: backend.test:8080\r\n";
    assert!(head.starts_with(begin), "{head}");
}

#[test]
fn a_name_without_an_address_is_a_503() {
    let nowhere = AsyncHttpClient::builder().host("backend.test", []).build();
    let forward = Forward::to(Upstreams::of_name("http://backend.test")).client(&nowhere);
    assert_eq!(proxy(forward).get("/f/x").status, 503);
}

/// A resolver that finds the machine itself, after the first `quick` look-ups only when it is
/// told to.
struct Slow {
    asked: AtomicUsize,
    quick: usize,
    go: Event,
}

impl Slow {
    fn new(quick: usize) -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicUsize::new(0),
            quick,
            go: Event::new(),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

struct Asks(Arc<Slow>);

impl Resolver for Asks {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        let is_slow = self.0.asked.fetch_add(1, Ordering::SeqCst) >= self.0.quick;
        Box::pin(async move {
            if is_slow {
                self.0.go.wait().await;
            }
            Ok(vec![[127, 0, 0, 1].into()])
        })
    }
}

/// Forwards to an upstream that such a resolver finds.
fn by_name(resolver: &Arc<Slow>, upstream: &Script) -> Application {
    let client = AsyncHttpClient::builder().resolver(Asks(resolver.clone()));
    let client = client.connect_timeout(Duration::ZERO).build();
    let name = format!("http://backend.test:{}", upstream.address().port());
    let forward = Forward::to(Upstreams::of_name(&name)).client(&client);
    let forward = forward.idle_timeout(Duration::ZERO);
    Application::new().route("/f/{*path}", any(forward))
}

#[test]
fn a_look_up_outlives_the_request_that_has_begun_it() {
    let (upstream, resolver) = (named("a"), Slow::new(0));
    let server = TestServer::start(by_name(&resolver, &upstream));
    let log = ExpectLog::on(&server);
    let mut tcp = server.connect();
    tcp.write_all(b"GET /f/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    until("the look-up", || resolver.asked() == 1);
    drop(tcp);
    log.expect("squall::access", "status=499");
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| server.get("/f/x").text());
        until("the second request", || server.app().stats().requests == 2);
        resolver.go.set();
        assert_eq!(answer.join().expect("no panic"), "a");
    });
    assert_eq!(resolver.asked(), 1, "one look-up for both");
}

#[test]
fn old_addresses_are_used_where_a_look_up_takes_long() {
    let (upstream, resolver) = (named("a"), Slow::new(1));
    let (server, clock) = TestServer::start_turned(by_name(&resolver, &upstream));
    assert_eq!(server.get("/f/x").text(), "a");
    clock.advance(Duration::from_secs(600));
    let (answered, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answered.send(server.get("/f/x").text()));
        until("the look-up", || resolver.asked() == 2);
        let soon = Duration::from_millis(100);
        let text = std::iter::repeat_with(|| answers.recv_timeout(soon)).find_map(|answer| {
            answer
                .inspect_err(|_| clock.advance(Duration::from_secs(1)))
                .ok()
        });
        assert_eq!(text.as_deref(), Some("a"));
        // Nobody waits for it any more.
        assert_eq!(server.get("/f/x").text(), "a");
    });
    assert_eq!(resolver.asked(), 2, "it is still on its way");
    resolver.go.set();
}

#[test]
fn addresses_that_are_none_are_a_500() {
    for upstreams in [
        Upstreams::of(Vec::<String>::new()),
        Upstreams::of(["http://a.test/x", "http://a.test/y"]),
        Upstreams::of(["ftp://a.test"]),
        Upstreams::of_name("nonsense"),
    ] {
        let server = proxy(Forward::to(upstreams));
        assert_eq!(server.get("/f/x").status, 500);
    }
    // A path that all have is one.
    let upstream = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let base = upstream.url("/base/");
    let answer = raw(
        &proxy(Forward::to(Upstreams::of([&base, &base]))),
        "GET /f/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.ends_with("ok"), "{answer}");
}
