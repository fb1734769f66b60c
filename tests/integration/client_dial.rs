//! New connections: how many are made at a time, and what a host that is slow to answer
//! costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use squall::IoLoop;
use squall::client::AsyncHttpClient;

use super::client_script::{on_loop, script};
use super::latch::{Latch, until};

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
    on_loop(async move {
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
            while client.stats().open < FETCHES || seen.load(Ordering::SeqCst) < DIALS {
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

/// Linux has every address that begins with 127, and lets a listener whose queue is full
/// say nothing at all.
#[cfg(target_os = "linux")]
#[test]
fn an_address_that_does_not_answer_does_not_keep_the_next_one_waiting() {
    use std::net::{IpAddr, SocketAddr, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::client_script::answering;

    let (good, silent) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let port = server.address().port();
    let dead = SocketAddr::from((silent, port));
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    full.bind(&dead.into()).expect("the port");
    full.listen(0).expect("listening");
    let _first = TcpStream::connect(dead).expect("room for one");
    on_loop(async move {
        let client = AsyncHttpClient::builder().host("two.test", [silent, good]);
        let url = format!("http://two.test:{port}/");
        let response = client.build().fetch(url).await.expect("an answer");
        assert_eq!(response.remote_addr().expect("an address").ip(), good);
    });
}
