//! What becomes of tasks when their loop stops.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use squall_loop::{IoLoop, JoinError, sleep};

fn one_lane() -> IoLoop {
    IoLoop::builder().lanes(1).build().expect("a loop")
}

/// Waits until only the caller holds it.
fn until_alone<T>(held: &Arc<T>) {
    while Arc::strong_count(held) > 1 {
        std::thread::yield_now();
    }
}

/// A loop whose lane has dropped its tasks.
fn stopped() -> IoLoop {
    let io_loop = one_lane();
    let alive = Arc::new(());
    let (begun, has_begun) = mpsc::channel();
    let held = alive.clone();
    drop(io_loop.spawn(async move {
        begun.send(()).expect("waited for");
        sleep(Duration::from_secs(3600)).await;
        drop(held);
    }));
    has_begun.recv().expect("begun");
    io_loop.stop();
    until_alone(&alive);
    io_loop
}

#[test]
fn a_task_that_is_spawned_after_the_stop_is_dropped() {
    let io_loop = stopped();
    assert_eq!(io_loop.run(async { 1 }), Err(JoinError::Cancelled));
    let alive = Arc::new(());
    let held = alive.clone();
    drop(io_loop.spawn(async move { drop(held) }));
    until_alone(&alive);
}

#[test]
fn a_callback_that_is_armed_after_the_stop_is_dropped() {
    let io_loop = stopped();
    let alive = Arc::new(());
    for seconds in [2, 1, 3] {
        let held = alive.clone();
        io_loop.call_later(Duration::from_secs(seconds * 3600), move || drop(held));
    }
    until_alone(&alive);
}

#[test]
fn a_task_that_was_stuck_during_the_stop_is_dropped_when_its_poll_returns() {
    let io_loop = one_lane();
    let alive = Arc::new(());
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let held = alive.clone();
    drop(io_loop.spawn(async move {
        begun.send(()).expect("waited for");
        let _ = released.recv();
        sleep(Duration::from_secs(3600)).await;
        drop(held);
    }));
    has_begun.recv().expect("begun");
    // Answers as soon as the lane was handed over, and is dropped with the rest.
    let others = Arc::new(());
    let held = others.clone();
    let (ran, has_run) = mpsc::channel();
    drop(io_loop.spawn(async move {
        ran.send(()).expect("waited for");
        sleep(Duration::from_secs(3600)).await;
        drop(held);
    }));
    has_run.recv().expect("run by the next carrier");
    io_loop.stop();
    until_alone(&others);
    assert_eq!(Arc::strong_count(&alive), 2, "still inside its poll");
    release.send(()).expect("waited for");
    until_alone(&alive);
}
