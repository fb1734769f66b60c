//! The event loop in Tornado's words.

use std::future::poll_fn;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use squall_loop::net::{ReadStream, TcpListener};

use squall_loop::{
    Executor, IoLoop, JoinError, PeriodicCallback, run_on_executor, sleep, with_timeout,
};
use squall_tests::{PATIENCE, break_log, finished, turned};

#[test]
fn callbacks_fire_in_the_order_of_their_time() {
    let (io_loop, clock) = turned();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (done, all) = mpsc::channel();
    for ms in [30, 10, 20] {
        let (order, done) = (order.clone(), done.clone());
        io_loop.call_later(Duration::from_millis(ms), move || {
            order.lock().expect("no panic").push(ms);
            done.send(()).expect("waited for");
        });
    }
    clock.advance(Duration::from_millis(30));
    all.iter().take(3).for_each(drop);
    assert_eq!(*order.lock().expect("no panic"), [10, 20, 30]);
    io_loop.stop();
}

#[test]
fn a_log_that_panics_costs_no_lane() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let (done, ended) = mpsc::channel();
    drop(io_loop.spawn(async {
        break_log();
        panic!("on purpose");
    }));
    drop(io_loop.spawn(async move { done.send(()).expect("waited for") }));
    ended.recv_timeout(PATIENCE).expect("the lane goes on");
    io_loop.stop();
}

#[test]
fn a_cancelled_timeout_never_fires() {
    let (io_loop, clock) = turned();
    let (done, fired) = mpsc::channel();
    let unwanted = done.clone();
    let timeout = io_loop.call_later(Duration::from_millis(1), move || {
        unwanted.send("unwanted").expect("waited for");
    });
    io_loop.call_later(Duration::from_millis(2), move || {
        done.send("wanted").expect("waited for");
    });
    assert!(timeout.cancel());
    clock.advance(Duration::from_millis(2));
    assert_eq!(fired.recv(), Ok("wanted"));
    io_loop.stop();
}

#[test]
fn with_timeout_gives_up_at_its_limit_and_not_before() {
    let (io_loop, clock) = turned();
    let limit = Duration::from_secs(10);
    // Each counts from here, however late its task is polled.
    let spawned = io_loop.run(async move {
        [9, 60].map(|seconds| {
            let slept = sleep(Duration::from_secs(seconds));
            IoLoop::current().spawn(with_timeout(limit, slept))
        })
    });
    let [quick, limited] = spawned.expect("ran");
    clock.advance(limit - Duration::from_nanos(1));
    assert_eq!(finished(&io_loop, quick), Ok(()));
    assert!(!limited.is_finished());
    clock.advance(Duration::from_nanos(1));
    let error = finished(&io_loop, limited).expect_err("late");
    assert_eq!(error.to_string(), "not done within 10s");
    io_loop.stop();
}

#[test]
fn a_panic_is_an_error_for_who_awaits_and_nothing_for_the_lane() {
    let (io_loop, _) = turned();
    let task = io_loop.spawn(async { panic!("on purpose") });
    let error = io_loop.run(task).expect("ran");
    assert_eq!(error, Err(JoinError::Panicked("on purpose".to_owned())));
    io_loop.add_callback(|| panic!("on purpose"));
    assert_eq!(io_loop.run(async { 7 }), Ok(7));
    io_loop.stop();
}

#[test]
fn a_periodic_callback_leaves_out_what_it_missed() {
    let (io_loop, clock) = turned();
    let count = Arc::new(AtomicUsize::new(0));
    let (called, calls) = mpsc::channel();
    let counted = count.clone();
    let periodic = io_loop.run(async move {
        PeriodicCallback::start(Duration::from_secs(1), move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = called.send(());
            async {}
        })
    });
    io_loop.run(async {}).expect("armed");
    clock.advance(Duration::from_millis(3500));
    calls.recv().expect("called");
    io_loop.run(async {}).expect("armed anew");
    clock.advance(Duration::from_millis(500));
    calls.recv().expect("called on the old beat");
    assert_eq!(count.load(Ordering::SeqCst), 2);
    periodic.expect("ran").stop();
    io_loop.stop();
}

#[test]
fn the_executor_runs_at_most_its_workers_at_a_time() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    let sum = io_loop.run(async move {
        let executor = Executor::new(2);
        let now = Arc::new(AtomicUsize::new(0));
        let work: Vec<_> = (0..20)
            .map(|n| {
                let (now, most) = (now.clone(), most.clone());
                executor.submit(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    n
                })
            })
            .collect();
        let mut sum = 0;
        for handle in work {
            sum += handle.await?;
        }
        Ok::<_, JoinError>(sum + run_on_executor(|| 1).await?)
    });
    assert_eq!(sum, Ok(Ok(191)));
    assert!(seen.load(Ordering::SeqCst) <= 2);
    io_loop.stop();
}

#[test]
fn stopping_a_loop_drops_every_task() {
    let io_loop = IoLoop::builder().lanes(2).build().expect("a loop");
    let alive = Arc::new(());
    let (begun, all) = mpsc::channel();
    for _ in 0..10 {
        let (alive, begun) = (alive.clone(), begun.clone());
        drop(io_loop.spawn(async move {
            begun.send(()).expect("waited for");
            sleep(Duration::from_secs(3600)).await;
            drop(alive);
        }));
    }
    all.iter().take(10).for_each(drop);
    io_loop.stop();
    while Arc::strong_count(&alive) > 1 {
        std::thread::yield_now();
    }
}

#[test]
fn a_task_whose_socket_is_always_ready_still_lets_others_in() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let reads = io_loop.run(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
        let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
        peer.write_all(&[0; 4096])?;
        let (stream, _) = listener.accept().await?;
        poll_fn(|cx| stream.poll_readable(cx)).await;
        // Everything is there, and is taken a byte at a time, in one poll.
        let mut reads = 0;
        poll_fn(|cx| {
            while stream.poll_read(cx, &mut [0]).is_ready() {
                reads += 1;
            }
            Poll::Ready(())
        })
        .await;
        let mut rest = vec![0; 4096];
        let more = poll_fn(|cx| stream.poll_read(cx, &mut rest)).await?;
        Ok::<_, std::io::Error>((reads, more))
    });
    let (reads, more) = reads.expect("ran").expect("no error");
    assert!((1..4096).contains(&reads), "{reads} reads in one poll");
    assert_eq!(reads + more, 4096, "and nothing is lost");
    io_loop.stop();
}
