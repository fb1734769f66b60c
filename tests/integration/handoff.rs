//! Blocking code cannot stall a lane.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall_loop::{Blocked, IoLoop, Watch, sleep};

/// Blocks the calling thread until somebody sends.
fn blocker(io_loop: &IoLoop) -> (mpsc::Sender<()>, squall_loop::JoinHandle<()>) {
    let (release, released) = mpsc::channel::<()>();
    let task = io_loop.spawn(async move {
        let _ = released.recv();
    });
    (release, task)
}

#[test]
fn a_blocked_lane_goes_on_while_the_blocker_is_still_stuck() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let (release, task) = blocker(&io_loop);
    // The only lane is stuck; spawns, timers and wakes on it work all the same.
    io_loop
        .run(async { sleep(Duration::from_millis(1)).await })
        .expect("rescued");
    assert!(!task.is_finished());
    let stats = io_loop.stats();
    assert_eq!(stats.handoffs(), 1);
    assert_eq!(stats.blocked_now.len(), 1);
    if cfg!(target_os = "linux") {
        assert_eq!(stats.blocked_now[0].syscall, Some("futex"));
    }
    release.send(()).expect("the blocker waits");
    io_loop.run(task).expect("finished").expect("not cancelled");
    io_loop.stop();
}

#[test]
fn fifty_blockers_queued_at_once_are_all_rescued() {
    let io_loop = IoLoop::builder().lanes(2).build().expect("a loop");
    let blockers: Vec<_> = (0..50).map(|_| blocker(&io_loop)).collect();
    io_loop.run(async {}).expect("rescued");
    for (release, task) in blockers {
        release.send(()).expect("the blocker waits");
        io_loop.run(task).expect("finished").expect("not cancelled");
    }
    io_loop.stop();
}

#[test]
fn a_poll_that_burns_cpu_is_told_from_one_that_waits() {
    #[derive(Default)]
    struct Report(Mutex<Option<Blocked>>, Mutex<Option<mpsc::Sender<()>>>);
    impl Watch for Report {
        fn label(&self) -> String {
            "spinner".to_owned()
        }
        fn caught(&self, blocked: &Blocked) {
            *self.0.lock().expect("no panic") = Some(blocked.clone());
            drop(self.1.lock().expect("no panic").take());
        }
        fn released(&self, _: &Blocked, _: Duration) {}
    }
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let report = Arc::new(Report::default());
    let (alive, caught) = mpsc::channel::<()>();
    *report.1.lock().expect("no panic") = Some(alive);
    let task = io_loop.spawn_watched(
        async move {
            // Spins until it was caught.
            while caught.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                std::hint::spin_loop();
            }
        },
        report.clone(),
    );
    io_loop.run(task).expect("ran").expect("not cancelled");
    let blocked = report.0.lock().expect("no panic").clone().expect("caught");
    assert_eq!(blocked.label, "spinner");
    if cfg!(target_os = "linux") {
        assert!(blocked.on_cpu, "{blocked:?}");
    }
    io_loop.stop();
}

#[test]
fn a_lane_is_rescued_from_each_of_many_blockers_in_a_row() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    for _ in 0..20 {
        let (release, task) = blocker(&io_loop);
        io_loop.run(async {}).expect("rescued");
        release.send(()).expect("the blocker waits");
        io_loop.run(task).expect("finished").expect("not cancelled");
    }
    io_loop.stop();
}
