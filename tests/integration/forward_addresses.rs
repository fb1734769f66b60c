//! Upstreams that are found by a name of several addresses: 127.0.0.2 and others, which
//! Linux has without being told.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall::client::{AsyncHttpClient, Resolver, Resolving};
use squall::forward::{Balance, Forward, Upstreams};
use squall::testing::TestServer;
use squall::{Application, any};

use super::forward::proxy;
use super::forward_upstreams::{answers, named};

#[test]
fn the_addresses_of_a_name_are_not_believed_for_ever() {
    /// The name is where it is said to be.
    struct Moving(Arc<Mutex<IpAddr>>);
    impl Resolver for Moving {
        fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
            let at = *self.0.lock().expect("it");
            Box::pin(async move { Ok(vec![at]) })
        }
    }
    let upstream = named("a");
    let place = Arc::new(Mutex::new([127, 0, 0, 1].into()));
    let client = AsyncHttpClient::builder().resolver(Moving(place.clone()));
    let client = client.connect_timeout(Duration::ZERO).build();
    let name = format!("http://backend.test:{}", upstream.address().port());
    let forward = Forward::to(Upstreams::of_name(&name)).client(&client);
    let application = Application::new().route("/f/{*path}", any(forward));
    let (server, clock) = TestServer::start_turned(application);
    assert_eq!(server.get("/f/x").status, 200);
    *place.lock().expect("it") = [127, 0, 0, 2].into();
    clock.advance(Duration::from_secs(20));
    assert_eq!(server.get("/f/x").status, 200, "it may still be there");
    clock.advance(Duration::from_secs(600));
    assert_eq!(server.get("/f/x").status, 502, "it is not any more");
}

#[test]
fn every_address_of_a_name_is_an_upstream() {
    let listener = TcpListener::bind("127.0.0.2:0").expect("an address of the machine");
    let port = listener.local_addr().expect("an address").port();
    let second = TcpListener::bind(("127.0.0.3", port)).expect("the same port elsewhere");
    for (listener, name) in [(listener, 'a'), (second, 'b')] {
        std::thread::spawn(move || {
            for mut tcp in listener.incoming().map_while(Result::ok) {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if !matches!(tcp.read(&mut byte), Ok(1)) {
                        break;
                    }
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let host = head.contains("Host: backend.test:");
                let answer = if host { name } else { '?' };
                let _ = write!(
                    tcp,
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{answer}"
                );
            }
        });
    }
    let addresses = ["127.0.0.2", "127.0.0.3"].map(|ip| ip.parse().expect("an address"));
    let client = AsyncHttpClient::builder()
        .host("backend.test", addresses)
        .build();
    let upstreams = Upstreams::of_name(&format!("http://backend.test:{port}"));
    let forward = Forward::to(upstreams.balance(Balance::round_robin())).client(&client);
    let server = proxy(forward.clone());
    assert_eq!(answers(&server, 4), "abab");
    assert_eq!(forward.stats().len(), 2);
}
