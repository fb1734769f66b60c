//! Who stands in line for a turn to dial: what they are handed, and what they are told.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall::client::{
    AsyncHttpClient, ClientBuilder, HttpRequest, Phase, RequestSent, Resolver, Resolving, Retry,
};
use squall::sync::Event;
use squall::{IoLoop, StatusCode};
use squall_tests::{on_one_lane, until};

use super::client_script::{script, silent};

/// Finds this machine at once so many times; after that each look-up waits for an event,
/// or fails where there is none.
#[derive(Clone)]
struct Finds {
    left: Arc<Mutex<u32>>,
    then: Option<Arc<Event>>,
}

impl Finds {
    fn times(times: u32, then: Option<Arc<Event>>) -> Self {
        let left = Arc::new(Mutex::new(times));
        Self { left, then }
    }

    fn client(self) -> ClientBuilder {
        AsyncHttpClient::builder().resolver(self)
    }
}

impl Resolver for Finds {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        let is_first = {
            let mut left = self.left.lock().expect("no panic");
            let is_first = *left > 0;
            *left = left.saturating_sub(1);
            is_first
        };
        Box::pin(async move {
            if !is_first {
                let then = self.then.as_ref();
                let then = then.ok_or_else(|| io::Error::other("the name is gone"))?;
                then.wait().await;
            }
            Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
        })
    }
}

/// The address of a script's server by a name that has to be looked up.
fn named(url: &str) -> String {
    url.replace("127.0.0.1", "name.test")
}

#[test]
fn a_connection_that_was_closed_is_not_handed_on() {
    let (closed, is_closed) = mpsc::channel();
    let server = script(move |number, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if number == 0 {
            drop(peer);
            closed.send(()).expect("the test waits");
        } else {
            peer.is_closed();
        }
    });
    let url = named(&server.url("/"));
    let opens = Arc::new(Event::default());
    let client = Finds::times(1, Some(opens.clone())).client();
    let client = client.max_dials_per_origin(1).build();
    let status = on_one_lane(async move {
        let mut first = client.fetch(&url).await.expect("an answer");
        let post = |client: AsyncHttpClient, url: String| async move {
            let posted = client.fetch(HttpRequest::post(url).body("x")).await;
            posted.map(|response| response.status())
        };
        let dialling = IoLoop::current().spawn(post(client.clone(), url.clone()));
        let in_line = IoLoop::current().spawn(post(client.clone(), url));
        while client.stats().waiting < 1 {
            squall::yield_now().await;
        }
        // Its connection comes back when the server has closed it already.
        is_closed.recv().expect("the server closes");
        first.bytes().await.expect("a body");
        opens.set();
        dialling.await.expect("no panic").expect("an answer");
        in_line.await.expect("no panic")
    });
    assert_eq!(status.expect("an answer"), StatusCode::OK);
}

#[test]
fn whoever_has_no_turn_in_time_has_failed_to_connect() {
    let never = Arc::new(Event::default());
    let client = Finds::times(0, Some(never)).client();
    let client = client
        .max_dials_per_origin(1)
        .connect_timeout(Duration::from_millis(50))
        .build();
    on_one_lane(async move {
        // Whoever has the turn keeps it to the end.
        let request = HttpRequest::new("http://name.test/").connect_timeout(Duration::ZERO);
        let dials = client.clone();
        let dialling = IoLoop::current().spawn(async move { dials.fetch(request).await.map(drop) });
        while client.stats().dialling < 1 {
            squall::yield_now().await;
        }
        let error = client.fetch("http://name.test/").await;
        let error = error.expect_err("it is another one's turn");
        assert!(error.is_timeout(), "{error}");
        assert_eq!(error.phase(), Phase::Connect);
        assert_eq!(error.request_sent(), RequestSent::No);
        dialling.cancel();
    });
}

#[test]
fn those_in_line_are_counted_and_so_are_dials() {
    let never = Arc::new(Event::default());
    let client = Finds::times(0, Some(never)).client();
    let client = client.max_dials_per_origin(2).build();
    let io_loop = IoLoop::builder().build().expect("a loop");
    let fetches = [(); 5].map(|()| {
        let client = client.clone();
        io_loop.spawn(async move { client.fetch("http://name.test/").await.map(drop) })
    });
    let counted = || {
        let stats = client.stats();
        (stats.open, stats.idle, stats.dialling, stats.waiting)
    };
    until("all have begun", || counted() == (0, 0, 2, 3));
    for fetch in fetches {
        fetch.cancel();
    }
    until("all have gone", || counted() == (0, 0, 0, 0));
    io_loop.stop();
}

/// What an earlier attempt has sent counts, where the last one has sent nothing.
#[test]
fn what_was_sent_before_is_not_forgotten() {
    let server = script(|_, mut peer| {
        peer.head();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        // Read, and not answered.
        peer.head();
    });
    let busy = silent(|_, peer| {
        peer.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let (url, busy) = (named(&server.url("/")), named(&busy.url("/")));
    on_one_lane(async move {
        let client = Finds::times(1, None).client().build();
        client.fetch(&url).await.expect("an answer");
        let put = HttpRequest::put(&url).body("x");
        let error = client.fetch(put).await.expect_err("no second connection");
        assert!(error.is_dns(), "{error}");
        assert_eq!(error.request_sent(), RequestSent::Maybe);

        let client = Finds::times(1, None).client().build();
        let request = HttpRequest::get(busy).retry(Retry::times(1));
        let error = client
            .fetch(request)
            .await
            .expect_err("no second connection");
        assert!(error.is_dns(), "{error}");
        assert_eq!(error.request_sent(), RequestSent::Maybe);
    });
}
