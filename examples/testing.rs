//! An application and its tests: requests over the wire, the clock, the log.
//!
//! ```text
//! cargo test --example testing
//! cargo run --release --example testing
//! curl -d '{"name":"Ann"}' -H 'Content-Type: application/json' http://127.0.0.1:5000/greet
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use squall::{Application, Error, Json, Result, post, sleep};

#[derive(Deserialize)]
struct Person {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    greeting: String,
}

async fn greet(Json(person): Json<Person>) -> Result<Json<Greeting>> {
    if person.name.is_empty() {
        return Err(Error::bad_request("a name is needed"));
    }
    tracing::info!(name = person.name, "greeting");
    let greeting = format!("hello, {}", person.name);
    Ok(Json(Greeting { greeting }))
}

async fn nap() -> &'static str {
    sleep(Duration::from_secs(3600)).await;
    "awake\n"
}

// The tests start what `main` starts.
fn application() -> Application {
    Application::new()
        .route("/greet", post(greet))
        .route("/nap", nap)
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    application()
        .listen(address.as_deref().unwrap_or("127.0.0.1:5000"))?
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use squall::testing::{ExpectLog, TestServer};

    #[test]
    fn a_person_is_greeted() {
        let server = TestServer::start(application());
        let client = server.client();
        (client.post("/greet").json(&json!({ "name": "Ann" })).send())
            .assert_status(200)
            .assert_json(&json!({ "greeting": "hello, Ann" }));
        (client.post("/greet").json(&json!({ "name": "" })).send()).assert_status(400);
        server.get("/greet").assert_status(405);
    }

    #[test]
    fn greetings_are_logged() {
        let server = TestServer::start(application());
        let log = ExpectLog::on(&server);
        let client = server.client();
        client.post("/greet").json(&json!({ "name": "Bob" })).send();
        let event = log.expect("testing", "greeting");
        assert_eq!(event.field("name"), Some("Bob"));
    }

    #[test]
    fn who_naps_for_an_hour_is_not_waited_for() {
        let (server, clock) = TestServer::start_turned(application());
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| server.get("/nap"));
            while server.app().stats().requests == 0 {
                std::thread::yield_now(); // until the handler has begun
            }
            while !answer.is_finished() {
                clock.advance(Duration::from_secs(1));
            }
            answer.join().expect("an answer")
        });
        answer.assert_status(504);
    }
}
