//! Deadlines: who sets them, who is answered, what is dropped, what goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use squall::forward::{Forward, forward};
use squall::testing::{TestResponse, TestServer};
use squall::{
    Application, AsyncHttpClient, Exchange, HttpRequest, IoLoop, Offload, Request, Response,
    Result, Settings, State, any, get, post, remaining, run_on_executor,
};
use squall_loop::TestClock;
use squall_tests::until;

use super::asked::begin;
use super::client_script::{Script, script};
use super::latch::{Hears, Latch, Told, told};

const LIMIT: Duration = Duration::from_secs(10);

/// A server whose clock stands still until the test turns it.
fn start(application: Application) -> (TestServer, TestClock) {
    let clock = TestClock::new();
    let io_loop = IoLoop::builder().lanes(2).clock(&clock).build();
    let server = TestServer::start_on(io_loop.expect("a loop"), application);
    (server, clock)
}

/// The answer; a reset may come behind it.
fn answer(mut tcp: TcpStream) -> TestResponse {
    let mut bytes = Vec::new();
    let read = tcp.read_to_end(&mut bytes);
    assert!(read.is_ok() || !bytes.is_empty(), "no answer: {read:?}");
    TestResponse::parse(&bytes)
}

/// What the handlers of these tests share with the test.
struct Stage {
    latch: Latch,
    told: Told,
}

fn stage() -> (Arc<Stage>, Latch, Hears) {
    let (told, hears) = told();
    let latch = Latch::default();
    let stage = Stage {
        latch: latch.clone(),
        told,
    };
    (Arc::new(stage), latch, hears)
}

/// Blocks its thread until the latch opens.
async fn blocks(State(stage): State<Arc<Stage>>) -> &'static str {
    stage.told.say("begun");
    stage.latch.block();
    stage.told.say("ended");
    "too late"
}

/// Waits until the latch opens, and blocks nothing.
async fn waits(State(stage): State<Arc<Stage>>) -> Result<&'static str> {
    let _dropped = stage.told.at_drop("dropped");
    stage.told.say("begun");
    let latch = stage.latch.clone();
    run_on_executor(move || latch.block()).await?;
    stage.told.say("ended");
    Ok("too late")
}

/// Blocks first, and would wait then.
async fn blocks_then_waits(State(stage): State<Arc<Stage>>) -> &'static str {
    let _dropped = stage.told.at_drop("dropped");
    stage.told.say("begun");
    stage.latch.block();
    stage.told.say("ended");
    std::future::pending().await
}

/// Says when nobody waits for the answer any more.
fn watch(stage: &Stage, exchange: Exchange) {
    let told = stage.told.clone();
    IoLoop::current().spawn_callback(move || async move {
        exchange.disconnected().await;
        told.say("gone");
    });
}

async fn blocks_unseen(exchange: Exchange, State(stage): State<Arc<Stage>>) -> &'static str {
    watch(&stage, exchange);
    blocks(State(stage)).await
}

async fn waits_unseen(exchange: Exchange, State(stage): State<Arc<Stage>>) -> Result<&'static str> {
    watch(&stage, exchange);
    waits(State(stage)).await
}

#[test]
fn a_routes_own_deadline_is_answered_while_the_handler_is_stuck() {
    for offload in [Offload::Never, Offload::Always] {
        let (stage, latch, hears) = stage();
        let application = Application::new()
            .route("/", get(blocks).timeout(LIMIT).offload(offload))
            .state(stage);
        let (server, clock) = start(application);
        let tcp = begin(server.address(), "/");
        assert_eq!(hears.next(), "begun");
        clock.advance(LIMIT);
        let answer = answer(tcp);
        assert_eq!(answer.status, 504);
        assert_eq!(answer.json()["detail"], "no answer within 10s");
        assert_eq!(server.app().stats().late, 0, "it is still stuck");
        latch.open();
        assert_eq!(hears.next(), "ended");
        until("the late result is counted", || {
            server.app().stats().late == 1
        });
    }
}

#[test]
fn a_deadline_that_answers_a_head_sends_no_body() {
    let (stage, latch, hears) = stage();
    let application = Application::new()
        .route("/", any(blocks).timeout(LIMIT).offload(Offload::Never))
        .state(stage);
    let (server, clock) = start(application);
    let mut tcp = server.connect();
    tcp.write_all(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("sent");
    assert_eq!(hears.next(), "begun");
    clock.advance(LIMIT);
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "no body: {answer}");
    latch.open();
}

#[test]
fn the_servers_deadline_names_its_setting_in_the_form_that_the_client_prefers() {
    let (stage, latch, hears) = stage();
    let mut settings = Settings::default();
    settings.server.handler_timeout = LIMIT;
    let application = Application::new()
        .route("/", get(waits))
        .state(stage)
        .settings(settings);
    let (server, clock) = start(application);
    let mut tcp = server.connect();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nAccept: text/html\r\n\r\n")
        .expect("sent");
    assert_eq!(hears.next(), "begun");
    clock.advance(LIMIT);
    let answer = answer(tcp);
    assert_eq!(answer.status, 504);
    let page = answer.text();
    assert!(page.starts_with("<!doctype html>"), "{page}");
    assert!(
        page.contains("no answer within 10s (setting: handler_timeout)"),
        "{page}"
    );
    assert_eq!(hears.next(), "dropped");
    assert_eq!(server.app().stats().late, 0, "there was no result");
    latch.open();
}

#[test]
fn each_exchange_of_a_connection_has_the_whole_of_its_own_deadline() {
    async fn pends() -> Result<&'static str> {
        run_on_executor(|| "here").await.map_err(Into::into)
    }
    let (stage, latch, hears) = stage();
    let mut settings = Settings::default();
    settings.server.handler_timeout = LIMIT;
    let application = Application::new()
        .route("/before", get(pends))
        .route("/before/short", get(pends).timeout(LIMIT / 5))
        .route("/before/long", get(pends).timeout(LIMIT * 5))
        .route("/waits", get(waits))
        .route("/waits/soon", get(waits).timeout(LIMIT / 2))
        .state(stage)
        .settings(settings);
    let (server, clock) = start(application);
    let step = Duration::from_millis(1);
    for before in ["/before", "/before/short", "/before/long"] {
        for (path, limit) in [("/waits", LIMIT), ("/waits/soon", LIMIT / 2)] {
            let tcp = server.connect();
            let send = |path| {
                let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
                (&tcp).write_all(request.as_bytes()).expect("sent");
            };
            send(before);
            let mut read = Vec::new();
            while !read.ends_with(b"here") {
                let mut byte = [0];
                (&tcp).read_exact(&mut byte).expect("an answer");
                read.extend(byte);
            }
            // The timer of the one before is due in the middle of the other's time.
            clock.advance(LIMIT / 4);
            send(path);
            assert_eq!(hears.next(), "begun");
            clock.advance(limit - step);
            assert_eq!(server.get("/before").text(), "here");
            tcp.set_nonblocking(true).expect("a socket");
            let early = (&tcp).read(&mut [0]);
            assert!(early.is_err(), "{before} {path}: answered too early");
            tcp.set_nonblocking(false).expect("a socket");
            clock.advance(step);
            let answer = answer(tcp);
            assert_eq!(answer.status, 504, "{before} {path}");
            assert_eq!(hears.next(), "dropped", "{before} {path}");
        }
    }
    latch.open();
}

#[test]
fn what_is_refused_before_a_handler_is_refused_in_the_form_that_the_client_prefers() {
    async fn store(body: String) -> String {
        body
    }
    let server = TestServer::start(Application::new().route("/", post(store)));
    let refused = server.raw(
        b"POST / HTTP/1.1\r\nHost: test\r\nAccept: text/html\r\nContent-Length: 99999999999\r\n\r\n",
    );
    let refused = TestResponse::parse(&refused);
    assert_eq!(refused.status, 413);
    assert!(refused.text().starts_with("<!doctype html>"));
}

#[test]
fn a_client_that_goes_away_cancels_its_handler() {
    for (offload, blocking) in [
        (Offload::Never, false),
        (Offload::Never, true),
        (Offload::Always, false),
        (Offload::Always, true),
    ] {
        let (stage, latch, hears) = stage();
        let handler = if blocking {
            get(blocks_then_waits)
        } else {
            get(waits)
        };
        let application = Application::new()
            .route("/", handler.offload(offload))
            .state(stage);
        let server = TestServer::start(application);
        let tcp = begin(server.address(), "/");
        assert_eq!(hears.next(), "begun");
        drop(tcp);
        if blocking {
            // Blocking code cannot be stopped; what comes after it is.
            latch.open();
            assert_eq!(hears.next(), "ended");
        }
        assert_eq!(hears.next(), "dropped", "{offload:?}, blocking: {blocking}");
        latch.open();
    }
}

#[test]
fn a_handler_that_runs_to_completion_outlives_client_and_deadline() {
    for offload in [Offload::Never, Offload::Always] {
        for handler in [get(waits_unseen), get(blocks_unseen)] {
            let (stage, latch, hears) = stage();
            let handler = handler.offload(offload).timeout(LIMIT).run_to_completion();
            let application = Application::new().route("/", handler).state(stage);
            let (server, clock) = start(application);
            let gone = begin(server.address(), "/");
            assert_eq!(hears.next(), "begun");
            let waiting = begin(server.address(), "/");
            assert_eq!(hears.next(), "begun");
            drop(gone);
            assert_eq!(hears.next(), "gone");
            clock.advance(LIMIT);
            assert_eq!(answer(waiting).status, 504);
            assert_eq!(hears.next(), "gone");
            latch.open();
            assert_eq!(hears.next(), "ended", "{offload:?}");
            until("both results are counted", || {
                server.app().stats().late == 2
            });
        }
    }
}

#[test]
fn an_answer_in_time_of_a_handler_that_runs_to_completion_is_sent() {
    async fn here(exchange: Exchange) -> String {
        format!("{:?} {:?}", exchange.is_over(), remaining())
    }
    for offload in [Offload::Never, Offload::Always] {
        let handler = get(here).offload(offload).run_to_completion();
        let (server, _clock) = start(Application::new().route("/", handler));
        assert_eq!(server.get("/").text(), "false None");
        assert_eq!(server.app().stats().late, 0);
    }
}

#[test]
fn a_shutdown_waits_for_what_runs_to_completion() {
    let (stage, latch, hears) = stage();
    let handler = get(waits_unseen).run_to_completion();
    let application = Application::new().route("/", handler).state(stage.clone());
    let mut server = TestServer::start(application);
    let tcp = begin(server.address(), "/");
    assert_eq!(hears.next(), "begun");
    drop(tcp);
    assert_eq!(hears.next(), "gone");
    let app = server.app().clone();
    let shutdown = std::thread::spawn(move || {
        let cut = server.shutdown(Duration::from_secs(30));
        stage.told.say("down");
        cut
    });
    latch.open();
    assert_eq!(hears.next(), "ended");
    assert_eq!(hears.next(), "dropped");
    assert_eq!(hears.next(), "down");
    assert_eq!(shutdown.join().expect("no panic"), 0);
    assert_eq!(app.stats().late, 1);
}

#[test]
fn what_is_left_of_the_deadline_is_known_inside_of_the_handler_only() {
    async fn left(exchange: Exchange) -> Result<String> {
        let route = remaining();
        exchange.set_deadline(Duration::from_secs(5));
        let own = remaining();
        let spawned = IoLoop::current().spawn(async { remaining() }).await?;
        let after = remaining();
        let executor = run_on_executor(remaining).await?;
        assert_eq!(exchange.remaining(), Duration::from_secs(5));
        Ok(format!(
            "{route:?} {own:?} {spawned:?} {after:?} {executor:?}"
        ))
    }
    for offload in [Offload::Never, Offload::Always] {
        let handler = get(left).timeout(LIMIT).offload(offload);
        let (server, _clock) = start(Application::new().route("/", handler));
        let expected = "Some(10s) Some(5s) None Some(5s) None";
        assert_eq!(server.get("/").text(), expected, "{offload:?}");
    }
}

/// An upstream that says when a request has come, and answers when the latch opens.
fn slow() -> (Script, Latch, Hears) {
    let (told, hears) = told();
    let latch = Latch::default();
    let opens = latch.clone();
    let upstream = script(move |_, mut peer| {
        while peer.head().is_some() {
            told.say("asked");
            opens.block();
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere");
        }
    });
    (upstream, latch, hears)
}

/// Fetches, and answers with what became of it.
fn fetching(request: impl Fn() -> HttpRequest + Clone + Send + Sync + 'static) -> Application {
    let client = AsyncHttpClient::new();
    let handler = move || {
        let (client, request) = (client.clone(), request());
        async move {
            match client.fetch(request).await {
                Ok(mut answer) => answer
                    .text()
                    .await
                    .unwrap_or_else(|error| error.to_string()),
                Err(error) => format!("{} {error}", error.is_timeout()),
            }
        }
    };
    Application::new().route("/", get(handler).timeout(LIMIT))
}

#[test]
fn a_fetch_ends_in_time_for_its_handler_to_answer() {
    let (upstream, latch, asked) = slow();
    let url = upstream.url("/");
    let (server, clock) = start(fetching(move || HttpRequest::get(&url)));
    let tcp = begin(server.address(), "/");
    assert_eq!(asked.next(), "asked");
    clock.advance(LIMIT - Duration::from_millis(50));
    let answer = answer(tcp);
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(
        text.starts_with("true ")
            && text.ends_with("not done within 9.9s (the handler's deadline)"),
        "{text}"
    );
    latch.open();
}

#[test]
fn a_fetch_keeps_its_own_limit_where_that_is_less() {
    let (upstream, latch, asked) = slow();
    let url = upstream.url("/");
    let own = Duration::from_secs(3);
    let (server, clock) = start(fetching(move || {
        HttpRequest::get(&url).request_timeout(own)
    }));
    let tcp = begin(server.address(), "/");
    assert_eq!(asked.next(), "asked");
    clock.advance(own);
    let text = answer(tcp).text();
    assert!(
        text.ends_with("not done within 3s (request_timeout)"),
        "{text}"
    );
    latch.open();
}

#[test]
fn a_fetch_may_ignore_the_deadline() {
    let (upstream, latch, asked) = slow();
    let url = upstream.url("/");
    let (server, clock) = start(fetching(move || {
        HttpRequest::get(&url).inherit_deadline(false)
    }));
    let tcp = begin(server.address(), "/");
    assert_eq!(asked.next(), "asked");
    clock.advance(LIMIT - Duration::from_millis(50));
    latch.open();
    assert_eq!(answer(tcp).text(), "here");
}

#[test]
fn a_forward_ends_in_time_for_its_handler_to_answer() {
    let (upstream, latch, asked) = slow();
    let upstream = Forward::to(upstream.url(""));
    let relay = move |request: Request| {
        let upstream = upstream.clone();
        async move { Result::<Response>::Ok(forward(request, &upstream).await?) }
    };
    let (server, clock) = start(Application::new().route("/", any(relay).timeout(LIMIT)));
    let tcp = begin(server.address(), "/");
    assert_eq!(asked.next(), "asked");
    clock.advance(LIMIT - Duration::from_millis(50));
    let answer = answer(tcp);
    assert_eq!(answer.status, 504);
    let detail = answer.json()["detail"].clone();
    let detail = detail.as_str().expect("a detail");
    assert!(
        detail.ends_with("waiting for the answer: timed out"),
        "{detail}"
    );
    latch.open();
}

#[test]
fn a_forwarded_upload_may_take_longer_than_its_handler() {
    let (told, hears) = told();
    let upstream = script(move |_, mut peer| {
        peer.head();
        for _ in 0..4 {
            peer.read(1_000);
            told.say("piece");
        }
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere");
        peer.is_closed();
    });
    let upstream = Forward::to(upstream.url(""));
    let relay = move |request: Request| {
        let upstream = upstream.clone();
        async move { Result::<Response>::Ok(forward(request, &upstream).await?) }
    };
    let (server, clock) = start(Application::new().route("/", any(relay).timeout(LIMIT)));
    let mut tcp = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 4000\r\n\r\n";
    tcp.write_all(head.as_bytes()).expect("sent");
    for _ in 0..4 {
        clock.advance(LIMIT * 4 / 5);
        tcp.write_all(&[b'a'; 1_000]).expect("sent");
        assert_eq!(hears.next(), "piece");
    }
    let answer = answer(tcp);
    assert_eq!((answer.status, &*answer.text()), (200, "here"));
}
