//! What nobody asked for: the price of a hand-off, and the wakes of an idle process.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::Figures;
use crate::runtime::{Runtime, Squall};
use crate::stopwatch::Stopwatch;

/// Each block is longer than the monitor's patience.
const BLOCK: Duration = Duration::from_millis(8);
/// Threads that only start up have gone to sleep by then.
const SETTLE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);

/// CPU microseconds per hand-off: tasks that block one after the other, less what
/// the same number of sleeps costs a plain thread.
pub(crate) fn hand_off(squall: &Squall, count: usize) -> Figures {
    let sleeps = Stopwatch::start();
    for _ in 0..count {
        thread::sleep(BLOCK);
    }
    let sleeps = sleeps.elapsed();
    let floor = switches_of_threads(count);
    let before = squall.hand_offs();
    let blocks = Stopwatch::start();
    squall.run(async move {
        for _ in 0..count {
            Squall::spawn(async { thread::sleep(BLOCK) }).await;
        }
    });
    let blocks = blocks.elapsed();
    let hand_offs = (squall.hand_offs() - before) as f64;
    vec![
        ("hand_offs", hand_offs),
        ("sleep_cpu_us", sleeps.cpu / 1_000.0 / count as f64),
        ("cpu_us", (blocks.cpu - sleeps.cpu) / 1_000.0 / hand_offs),
        (
            "floor_cpu_us",
            (floor - sleeps.cpu) / 1_000.0 / count as f64,
        ),
    ]
}

/// CPU nanoseconds of the sleeps again, with no more beside each than the thread
/// switches of a hand-off: another thread is woken by an alarm, and once more by the
/// sleeper.
fn switches_of_threads(count: usize) -> f64 {
    let slept = Arc::new(AtomicUsize::new(0));
    let begin = Stopwatch::start();
    let other = thread::spawn({
        let slept = slept.clone();
        move || {
            for round in 1..=count {
                thread::sleep(BLOCK / 2);
                while slept.load(Ordering::Acquire) < round {
                    thread::park();
                }
            }
        }
    });
    for round in 1..=count {
        thread::sleep(BLOCK);
        slept.store(round, Ordering::Release);
        other.thread().unpark();
    }
    other.join().expect("no panic");
    begin.elapsed().cpu
}

/// How often per second a thread of this process wakes while nothing is to be done.
pub(crate) fn wakes() -> Figures {
    thread::sleep(SETTLE);
    let before = switches();
    thread::sleep(IDLE);
    // One of them is this thread's own.
    let wakes = switches().saturating_sub(before + 1);
    vec![("wakes_per_s", wakes as f64 / IDLE.as_secs_f64())]
}

/// How often the threads of this process have given up their CPU to wait.
fn switches() -> u64 {
    let threads = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).ok()?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        })
        .sum()
}
