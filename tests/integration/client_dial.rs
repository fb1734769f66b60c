//! New connections: how many are made at a time, and what a host that is slow to answer
//! costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
};

use squall::IoLoop;
use squall::client::{AsyncHttpClient, HttpRequest, Phase, Resolver, Resolving};
use squall_tests::{OK, on_one_lane, until};

use super::client_script::{answering, script};
use super::latch::Latch;

#[test]
fn no_more_connections_are_made_at_a_time_than_allowed() {
    const DIALS: usize = 2;
    const FETCHES: usize = 6;
    let (making, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (latch, at_most) = (Latch::default(), most.clone());
    let opens = latch.clone();
    // A connection is being made until its handshake is over, which here it never is.
    let server = script(move |_, mut peer| {
        let now = making.fetch_add(1, Ordering::SeqCst) + 1;
        at_most.fetch_max(now, Ordering::SeqCst);
        peer.read(1);
        latch.block();
        making.fetch_sub(1, Ordering::SeqCst);
    });
    let url = server.url("/").replace("http:", "https:");
    let seen = most.clone();
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().max_dials_per_origin(DIALS);
        let client = client.build();
        let fetches: Vec<_> = (0..FETCHES)
            .map(|_| {
                let (client, url) = (client.clone(), url.clone());
                IoLoop::current().spawn(async move { client.fetch(url).await.map(drop) })
            })
            .collect();
        // All of them have a place by then, and the first ones are at their handshake.
        let begun = async {
            let stats = || client.stats();
            while stats().dialling + stats().waiting < FETCHES
                || seen.load(Ordering::SeqCst) < DIALS
            {
                squall::yield_now().await;
            }
        };
        let begun = squall::with_timeout(Duration::from_secs(30), begun).await;
        opens.open();
        assert!(begun.is_ok(), "{:?}", client.stats());
        for fetch in fetches {
            let error = fetch.await.expect("no panic").expect_err("no handshake");
            assert!(error.is_tls(), "{error}");
        }
        assert_eq!(client.stats().open, 0);
    });
    until("all have dialled", || server.accepted() == FETCHES);
    assert_eq!(most.load(Ordering::SeqCst), DIALS);
}

#[test]
fn a_host_may_be_written_in_any_way() {
    let server = answering(OK);
    let port = server.address().port();
    on_one_lane(async move {
        for name in [
            "b\u{fc}cher.test",
            "B\u{dc}CHER.test.",
            "xn--bcher-kva.test",
        ] {
            let client = AsyncHttpClient::builder()
                .host(name, [[127, 0, 0, 1].into()])
                .build();
            for host in ["b\u{fc}cher.test", "xn--bcher-kva.test."] {
                let url = format!("http://{host}:{port}/");
                let response = client.fetch(url).await.expect("an answer");
                assert_eq!(response.code(), 200, "{name} {host}");
            }
        }
    });
}

/// A name may take no longer than it is given, and the error says which setting that was.
#[test]
fn a_name_that_is_not_found_in_time_is_an_error_of_its_own() {
    struct Silent;
    impl Resolver for Silent {
        fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
            Box::pin(std::future::pending())
        }
    }
    on_one_lane(async {
        let client = AsyncHttpClient::builder().resolver(Silent).build();
        let request = HttpRequest::get("http://slow.test/").dns_timeout(Duration::from_millis(30));
        let error = client.fetch(request).await.expect_err("no address");
        assert!(error.is_timeout() && error.is_connect(), "{error}");
        assert_eq!((error.phase(), error.code()), (Phase::Dns, 599), "{error}");
        assert!(error.to_string().contains("dns_timeout"), "{error}");
        assert_eq!(client.stats().open, 0);
    });
}

/// An address that takes no connection and refuses none: Linux has every address that
/// begins with 127, and lets a listener whose queue is full say nothing at all.
#[cfg(target_os = "linux")]
fn silent(port: u16) -> (IpAddr, impl Sized) {
    use socket2::{Domain, Socket, Type};

    let ip = IpAddr::from([127, 0, 0, 2]);
    let address = SocketAddr::from((ip, port));
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    full.bind(&address.into()).expect("the port");
    full.listen(0).expect("listening");
    let first = TcpStream::connect(address).expect("room for one");
    (ip, (full, first))
}

/// The second address would answer too, but is of the same family as the silent one.
#[cfg(target_os = "linux")]
#[test]
fn the_families_take_turns() {
    let both = (0..10).find_map(|_| {
        let four = answering(OK);
        let six = TcpListener::bind((Ipv6Addr::LOCALHOST, four.address().port())).ok()?;
        Some((four, six))
    });
    let Some((four, six)) = both else {
        eprintln!("skipped: no IPv6 here");
        return;
    };
    std::thread::spawn(move || {
        let (mut stream, _) = six.accept().expect("a connection");
        let mut head = [0; 4096];
        let read = stream.read(&mut head).expect("a request");
        assert!(read > 0);
        stream.write_all(OK.as_bytes()).expect("still there");
    });
    let port = four.address().port();
    let (silent, _full) = silent(port);
    on_one_lane(async move {
        let addresses = [silent, [127, 0, 0, 1].into(), Ipv6Addr::LOCALHOST.into()];
        let client = AsyncHttpClient::builder().host("two.test", addresses);
        let url = format!("http://two.test:{port}/");
        let response = client.build().fetch(url).await.expect("an answer");
        assert!(response.remote_addr().expect("an address").is_ipv6());
    });
    assert_eq!(four.accepted(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_that_does_not_answer_does_not_keep_the_next_one_waiting() {
    let good = IpAddr::from([127, 0, 0, 1]);
    let server = answering(OK);
    let port = server.address().port();
    let (silent, _full) = silent(port);
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().host("two.test", [silent, good]);
        let url = format!("http://two.test:{port}/");
        let response = client.build().fetch(url).await.expect("an answer");
        assert_eq!(response.remote_addr().expect("an address").ip(), good);
    });
}
