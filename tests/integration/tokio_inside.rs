//! Tokio inside: what needs a tokio runtime finds one in a handler.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use squall::testing::TestServer;
use squall::{Application, IoLoop, Result};
use squall_tests::{PATIENCE, TempDir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{block_in_place, spawn_blocking};

/// What a handler answers, in a server of its own.
#[track_caller]
fn answer<F, Fut>(handler: F) -> String
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<String>> + Send + 'static,
{
    let server = TestServer::start(Application::new().route("/", handler));
    let answer = server.get("/");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// Waits until the latch is opened.
async fn opened(mut latch: watch::Receiver<bool>) {
    let _ = latch.wait_for(|open| *open).await;
}

#[test]
fn a_task_runs_on_tokio_s_thread_and_the_handler_stays_on_its_lane() {
    let answer = answer(|| async {
        let there = tokio::spawn(async {
            tokio::task::yield_now().await;
            thread_name()
        });
        let there = there.await?;
        Ok(format!("{there}, {}", thread_name()))
    });
    assert_eq!(answer, "squall-tokio, squall");
}

#[test]
fn a_task_that_panics_hurts_nobody() {
    let server = TestServer::start(
        Application::new()
            .route("/", || async {
                let outcome = tokio::spawn(async { panic!("the test's panic") }).await;
                outcome
                    .map_err(|error| error.is_panic())
                    .unwrap_err()
                    .to_string()
            })
            .route("/sum", || async {
                tokio::spawn(async { 1 + 1 })
                    .await
                    .map(|sum| sum.to_string())
                    .map_err(Into::into) as Result<_>
            }),
    );
    assert_eq!(server.get("/").text(), "true");
    assert_eq!(server.get("/sum").text(), "2");
}

#[test]
fn sockets() {
    let answer = answer(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut question = [0; 4];
            stream.read_exact(&mut question).await?;
            assert_eq!(&question, b"ping");
            stream.write_all(b"pong").await
        });
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"ping").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        server.await??;
        Ok(answer)
    });
    assert_eq!(answer, "pong");
}

#[test]
fn timers() {
    let answer = answer(|| async {
        let begin = tokio::time::Instant::now();
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(begin.elapsed() >= Duration::from_millis(2));
        let never = std::future::pending::<()>();
        let elapsed = tokio::time::timeout(Duration::from_millis(1), never).await;
        Ok(elapsed.unwrap_err().to_string())
    });
    assert_eq!(answer, "deadline has elapsed");
}

#[test]
fn files() {
    let dir = TempDir::create();
    let path = dir.path().join("text");
    std::fs::write(&path, "from a file").expect("a written file");
    let answer = answer(move || {
        let path = path.clone();
        async move { Ok(tokio::fs::read_to_string(&path).await?) }
    });
    assert_eq!(answer, "from a file");
}

#[test]
fn blocking_on_a_future() {
    let answer = answer(|| async {
        Handle::current().block_on(async {
            // Its timer and its task are driven by another thread.
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(tokio::spawn(async { thread_name() }).await?)
        })
    });
    assert_eq!(answer, "squall-tokio");
}

#[test]
fn blocking_in_place() {
    let answer = answer(|| async {
        let handler = block_in_place(|| Handle::current().block_on(async { "handler" }));
        let task =
            tokio::spawn(async { block_in_place(|| Handle::current().block_on(async { "task" })) });
        Ok(format!("{handler}, {}", task.await?))
    });
    assert_eq!(answer, "handler, task");
}

#[test]
fn blocking_on_tokio_s_own_threads() {
    let answer = answer(|| async { Ok(spawn_blocking(thread_name).await?) });
    assert_eq!(answer, "squall-tokio");
}

#[test]
fn a_runtime_of_the_handler_s_own() {
    let answer = answer(|| async {
        let runtime = tokio::runtime::Runtime::new()?;
        let answer = runtime.block_on(async { tokio::spawn(async { "own" }).await })?;
        // Dropping it here blocks, which is allowed here.
        Ok(answer.to_owned())
    });
    assert_eq!(answer, "own");
}

#[test]
fn others_are_answered_while_handlers_block_on_tokio() {
    const HELD: usize = 8;
    let (latch, closed) = watch::channel(false);
    let (arrived, arrivals) = mpsc::channel();
    let server = TestServer::start(
        Application::new()
            .route(
                "/held/{how}",
                move |squall::Path(how): squall::Path<String>| {
                    let (latch, arrived) = (closed.clone(), arrived.clone());
                    async move {
                        let _ = arrived.send(());
                        match how.as_str() {
                            "block_on" => Handle::current().block_on(opened(latch)),
                            _ => block_in_place(|| Handle::current().block_on(opened(latch))),
                        }
                        thread_name()
                    }
                },
            )
            .route("/plain", || async { "plain" })
            .route("/tokio", || async {
                tokio::spawn(async { "from tokio" }).await.unwrap_or("lost")
            }),
    );
    thread::scope(|scope| {
        let held: Vec<_> = (0..HELD)
            .map(|turn| {
                let target = ["/held/block_on", "/held/in_place"][turn % 2];
                scope.spawn(|| server.get(target))
            })
            .collect();
        for _ in 0..HELD {
            arrivals.recv_timeout(PATIENCE).expect("every handler runs");
        }
        assert_eq!(server.get("/plain").text(), "plain");
        assert_eq!(server.get("/tokio").text(), "from tokio");
        assert!(held.iter().all(|request| !request.is_finished()));
        latch.send(true).expect("handlers wait");
        for request in held {
            assert_eq!(request.join().expect("an answer").status, 200);
        }
    });
}

#[test]
fn work_on_the_executor_finds_it_too() {
    let answer = answer(|| async {
        let blocking = squall::run_on_executor(|| {
            Handle::current().block_on(async { tokio::spawn(async { "there" }).await })
        });
        Ok(blocking.await??.to_owned())
    });
    assert_eq!(answer, "there");
}

#[test]
fn the_program_s_own_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("the program's")
        .enable_all()
        .build()
        .expect("a runtime");
    let io_loop = IoLoop::builder()
        .lanes(1)
        .tokio(runtime.handle().clone())
        .build()
        .expect("a loop");
    let name = io_loop.run(async { tokio::spawn(async { thread_name() }).await });
    assert_eq!(name.expect("ran").expect("joined"), "the program's");
    io_loop.stop();
    drop(io_loop);
    // It outlives the loop.
    let name = runtime.block_on(async { tokio::spawn(async { thread_name() }).await });
    assert_eq!(name.expect("joined"), "the program's");
}

/// A task of the loop's runtime, which is there until the runtime has ended.
fn resident(io_loop: &IoLoop) -> mpsc::Receiver<()> {
    let (alive, gone) = mpsc::channel();
    let started = io_loop.run(async move {
        tokio::spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
    });
    started.expect("a running loop");
    gone
}

#[track_caller]
fn ends(gone: &mpsc::Receiver<()>) {
    let end = gone.recv_timeout(PATIENCE);
    assert_eq!(end, Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn the_runtime_ends_with_the_loop() {
    let io_loop = IoLoop::builder().lanes(2).build().expect("a loop");
    let gone = resident(&io_loop);
    io_loop.stop();
    ends(&gone);
}

#[test]
fn the_runtime_ends_when_the_loop_is_stopped_from_its_own_threads() {
    for place in 0..4 {
        let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
        let gone = resident(&io_loop);
        let inner = io_loop.clone();
        let stop = async move {
            match place {
                0 => inner.stop(),
                1 => drop(tokio::spawn(async move { inner.stop() })),
                2 => drop(spawn_blocking(move || inner.stop())),
                _ => Handle::current().block_on(async move { inner.stop() }),
            }
        };
        drop(io_loop.spawn(stop));
        drop(io_loop);
        ends(&gone);
    }
}

#[test]
fn the_runtime_ends_when_the_loop_is_stopped_inside_another_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let gone = runtime.block_on(async {
        let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
        let gone = resident(&io_loop);
        io_loop.stop();
        gone
    });
    ends(&gone);
}

#[test]
fn a_stuck_handler_keeps_the_runtime_until_it_returns() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let gone = resident(&io_loop);
    let (latch, closed) = watch::channel(false);
    let (arrived, arrivals) = mpsc::channel();
    let (done, result) = mpsc::channel();
    io_loop.add_callback(move || {
        let _ = arrived.send(());
        let sum = Handle::current().block_on(async {
            opened(closed).await;
            tokio::spawn(async { 1 + 1 }).await
        });
        let _ = done.send(sum.ok());
    });
    arrivals.recv_timeout(PATIENCE).expect("it runs");
    io_loop.stop();
    latch.send(true).expect("it waits");
    assert_eq!(result.recv_timeout(PATIENCE), Ok(Some(2)));
    ends(&gone);
}
