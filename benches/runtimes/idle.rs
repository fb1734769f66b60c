//! What nobody asked for: the price of a hand-off, and the wakes of an idle process.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::Figures;
use crate::runtime::Runtime;
use crate::stopwatch::Stopwatch;

/// Each block is longer than the monitor's patience.
const BLOCK: Duration = Duration::from_millis(8);
/// Threads that only start up have gone to sleep by then.
const SETTLE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);

/// CPU microseconds per call that blocks, one after the other, less what the same number
/// of sleeps costs a plain thread: on the runtime's threads for such calls, and where it
/// is Squall, in a task whose lane is handed over.
pub(crate) fn hand_off<R: Runtime>(runtime: &R, count: usize) -> Figures {
    let sleeps = Stopwatch::start();
    for _ in 0..count {
        thread::sleep(BLOCK);
    }
    let sleeps = sleeps.elapsed().cpu;
    let floor = switches_of_threads(count);
    let each = |cpu: f64, count: f64| (cpu - sleeps) / 1_000.0 / count;
    let offloaded = Stopwatch::start();
    runtime.run(async move {
        for _ in 0..count {
            R::offload(|| thread::sleep(BLOCK)).await;
        }
    });
    let offloaded = offloaded.elapsed().cpu;
    let mut figures = vec![
        ("sleep_cpu_us", sleeps / 1_000.0 / count as f64),
        ("floor_cpu_us", each(floor, count as f64)),
        ("offload_cpu_us", each(offloaded, count as f64)),
    ];
    if let Some(squall) = runtime.as_squall() {
        let before = squall.hand_offs();
        let blocks = Stopwatch::start();
        runtime.run(async move {
            for _ in 0..count {
                R::spawn(async { thread::sleep(BLOCK) }).await;
            }
        });
        let blocks = blocks.elapsed().cpu;
        let hand_offs = (squall.hand_offs() - before) as f64;
        figures.extend([
            ("hand_offs", hand_offs),
            ("cpu_us", each(blocks, hand_offs)),
        ]);
    }
    figures
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
