//! Learned offload: a route that keeps blocking moves to an executor, and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use squall::testing::TestServer;
use squall::web::RunsOn;
use squall::{Application, IoLoop, State};

#[derive(Default)]
struct Behaviour(AtomicBool);

/// Blocks until the test says otherwise. What blocks is the test's subject.
async fn maybe_block(State(blocks): State<Arc<Behaviour>>) -> &'static str {
    if blocks.0.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(30));
    }
    "done"
}

fn runs_on(server: &TestServer) -> RunsOn {
    server.app().stats().routes[0].runs_on
}

#[test]
fn a_route_that_blocks_is_learned_and_forgotten() {
    let behaviour = Arc::new(Behaviour::default());
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let application = Application::new()
        .route("/maybe", maybe_block)
        .state(behaviour.clone());
    let server = TestServer::start_on(io_loop, application);
    assert_eq!(server.get("/maybe").text(), "done");
    assert_eq!(runs_on(&server), RunsOn::Lane);
    behaviour.0.store(true, Ordering::SeqCst);
    // The monitor may be late on a busy machine: some polls are not caught.
    for _ in 0..200 {
        assert_eq!(server.get("/maybe").text(), "done");
        if runs_on(&server) != RunsOn::Lane {
            break;
        }
    }
    let stats = server.app().stats();
    let learned = stats.learned.first().expect("a learned route");
    assert_eq!(
        (learned.route.as_str(), learned.runs_on),
        ("GET /maybe", RunsOn::Executor)
    );
    assert!(learned.polls_blocked >= 2);
    let handoffs = server.io_loop().stats().handoffs();
    for _ in 0..5 {
        assert_eq!(server.get("/maybe").text(), "done");
    }
    // Five answers that blocked, and hardly a hand-off: a busy machine causes some.
    assert!(server.io_loop().stats().handoffs() < handoffs + 5);
    behaviour.0.store(false, Ordering::SeqCst);
    for _ in 0..1000 {
        assert_eq!(server.get("/maybe").text(), "done");
        if runs_on(&server) == RunsOn::Lane {
            break;
        }
    }
    assert_eq!(runs_on(&server), RunsOn::Lane);
    assert!(server.app().stats().learned.is_empty());
    assert!(server.app().stats().routes[0].longest >= Duration::from_millis(4));
}
