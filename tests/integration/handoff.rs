//! Blocking code cannot stall a lane.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use squall_loop::net::TcpListener;
use squall_loop::{Blocked, IoLoop, Pressure, Watch, blocking, sleep};

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

#[test]
fn an_announced_block_hands_the_lane_over_at_once_and_once() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let (release, released) = mpsc::channel::<()>();
    let (inside, entered) = mpsc::channel();
    let task = io_loop.spawn_named("the one that says so", async move {
        let waited = blocking(|| {
            inside.send(()).expect("somebody waits");
            released.recv()
        });
        // The lane is gone already: this only calls the function.
        blocking(|| waited.is_ok())
    });
    entered.recv().expect("entered");
    // Nobody but the announcement can have handed the lane over: it counts at once.
    let stats = io_loop.stats();
    assert_eq!(stats.handoffs(), 1);
    assert_eq!(stats.blocked_now[0].label, "the one that says so");
    io_loop.run(async {}).expect("the lane goes on");
    release.send(()).expect("it waits");
    assert_eq!(io_loop.run(task).expect("ran"), Ok(true));
    // The thread comes back from the poll after the task's end.
    while !io_loop.stats().blocked_now.is_empty() {
        thread::yield_now();
    }
    assert_eq!(io_loop.stats().handoffs(), 1);
    io_loop.stop();
}

/// The next carrier may have found no socket to wait for, and parked.
#[test]
fn what_a_stuck_task_registers_is_waited_for_by_the_next_carrier() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    for _ in 0..20 {
        let (go, gone) = mpsc::channel::<()>();
        let (bound, address) = mpsc::channel();
        let (accepts, accepted) = mpsc::channel();
        let task = io_loop.spawn(async move {
            blocking(|| {
                gone.recv().expect("somebody sends");
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let listener = TcpListener::bind(any).expect("a listener");
                let told = bound.send(listener.local_addr().expect("an address"));
                told.expect("somebody waits");
                let told = accepts.send(blocked_on(listener.accept()).is_ok());
                told.expect("somebody waits");
            });
        });
        io_loop.run(async {}).expect("the lane goes on");
        go.send(()).expect("it waits");
        let client = std::net::TcpStream::connect(address.recv().expect("bound"));
        // Nothing that would wake the carrier is asked of the loop before.
        assert_eq!(accepted.recv_timeout(Duration::from_secs(10)), Ok(true));
        io_loop.run(task).expect("ran").expect("not cancelled");
        drop(client);
    }
    io_loop.stop();
}

/// Polls a future on the calling thread, which waits for it.
fn blocked_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn without_the_monitor_a_stuck_lane_stands_still() {
    let io_loop = IoLoop::builder().lanes(1).monitor(false).build();
    let io_loop = io_loop.expect("a loop");
    let (done, order) = mpsc::channel();
    let tasks = ["the one that blocks", "the next"].map(|name| {
        let done = done.clone();
        io_loop.spawn(async move {
            thread::sleep(Duration::from_millis(50));
            done.send(name).expect("somebody waits");
        })
    });
    for task in tasks {
        io_loop.run(task).expect("ran").expect("not cancelled");
    }
    assert_eq!(io_loop.stats().handoffs(), 0);
    drop(done);
    let order: Vec<_> = order.iter().collect();
    assert_eq!(order, ["the one that blocks", "the next"]);
    // Who says so is believed, and gets a thread.
    io_loop.run(async { blocking(|| ()) }).expect("ran");
    assert_eq!(io_loop.stats().handoffs(), 1);
    io_loop.stop();
}

#[test]
fn an_announced_block_outside_of_a_lane_only_calls() {
    assert_eq!(blocking(|| 1), 1);
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let work = io_loop.run_on_executor(|| blocking(|| 2));
    assert_eq!(io_loop.run(work).expect("ran"), Ok(2));
    assert_eq!(io_loop.stats().handoffs(), 0);
    io_loop.stop();
}

/// Counts how often its tasks were caught and released.
#[derive(Default)]
struct Counts {
    caught: AtomicUsize,
    released: AtomicUsize,
}

impl Watch for Counts {
    fn label(&self) -> String {
        "counted".to_owned()
    }
    fn caught(&self, blocked: &Blocked) {
        assert!(!blocked.explicit);
        self.caught.fetch_add(1, Ordering::SeqCst);
    }
    fn released(&self, _: &Blocked, _: Duration) {
        self.released.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn in_a_storm_each_blocker_is_reported_once_whoever_polls_it() {
    const BLOCKERS: usize = 60;
    let io_loop = IoLoop::builder().lanes(2).build().expect("a loop");
    let counts = Arc::new(Counts::default());
    let mut releases = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..BLOCKERS {
        let (release, released) = mpsc::channel::<()>();
        let blocks = async move {
            let _ = released.recv();
        };
        tasks.push(io_loop.spawn_watched(blocks, counts.clone()));
        releases.push(release);
    }
    while counts.caught.load(Ordering::SeqCst) < BLOCKERS {
        // Each round goes through the lanes: they are alive all the time.
        io_loop
            .run(async { sleep(Duration::from_millis(1)).await })
            .expect("rescued");
    }
    let stats = io_loop.stats();
    assert_eq!(stats.blocked_now.len(), BLOCKERS);
    assert!(
        stats.handoffs() < BLOCKERS as u64,
        "threads that relieve a lane cost no hand-off: {}",
        stats.handoffs()
    );
    drop(releases);
    for task in tasks {
        io_loop.run(task).expect("ran").expect("not cancelled");
    }
    assert_eq!(counts.caught.load(Ordering::SeqCst), BLOCKERS);
    while counts.released.load(Ordering::SeqCst) < BLOCKERS {
        thread::yield_now();
    }
    while !io_loop.stats().blocked_now.is_empty() {
        thread::yield_now();
    }
    io_loop.stop();
}

#[test]
fn near_the_thread_cap_the_loop_is_under_pressure_until_threads_come_back() {
    let io_loop = (IoLoop::builder().lanes(1).thread_cap(12).build()).expect("a loop");
    assert_eq!(io_loop.pressure(), Pressure::Easy);
    let mut blockers = Vec::new();
    while io_loop.pressure() == Pressure::Easy {
        blockers.push(blocker(&io_loop));
        io_loop.run(async {}).expect("rescued");
        assert!(blockers.len() < 12);
    }
    // Work that is known to block cannot take the carriers' last threads.
    let (open, opened) = mpsc::channel::<()>();
    let opened = Arc::new(Mutex::new(opened));
    let works: Vec<_> = (0..20)
        .map(|_| {
            let opened = opened.clone();
            io_loop.run_on_executor(move || {
                let _ = opened.lock().expect("no panic").recv();
            })
        })
        .collect();
    io_loop.run(async {}).expect("the lane is alive");
    drop(open);
    for work in works {
        io_loop.run(work).expect("ran").expect("not cancelled");
    }
    while io_loop.pressure() < Pressure::Exhausted {
        blockers.push(blocker(&io_loop));
        io_loop.run(async {}).expect("rescued");
        assert!(blockers.len() < 12);
    }
    for (release, task) in blockers {
        release.send(()).expect("it waits");
        io_loop.run(task).expect("ran").expect("not cancelled");
    }
    while io_loop.pressure() != Pressure::Easy {
        thread::yield_now();
    }
    io_loop.stop();
}
