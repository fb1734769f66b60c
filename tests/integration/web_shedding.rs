//! Shedding: with too few threads some are refused, the health check is not, and
//! afterwards all is well again.

use squall::testing::TestServer;
use squall::{Application, IoLoop, Offload, Pressure, State, get};
use squall_tests::until;

use super::asked::{answer, begin};
use super::latch::Latch;

const CAP: usize = 16;
/// So many refusals are enough to believe in.
const SHED: u64 = 20;

async fn blocks(State(latch): State<Latch>) -> &'static str {
    latch.block();
    "done"
}

async fn quick() -> &'static str {
    "quick"
}

fn server(offload: Offload, executor_queue: usize, latch: &Latch) -> TestServer {
    let io_loop = IoLoop::builder()
        .lanes(2)
        .thread_cap(CAP)
        .executor_queue(executor_queue)
        .build()
        .expect("a loop");
    let application = Application::new()
        .route("/block", get(blocks).offload(offload))
        .route("/quick", quick)
        .route("/health", get(quick).never_shed())
        .state(latch.clone());
    TestServer::start_on(io_loop, application)
}

/// Blocks as much as can be, and looks at what is answered then and afterwards.
fn storm(offload: Offload, executor_queue: usize, settings: &[&str]) {
    let latch = Latch::default();
    let server = server(offload, executor_queue, &latch);
    let mut begun = Vec::new();
    while server.app().stats().shed < SHED {
        let before = server.app().stats();
        let tcp = begin(server.address(), "/block");
        until("the request has come", || {
            server.app().stats().requests > before.requests
        });
        begun.push(tcp);
        assert!(begun.len() < 1000, "{:?}", server.io_loop().stats());
    }
    for _ in 0..10 {
        assert_eq!(server.get("/health").text(), "quick");
    }
    latch.open();
    let clients = begun.len();
    let (mut done, mut shed) = (0, 0);
    for tcp in begun {
        let answer = answer(tcp);
        match answer.status {
            200 => done += 1,
            503 => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                let detail = answer.json()["detail"].to_string();
                assert!(
                    settings.iter().any(|name| detail.contains(name)),
                    "{detail}"
                );
                shed += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert_eq!(done + shed, clients, "none is lost");
    assert!((4..=CAP + executor_queue).contains(&done), "{done} done");
    let stats = server.app().stats();
    assert_eq!(
        (stats.shed, stats.requests),
        (shed as u64, clients as u64 + 10)
    );
    until("threads come back", || {
        server.io_loop().pressure() == Pressure::Easy
    });
    for path in ["/block", "/quick", "/health"] {
        assert_eq!(server.get(path).status, 200, "{path} after the storm");
    }
}

#[test]
fn at_the_thread_cap_load_is_shed_and_the_health_check_answered() {
    storm(Offload::Never, 8, &["thread_cap"]);
}

#[test]
fn beyond_the_executors_queue_load_is_shed() {
    storm(Offload::Always, 8, &["executor_queue"]);
}

#[test]
fn learned_on_the_way_nothing_is_lost() {
    storm(Offload::Auto, 8, &["thread_cap", "executor_queue"]);
}
