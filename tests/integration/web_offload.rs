//! Where handlers run: as the route says, as the settings say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use squall::testing::TestServer;
use squall::web::RunsOn;
use squall::{
    Application, Context, IntoRoute, Offload, RequestHandler, Result, Settings, State, blocking,
    get,
};

/// Whether the executor works, seen from inside of a handler. A worker is still counted for
/// a moment after its answer: ask what runs on the lane first.
fn place() -> &'static str {
    match squall::IoLoop::current().stats().threads.executor {
        0 => "lane",
        _ => "executor",
    }
}

async fn plain() -> &'static str {
    place()
}

#[derive(Clone)]
struct Typed;

impl RequestHandler for Typed {
    async fn get(&mut self, context: &mut Context) -> Result<()> {
        context.write(place());
        Ok(())
    }

    async fn post(&mut self, context: &mut Context) -> Result<()> {
        context.write(place());
        Ok(())
    }
}

#[test]
fn always_is_from_the_first_request_on_and_nothing_was_learned() {
    let application = Application::new()
        .route("/always", get(plain).offload(Offload::Always).post(plain))
        .route("/typed", Typed.into_route().offload(Offload::Always))
        .route("/auto", plain);
    let server = TestServer::start(application);
    assert_eq!(server.get("/auto").text(), "lane");
    assert_eq!(server.get("/always").text(), "executor");
    assert_eq!(server.send("POST", "/always", &[], b"").text(), "executor");
    assert_eq!(server.get("/typed").text(), "executor");
    assert_eq!(server.send("POST", "/typed", &[], b"").text(), "executor");
    let stats = server.app().stats();
    assert!(stats.learned.is_empty());
    let places: Vec<_> = (stats.routes.iter())
        .map(|route| (route.offload, route.runs_on))
        .collect();
    assert_eq!(places[..4], [(Offload::Always, RunsOn::Executor); 4]);
    assert_eq!(places[4], (Offload::Auto, RunsOn::Lane));
}

#[test]
fn what_a_route_does_not_say_the_settings_say() {
    let mut settings = Settings::default();
    settings.offload = Offload::Always;
    let application = Application::new()
        .settings(settings)
        .route("/", plain)
        .route("/never", get(plain).offload(Offload::Never));
    let server = TestServer::start(application);
    assert_eq!(server.get("/never").text(), "lane");
    assert_eq!(server.get("/").text(), "executor");
}

async fn naps() -> &'static str {
    std::thread::sleep(Duration::from_millis(30));
    "slept"
}

#[test]
fn never_is_never_however_often_it_was_caught() {
    let application = Application::new().route("/", get(naps).offload(Offload::Never));
    let server = TestServer::start(application);
    // The monitor may be late on a busy machine: some polls are not caught.
    for _ in 0..200 {
        assert_eq!(server.get("/").text(), "slept");
        if server.app().stats().routes[0].polls_blocked >= 5 {
            break;
        }
    }
    let stats = server.app().stats();
    assert!(stats.routes[0].polls_blocked >= 5);
    assert!(stats.learned.is_empty());
    assert_eq!(stats.routes[0].runs_on, RunsOn::Lane);
}

#[test]
fn a_section_that_says_that_it_blocks_is_not_learned() {
    async fn says_so(State(blocked): State<Arc<AtomicBool>>) -> &'static str {
        blocking(|| std::thread::sleep(Duration::from_millis(10)));
        blocked.store(true, Ordering::SeqCst);
        "slept"
    }
    let blocked = Arc::new(AtomicBool::new(false));
    let application = Application::new()
        .route("/", says_so)
        .state(blocked.clone());
    let server = TestServer::start(application);
    for _ in 0..10 {
        assert_eq!(server.get("/").text(), "slept");
    }
    assert!(blocked.load(Ordering::SeqCst));
    assert!(server.io_loop().stats().handoffs() >= 10);
    assert!(server.app().stats().learned.is_empty());
}
