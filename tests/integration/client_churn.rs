//! Many of everything: connections that are closed under a fetch, fetches that are
//! cancelled wherever they wait, uploads that are refused. The counts are small here;
//! `SQUALL_CHURN=100` makes them a hundred times as large, see CONTRIBUTING.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use squall::client::{AsyncHttpClient, HttpRequest, RequestSent};
use squall::{Body, BodyError, Bytes, IoLoop};
use squall_tests::{OK, on_one_lane, times};

use super::client_script::{Script, script};

/// What a server waits for the next request, and a client pauses between two: on average.
const IDLE: Duration = Duration::from_millis(4);

/// Somewhere between nothing and twice [`IDLE`], another time each time.
fn jitter(state: &mut u64) -> Duration {
    let step = state.wrapping_mul(6_364_136_223_846_793_005);
    *state = step.wrapping_add(1_442_695_040_888_963_407);
    Duration::from_micros((*state >> 33) % (2 * IDLE.as_micros() as u64))
}

/// Closes a connection some time after each of its answers, unless the next request is
/// faster.
fn impatient() -> Script {
    script(|number, mut peer| {
        let mut state = number as u64;
        while peer.head().is_some() {
            peer.write(OK);
            peer.patience(jitter(&mut state) + Duration::from_micros(1));
        }
    })
}

#[test]
fn gets_never_fail_on_connections_that_servers_close() {
    let server = impatient();
    let url = server.url("/");
    // Once the server is always the one that closes, and once as often as the client.
    for keep_idle in [Duration::from_secs(15), IDLE] {
        let (url, gets, posts) = (url.clone(), times(500), times(50));
        let (connections, maybe) = on_one_lane(async move {
            let client = AsyncHttpClient::builder().keep_idle(keep_idle).build();
            let (mut pause, mut connections) = (1, 0);
            for number in 0..gets {
                let response = client.fetch(&url).await.expect("an answer");
                assert_eq!(response.code(), 200, "{number}");
                connections += usize::from(!response.reused());
                squall::sleep(jitter(&mut pause)).await;
            }
            let mut maybe = 0;
            for _ in 0..posts {
                if let Err(error) = client.fetch(HttpRequest::post(&url).body("x")).await {
                    assert_eq!(error.request_sent(), RequestSent::Maybe, "{error}");
                    maybe += 1;
                }
                squall::sleep(jitter(&mut pause)).await;
            }
            (connections, maybe)
        });
        eprintln!(
            "{gets} GETs on {connections} connections, none failed; of {posts} POSTs {maybe}"
        );
        // How many it is says nothing; it can only be a part of them.
        assert!(maybe < posts, "{maybe}");
    }
}

/// Polls a future `left` times, and drops it then.
struct Cancelled<F> {
    future: Option<Pin<Box<F>>>,
    left: usize,
}

impl<F: Future> Future for Cancelled<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.future else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.future = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

fn cancelled<F: Future>(future: F, left: usize) -> Cancelled<F> {
    Cancelled {
        future: Some(Box::pin(future)),
        left,
    }
}

/// Counts while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_fetch_may_be_dropped_wherever_it_waits() {
    let open = Arc::new(AtomicUsize::new(0));
    let opened = open.clone();
    let server = script(move |_, mut peer| {
        let _open = Counted::new(&opened);
        while let Some(request) = peer.request() {
            match request.target() {
                "/moved" => {
                    peer.write("HTTP/1.1 302 Go\r\nLocation: /ok\r\nContent-Length: 2\r\n\r\n");
                    peer.write("ok");
                }
                "/chunked" => {
                    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
                    peer.write("0\r\n\r\n");
                }
                _ => peer.write(OK),
            }
        }
    });
    let base = server.url("");
    // Names take a way through the executor that addresses do not.
    let named = base.replace("127.0.0.1", "localhost");
    let rounds = times(200);
    on_one_lane(async move {
        // So few that fetches wait in each of the queues, too.
        let client = AsyncHttpClient::builder()
            .max_per_origin(3)
            .max_dials_per_origin(1)
            .max_idle_per_origin(2)
            .build();
        for round in 0..rounds {
            let fetches: Vec<_> = (0..8)
                .map(|number| {
                    let base = if number == 7 { &named } else { &base };
                    let request = match number % 4 {
                        0 => HttpRequest::new(format!("{base}/ok")),
                        1 => HttpRequest::new(format!("{base}/moved")),
                        2 => HttpRequest::new(format!("{base}/chunked")),
                        _ => HttpRequest::post(format!("{base}/upload")).body(Body::from_fn({
                            let mut left = 3;
                            move || {
                                left -= 1;
                                async move {
                                    squall::yield_now().await;
                                    (left >= 0).then(|| Ok::<_, BodyError>(Bytes::from("x")))
                                }
                            }
                        })),
                    };
                    let client = client.clone();
                    let whole = async move {
                        let mut response = client.fetch(request).await.ok()?;
                        response.bytes().await.ok()
                    };
                    IoLoop::current().spawn(cancelled(whole, 1 + (round + number) % 12))
                })
                .collect();
            for fetch in fetches {
                fetch.await.expect("no panic");
            }
            let stats = client.stats();
            assert_eq!((stats.open - stats.idle, stats.waiting), (0, 0), "{round}");
        }
        // Every place can be had at once, still.
        let mut held = Vec::new();
        for _ in 0..3 {
            let fetch = client.fetch(format!("{base}/chunked"));
            held.push(fetch.await.expect("a place"));
        }
        let mut fourth = Box::pin(client.fetch(format!("{base}/ok")));
        let waits = fourth
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(waits.is_pending());
        drop((held, fourth));
    });
    eprintln!("{} fetches, each dropped somewhere", rounds * 8);
    // Nor is a connection held by anything when the client is gone.
    let patience = Instant::now() + Duration::from_secs(30);
    while open.load(Ordering::SeqCst) > 0 {
        assert!(Instant::now() < patience, "{open:?} connections are open");
        std::thread::yield_now();
    }
}

/// Refuses uploads after 64 KiB of them, and goes. A server that goes without reading the
/// rest resets the connection.
fn refusing(gently: bool) -> Script {
    script(move |_, mut peer| {
        if peer.head().is_none() {
            return;
        }
        peer.read(64 << 10);
        peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
        if gently {
            peer.shut_down();
        }
    })
}

/// How many of `tries` uploads of a GiB see the 413.
fn refusals_seen(gently: bool, tries: usize) -> usize {
    let server = refusing(gently);
    let url = server.url("/");
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    on_one_lane(async move {
        let client = AsyncHttpClient::new();
        let mut seen = 0;
        for _ in 0..tries {
            let mut left: u64 = 1 << 30;
            let chunk = chunk.clone();
            let body = Body::from_fn(move || {
                let chunk = chunk.clone();
                let more = left.checked_sub(chunk.len() as u64);
                left = more.unwrap_or_default();
                async move { more.map(|_| Ok::<_, BodyError>(chunk)) }
            });
            let Ok(mut response) = client.fetch(HttpRequest::post(&url).body(body)).await else {
                continue;
            };
            let body = response.text().await;
            seen += usize::from(response.code() == 413 && body.is_ok_and(|body| body == "big"));
        }
        // What was cut short is never used again.
        assert_eq!(client.stats().open, 0);
        seen
    })
}

#[test]
fn a_refusal_is_seen_while_the_upload_is_on_its_way() {
    let tries = times(50);
    assert_eq!(refusals_seen(true, tries), tries);
    let seen = refusals_seen(false, tries);
    eprintln!("413 seen: {tries} of {tries} from one that closes, {seen} from one that resets");
    // Of each hundred that were begun one may be lost.
    assert!(seen + tries.div_ceil(100) >= tries, "{seen} of {tries}");
}
