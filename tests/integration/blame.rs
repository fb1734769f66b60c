//! With `blame` on, the report names the line that blocked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use squall_loop::{Blamed, Blocked, IoLoop, JoinHandle, Watch};

/// A task with a name.
struct Named(&'static str);

impl Watch for Named {
    fn label(&self) -> String {
        self.0.to_owned()
    }
    fn caught(&self, _: &Blocked) {}
    fn released(&self, _: &Blocked, _: Duration) {}
}

fn blaming() -> IoLoop {
    (IoLoop::builder().lanes(1).blame(true).build()).expect("a loop")
}

/// Where no stack can be captured there is nothing to test.
fn supported() -> bool {
    let supported = cfg!(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ));
    if !supported {
        eprintln!("skipped: no stack is captured on this platform");
    }
    supported
}

/// Looks until `count` stacks are there.
fn blamed(io_loop: &IoLoop, count: usize) -> Vec<Blamed> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let blamed = io_loop.stats().blamed;
        if blamed.len() >= count {
            return blamed;
        }
        assert!(Instant::now() < end, "only {} stacks", blamed.len());
        std::thread::yield_now();
    }
}

#[inline(never)]
fn waits_for_the_latch(latch: &mpsc::Receiver<()>) {
    // Something is left to do, so that the call is not the function's last.
    std::hint::black_box(latch.recv().is_ok());
}

/// A task that waits for the latch, which is opened by what is returned first.
fn latched(io_loop: &IoLoop, label: &'static str) -> (mpsc::Sender<()>, JoinHandle<()>) {
    let (release, latch) = mpsc::channel();
    let task = io_loop.spawn_watched(
        async move { waits_for_the_latch(&latch) },
        Arc::new(Named(label)),
    );
    (release, task)
}

fn finish(io_loop: &IoLoop, (release, task): (mpsc::Sender<()>, JoinHandle<()>)) {
    release.send(()).expect("it waits");
    io_loop.run(task).expect("ran").expect("not cancelled");
}

#[test]
fn the_stack_names_the_line_that_blocked() {
    if !supported() {
        return;
    }
    let io_loop = blaming();
    let task = latched(&io_loop, "latch");
    let blamed = &blamed(&io_loop, 1)[0];
    finish(&io_loop, task);
    assert_eq!(blamed.label, "latch");
    assert_eq!(blamed.syscall, Some("futex"));
    assert!(!blamed.on_cpu);
    let stack = &blamed.stack;
    let own = stack.own().expect("a frame of this test");
    assert!(own.function.ends_with("waits_for_the_latch"), "{stack}");
    assert!(
        own.file
            .as_ref()
            .is_some_and(|file| file.ends_with("blame.rs")),
        "{stack}"
    );
    assert!(own.line.is_some(), "{stack}");
    // Within it the standard library; outside of it this test, and no loop.
    assert!(stack.own > Some(0), "{stack}");
    let outermost = stack.frames.last().expect("frames");
    assert!(outermost.function.contains("latched"), "{stack}");
    io_loop.stop();
}

async fn blocks_after_waiting(latch: mpsc::Receiver<()>) {
    squall_loop::sleep(Duration::from_millis(1)).await;
    std::hint::black_box(latch.recv().is_ok());
}

#[test]
fn an_async_function_goes_by_its_own_name() {
    if !supported() {
        return;
    }
    let io_loop = blaming();
    let (release, latch) = mpsc::channel();
    let task = io_loop.spawn(blocks_after_waiting(latch));
    let blamed = &blamed(&io_loop, 1)[0];
    finish(&io_loop, (release, task));
    let own = blamed.stack.own().expect("a frame of this test");
    assert!(
        own.function.ends_with("blocks_after_waiting"),
        "{}",
        blamed.stack
    );
    io_loop.stop();
}

#[test]
fn a_label_is_asked_once() {
    if !supported() {
        return;
    }
    let io_loop = blaming();
    for _ in 0..3 {
        let task = latched(&io_loop, "again");
        assert_eq!(blamed(&io_loop, 1).len(), 1);
        until_blocked(&io_loop);
        finish(&io_loop, task);
    }
    let task = latched(&io_loop, "another");
    let labels: Vec<_> = blamed(&io_loop, 2).into_iter().map(|it| it.label).collect();
    assert_eq!(labels, ["again", "another"]);
    finish(&io_loop, task);
    io_loop.stop();
}

#[test]
fn without_the_setting_nobody_is_asked() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let task = latched(&io_loop, "latch");
    until_blocked(&io_loop);
    finish(&io_loop, task);
    assert!(io_loop.stats().blamed.is_empty());
    io_loop.stop();
}

fn until_blocked(io_loop: &IoLoop) {
    while io_loop.stats().blocked_now.is_empty() {
        std::thread::yield_now();
    }
}

#[inline(never)]
fn spins(flag: &AtomicBool) -> u64 {
    let mut turns = 1;
    while !flag.load(Ordering::Relaxed) {
        turns = std::hint::black_box(turns + 2);
    }
    turns % 2
}

#[test]
fn a_thread_that_burns_cpu_is_caught_in_the_act() {
    if !supported() {
        return;
    }
    let io_loop = blaming();
    let flag = Arc::new(AtomicBool::new(false));
    let task = io_loop.spawn({
        let flag = flag.clone();
        async move { spins(&flag) }
    });
    let blamed = &blamed(&io_loop, 1)[0];
    flag.store(true, Ordering::Relaxed);
    assert_eq!(io_loop.run(task).expect("ran"), Ok(1));
    assert!(blamed.on_cpu);
    let own = blamed.stack.own().expect("a frame of this test");
    assert!(own.function.ends_with("spins"), "{}", blamed.stack);
    io_loop.stop();
}

/// Blocks in one way until it is caught, and then comes to the right end.
fn goes_on<T: PartialEq + std::fmt::Debug + Send + 'static>(
    syscalls: &[&str],
    blocks: impl FnOnce() -> T + Send + 'static,
    release: impl FnOnce(),
    result: &T,
) {
    if !supported() {
        return;
    }
    let io_loop = blaming();
    let task = io_loop.spawn(async move { blocks() });
    let blamed = blamed(&io_loop, 1);
    release();
    assert_eq!(io_loop.run(task).expect("ran").as_ref(), Ok(result));
    let syscall = blamed[0].syscall.expect("a system call");
    assert!(syscalls.contains(&syscall), "{syscall}");
    io_loop.stop();
}

#[test]
#[cfg(unix)]
fn a_read_goes_on() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
    let read = move || {
        let mut bytes = [0; 8];
        let count = theirs.read(&mut bytes).map_err(|error| error.kind());
        (count, bytes)
    };
    let write = || ours.write_all(b"answered").expect("written");
    goes_on(&["read", "recvfrom"], read, write, &(Ok(8), *b"answered"));
}

#[test]
fn a_lock_goes_on() {
    let lock = Arc::new(Mutex::new(7));
    let guard = lock.lock().expect("unpoisoned");
    let waits = lock.clone();
    let release = move || drop(guard);
    goes_on(
        &["futex"],
        move || *waits.lock().expect("unpoisoned"),
        release,
        &7,
    );
}

#[test]
fn a_sleep_lasts_as_long_as_it_should() {
    const LASTS: Duration = Duration::from_millis(500);
    let sleeps = || {
        let begun = Instant::now();
        std::thread::sleep(LASTS);
        begun.elapsed() >= LASTS
    };
    goes_on(&["nanosleep", "clock_nanosleep"], sleeps, || (), &true);
}

#[test]
#[cfg(unix)]
fn a_wait_for_a_process_goes_on() {
    use std::process::{Command, Stdio};

    let mut child = (Command::new("cat").stdin(Stdio::piped()).spawn()).expect("a process");
    let stdin = child.stdin.take();
    let wait = move || {
        child
            .wait()
            .map_err(|error| error.kind())
            .map(|end| end.code())
    };
    goes_on(&["wait4", "waitid"], wait, || drop(stdin), &Ok(Some(0)));
}
