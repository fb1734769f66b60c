//! The guard against requests to inside addresses, and resolvers of one's own.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use squall::client::{AsyncHttpClient, FetchError, HttpRequest, Phase, Proxy, Resolver, Resolving};
use squall_tests::{OK, on_one_lane};

use super::client_script::answering;

/// Every name is at the same addresses.
struct Fixed(Vec<IpAddr>, Arc<AtomicUsize>);

impl Resolver for Fixed {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if host == "nowhere.test" {
                return Err(io::Error::new(io::ErrorKind::NotFound, "no such name"));
            }
            Ok(self.0.clone())
        })
    }
}

fn guarded(url: String) -> Result<u16, FetchError> {
    on_one_lane(async move {
        let loopback = Fixed(vec![[127, 0, 0, 1].into()], Arc::default());
        let client = AsyncHttpClient::builder()
            .public_only(true)
            .resolver(loopback);
        client.build().fetch(url).await.map(|answer| answer.code())
    })
}

#[test]
fn no_form_of_an_inside_address_is_connected_to() {
    let server = answering(OK);
    let port = server.address().port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "rebound.test",
        "169.254.169.254",
        "10.0.0.1",
        "0.0.0.0",
    ] {
        let error = guarded(format!("http://{host}:{port}/")).expect_err(host);
        assert_eq!(error.phase(), Phase::Dns, "{error}");
        assert!(error.to_string().contains("public_only"), "{error}");
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_proxy_is_not_led_inside_either() {
    let proxy = answering(OK);
    let address = format!("http://{}", proxy.address());
    let error = on_one_lane(async move {
        let loopback = Fixed(vec![[127, 0, 0, 1].into()], Arc::default());
        let client = AsyncHttpClient::builder()
            .public_only(true)
            .resolver(loopback)
            .proxy(Proxy::new(&address).expect("a proxy"));
        client
            .build()
            .fetch("http://inside.test/")
            .await
            .map(|_| ())
    });
    let error = error.expect_err("refused");
    assert!(error.to_string().contains("public_only"), "{error}");
    assert_eq!(proxy.accepted(), 0);
}

#[test]
fn a_resolver_of_ones_own_is_asked_for_names_and_not_for_addresses() {
    let server = answering(OK);
    let (port, asked) = (server.address().port(), Arc::new(AtomicUsize::new(0)));
    let resolver = Fixed(vec![[127, 0, 0, 1].into()], asked.clone());
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().resolver(resolver).build();
        for host in ["a.test", "127.0.0.1"] {
            let url = format!("http://{host}:{port}/");
            assert_eq!(client.fetch(url).await.expect("an answer").code(), 200);
        }
        let error = client
            .fetch("http://nowhere.test/")
            .await
            .expect_err("no such name");
        assert_eq!(error.phase(), Phase::Dns);
        assert!(error.to_string().contains("no such name"), "{error}");
    });
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// Linux has every address that begins with 127.
#[cfg(target_os = "linux")]
#[test]
fn an_address_that_was_not_reached_is_tried_last() {
    let (good, dead) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
    let server = answering(OK);
    let port = server.address().port();
    on_one_lane(async move {
        let client = AsyncHttpClient::builder()
            .host("two.test", [dead, good])
            .max_idle_per_origin(0)
            .build();
        let url = format!("http://two.test:{port}/");
        let fetched = async || {
            let response = client.fetch(&url).await.expect("an answer");
            response.remote_addr().expect("an address").ip()
        };
        assert_eq!(fetched().await, good);
        // It is there again, but not trusted yet.
        let _listener = std::net::TcpListener::bind((dead, port)).expect("the port");
        assert_eq!(fetched().await, good);
    });
}

#[test]
fn a_host_can_be_mapped_by_hand() {
    let server = answering(OK);
    let (ip, port) = (server.address().ip(), server.address().port());
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().host("mapped.test", [ip]).build();
        let request = HttpRequest::get(format!("http://MAPPED.test:{port}/"));
        assert_eq!(client.fetch(request).await.expect("an answer").code(), 200);
    });
}
