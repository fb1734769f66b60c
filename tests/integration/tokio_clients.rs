//! Crates that need tokio, each in a handler: reqwest, redis, sqlx.

use std::sync::{Arc, OnceLock, mpsc};
use std::thread;

use redis::AsyncCommands;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use squall::testing::TestServer;
use squall::{Application, IoLoop, Path, Result, State, get};
use squall_tests::{PATIENCE, RedisServer};
use tokio::sync::watch;

fn url_of(server: &TestServer, path: &str) -> String {
    format!("http://{}{path}", server.address())
}

#[test]
fn reqwest_calls_another_server() {
    let other = TestServer::start(Application::new().route("/", || async { "from the other" }));
    let url = url_of(&other, "/");
    // One client for all requests, as it is meant to be used.
    let client = reqwest::Client::new();
    let server = TestServer::start(Application::new().route("/", move || {
        let request = client.get(&url);
        async move { Ok(request.send().await?.text().await?) as Result<String> }
    }));
    for _ in 0..3 {
        let answer = server.get("/");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "from the other")
        );
    }
}

#[test]
fn reqwest_s_blocking_client_is_made_used_and_dropped_in_a_handler() {
    let other = TestServer::start(Application::new().route("/", || async { "from the other" }));
    let url = url_of(&other, "/");
    let server = TestServer::start(Application::new().route("/", move || {
        let url = url.clone();
        async move { Ok(reqwest::blocking::get(url)?.text()?) as Result<String> }
    }));
    let answer = server.get("/");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "from the other")
    );
}

/// Fifty handlers block in a call to their own server, which answers none of them
/// before all fifty are there.
#[test]
fn fifty_blocking_calls_to_the_same_server() {
    const CALLS: usize = 50;
    let (latch, closed) = watch::channel(false);
    let (arrived, arrivals) = mpsc::channel();
    let client = reqwest::blocking::Client::new();
    let address = Arc::new(OnceLock::new());
    let outer = {
        let address = address.clone();
        move || {
            let (client, address) = (client.clone(), address.clone());
            async move {
                let url = format!("http://{}/inner", address.wait());
                let answer = client.get(url).send()?.error_for_status()?;
                Ok(answer.text()?) as Result<String>
            }
        }
    };
    let inner = move || {
        let (mut latch, arrived) = (closed.clone(), arrived.clone());
        async move {
            let _ = arrived.send(());
            let _ = latch.wait_for(|open| *open).await;
            "inner"
        }
    };
    let server = TestServer::start(
        Application::new()
            .route("/outer", outer)
            .route("/inner", inner)
            .route("/plain", || async { "plain" }),
    );
    (address.set(server.address())).expect("it is set once");
    thread::scope(|scope| {
        let calls: Vec<_> = (0..CALLS)
            .map(|_| scope.spawn(|| server.get("/outer")))
            .collect();
        for _ in 0..CALLS {
            arrivals.recv_timeout(PATIENCE).expect("no deadlock");
        }
        assert_eq!(server.get("/plain").text(), "plain");
        latch.send(true).expect("the inner ones wait");
        for call in calls {
            let answer = call.join().expect("an answer");
            assert_eq!((answer.status, answer.text().as_str()), (200, "inner"));
        }
    });
}

#[test]
fn redis_async() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let client = redis::Client::open(redis.url()).expect("an address");
    let server = TestServer::start(Application::new().state(client).route(
        "/count/{key}",
        |Path(key): Path<String>, State(client): State<redis::Client>| async move {
            let mut connection = client.get_multiplexed_async_connection().await?;
            let count: u64 = connection.incr(key, 1).await?;
            Ok(count.to_string()) as Result<_>
        },
    ));
    for count in ["1", "2", "3"] {
        let answer = server.get("/count/visits");
        assert_eq!((answer.status, answer.text().as_str()), (200, count));
    }
}

/// Handlers block in redis until another request gives them what they wait for.
#[test]
fn redis_blocking() {
    const WAITING: usize = 4;
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let client = redis::Client::open(redis.url()).expect("an address");
    let (arrived, arrivals) = mpsc::channel();
    let take = move |State(client): State<redis::Client>| {
        let arrived = arrived.clone();
        async move {
            let mut connection = client.get_connection()?;
            let _ = arrived.send(());
            let (_, job): (String, String) = redis::cmd("BLPOP")
                .arg(&["jobs", "0"])
                .query(&mut connection)?;
            Ok(job) as Result<_>
        }
    };
    let give = |State(client): State<redis::Client>| async move {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let () = connection.rpush("jobs", "a job").await?;
        Ok("given") as Result<_>
    };
    let application = (Application::new().state(client))
        .route("/take", take)
        .route("/give", give);
    let server = TestServer::start(application);
    thread::scope(|scope| {
        let takers: Vec<_> = (0..WAITING)
            .map(|_| scope.spawn(|| server.get("/take")))
            .collect();
        for _ in 0..WAITING {
            arrivals.recv_timeout(PATIENCE).expect("every handler runs");
        }
        assert!(takers.iter().all(|taker| !taker.is_finished()));
        for _ in 0..WAITING {
            assert_eq!(server.get("/give").text(), "given");
        }
        for taker in takers {
            let answer = taker.join().expect("an answer");
            assert_eq!((answer.status, answer.text().as_str()), (200, "a job"));
        }
    });
}

#[test]
fn sqlx_with_sqlite() {
    let io_loop = IoLoop::builder().lanes(2).build().expect("a loop");
    let pool = io_loop.run(async {
        // Each connection to `:memory:` is a database of its own.
        let options = SqlitePoolOptions::new().max_connections(1);
        let pool = options.connect("sqlite::memory:").await?;
        sqlx::query("CREATE TABLE notes (text TEXT NOT NULL)")
            .execute(&pool)
            .await?;
        Ok::<_, sqlx::Error>(pool)
    });
    let pool = pool.expect("a running loop").expect("a database");
    let write = |State(pool): State<SqlitePool>, Path(text): Path<String>| async move {
        let mut transaction = pool.begin().await?;
        sqlx::query("INSERT INTO notes (text) VALUES (?)")
            .bind(&text)
            .execute(&mut *transaction)
            .await?;
        if text == "nonsense" {
            // Dropping the transaction rolls it back.
            return Ok("not noted");
        }
        transaction.commit().await?;
        Ok("noted") as Result<_>
    };
    let read = |State(pool): State<SqlitePool>| async move {
        let notes: Vec<String> = sqlx::query_scalar("SELECT text FROM notes ORDER BY text")
            .fetch_all(&*pool)
            .await?;
        Ok(notes.join(", ")) as Result<_>
    };
    let application = (Application::new().state(pool))
        .route("/", get(read))
        .route("/{text}", get(write));
    let server = TestServer::start_on(io_loop, application);
    thread::scope(|scope| {
        for text in ["four", "one", "three", "two"] {
            let server = &server;
            scope.spawn(move || assert_eq!(server.get(&format!("/{text}")).text(), "noted"));
        }
    });
    assert_eq!(server.get("/nonsense").text(), "not noted");
    assert_eq!(server.get("/").text(), "four, one, three, two");
}
