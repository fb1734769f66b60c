//! What becomes of tasks and sockets when their loop stops.

use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use squall_loop::net::{ReadStream, TcpStream};
use squall_loop::{IoLoop, JoinError, sleep};
use squall_tests::{on_one_lane_until_it_is_gone, until};

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

#[test]
fn what_has_come_is_read_after_the_stop_and_then_nothing_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let stream = on_one_lane_until_it_is_gone(TcpStream::connect(address));
    let stream = stream.expect("a connection");
    let (mut peer, _) = listener.accept().expect("a connection");
    peer.write_all(b"hello").expect("sent");
    let mut came = [0; 8];
    let mut read = 0;
    until("it has come", || {
        read += stream.try_read(&mut came[read..]).unwrap_or_default();
        read == 5
    });
    let error = stream
        .try_read(&mut came)
        .expect_err("nobody hears of more");
    assert_eq!(error.kind(), ErrorKind::NotConnected);
}
