//! Timers: a million of them armed, cancelled, fired.
//!
//! Arming goes on in batches with a yield between them: a task that armed a
//! million timers in one poll would block its thread, which is another subject.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::Figures;
use crate::runtime::Runtime;
use crate::stopwatch::{Elapsed, Stopwatch};
use crate::tasks::yield_now;

/// Below tokio's budget of operations in one poll.
const BATCH: usize = 100;
/// The sleeps that do not fire are due after this, or up to a minute later.
const FAR: Duration = Duration::from_secs(60);
/// The ones that fire are due over so long a time.
const WINDOW: Duration = Duration::from_secs(4);

/// xorshift: the same deadlines for every runtime.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn delay(&mut self, random: bool) -> Duration {
        let more = if random {
            self.below(FAR.as_nanos() as u64)
        } else {
            0
        };
        FAR + Duration::from_nanos(more)
    }
}

/// Resident bytes of this process.
fn resident() -> f64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kb.map_or(f64::NAN, |kb| kb * 1024.0)
}

/// Nanoseconds and resident bytes per sleep that is made and polled once, the
/// sleep itself included; then nanoseconds per sleep that is dropped.
pub(crate) fn sleeps<R: Runtime>(runtime: &R, count: usize, random: bool) -> Figures {
    runtime.run(async move {
        let mut delays = Random::new();
        let before = resident();
        let mut armed = Vec::with_capacity(count);
        let mut time = Elapsed::default();
        while armed.len() < count {
            let begin = Stopwatch::start();
            for _ in 0..BATCH {
                armed.push(first_poll(R::sleep(delays.delay(random)), Waker::noop()));
            }
            time += begin.elapsed();
            yield_now().await;
        }
        let bytes = (resident() - before) / armed.len() as f64;
        let cancel = drop_half(armed, drop).await;
        figures(time, count, bytes, cancel)
    })
}

/// The same with `call_later`, for a call that owns an `Arc`.
pub(crate) fn calls<R: Runtime>(runtime: &R, count: usize, random: bool) -> Option<Figures> {
    runtime.run(async move {
        let called = Arc::new(AtomicU64::new(0));
        let mut delays = Random::new();
        let before = resident();
        let mut armed = Vec::with_capacity(count);
        let mut time = Elapsed::default();
        while armed.len() < count {
            let begin = Stopwatch::start();
            for _ in 0..BATCH {
                let called = called.clone();
                let call = move || {
                    called.fetch_add(1, Ordering::Relaxed);
                };
                armed.push(R::call_later(delays.delay(random), call)?);
            }
            time += begin.elapsed();
            yield_now().await;
        }
        let bytes = (resident() - before) / armed.len() as f64;
        let cancel = drop_half(armed, R::cancel_call).await;
        Some(figures(time, count, bytes, cancel))
    })
}

fn figures(arm: Elapsed, count: usize, bytes: f64, cancel: Elapsed) -> Figures {
    vec![
        ("arm_ns", arm.wall / count as f64),
        ("arm_cpu_ns", arm.cpu / count as f64),
        ("bytes", bytes),
        ("cancel_ns", cancel.wall),
        ("cancel_cpu_ns", cancel.cpu),
    ]
}

/// Ends every second one, in random order. Nanoseconds for each.
async fn drop_half<T>(mut armed: Vec<T>, end: impl Fn(T)) -> Elapsed {
    let mut order = Random::new();
    let half = armed.len() / 2;
    let mut time = Elapsed::default();
    while armed.len() > half {
        let begin = Stopwatch::start();
        for _ in 0..BATCH {
            let at = order.below(armed.len() as u64) as usize;
            end(armed.swap_remove(at));
        }
        time += begin.elapsed();
        yield_now().await;
    }
    Elapsed {
        wall: time.wall / half as f64,
        cpu: time.cpu / half as f64,
    }
}

fn first_poll<S: Future + Unpin>(mut sleep: S, waker: &Waker) -> S {
    let pending = Pin::new(&mut sleep).poll(&mut Context::from_waker(waker));
    assert!(pending.is_pending(), "due in the future");
    sleep
}

/// A thread that does nothing but sleep to the same deadlines, by whole milliseconds as
/// most loops do: what no timer can be better than on a busy machine.
struct Sleeper(thread::JoinHandle<Vec<u64>>);

impl Sleeper {
    /// Deadlines in nanoseconds from `begin`.
    fn start(begin: Instant, mut deadlines: Vec<u64>) -> Self {
        Self(thread::spawn(move || {
            let mut now = begin.elapsed().as_nanos() as u64;
            deadlines.retain(|due| *due > now);
            deadlines.sort_unstable();
            for due in &mut deadlines {
                while now < *due {
                    let millis = (*due - now).div_ceil(1_000_000);
                    thread::sleep(Duration::from_millis(millis));
                    now = begin.elapsed().as_nanos() as u64;
                }
                *due = (now - *due) / 1_000;
            }
            deadlines
        }))
    }

    /// How late it was, in microseconds.
    fn end(self) -> Vec<u64> {
        self.0.join().expect("no panic")
    }
}

/// Of microseconds, in milliseconds: the middle, all but a thousandth, all.
fn shares(mut late: Vec<u64>) -> [f64; 3] {
    late.sort_unstable();
    let last = late.len().saturating_sub(1) as f64;
    [0.5, 0.999, 1.0].map(|share| {
        (late.get((last * share) as usize)).map_or(f64::NAN, |late| *late as f64 / 1_000.0)
    })
}

/// What the wakers of the sleeps write to.
struct Log {
    begin: Instant,
    fired: AtomicUsize,
    /// Microseconds after its time, in the order of firing.
    late: Vec<AtomicU64>,
    /// The deadline of the last that fired.
    last: AtomicU64,
    disorder: AtomicUsize,
}

/// Notes when it is woken.
struct Fired {
    due: u64,
    log: Arc<Log>,
}

impl Wake for Fired {
    fn wake(self: Arc<Self>) {
        let now = self.log.begin.elapsed().as_nanos() as u64;
        let at = self.log.fired.fetch_add(1, Ordering::Relaxed);
        self.log.late[at].store(now.saturating_sub(self.due) / 1_000, Ordering::Relaxed);
        if self.log.last.swap(self.due, Ordering::Relaxed) > self.due {
            self.log.disorder.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Arms them over a window, drops every second one, lets the others fire.
/// Milliseconds after their time, and how many fired before an earlier one.
pub(crate) fn fire<R: Runtime>(runtime: &R, count: usize) -> Figures {
    // Long enough to arm and to cancel all of them before the first is due.
    let first = Duration::from_nanos(count as u64 * 6_000) + Duration::from_millis(200);
    runtime.run(async move {
        let log = Arc::new(Log {
            begin: Instant::now(),
            fired: AtomicUsize::new(0),
            late: (0..count).map(|_| AtomicU64::new(0)).collect(),
            last: AtomicU64::new(0),
            disorder: AtomicUsize::new(0),
        });
        let mut random = Random::new();
        let mut armed = Vec::with_capacity(count);
        while armed.len() < count {
            for _ in 0..BATCH {
                let due = first + Duration::from_nanos(random.below(WINDOW.as_nanos() as u64));
                let log = log.clone();
                let waker = Waker::from(Arc::new(Fired {
                    due: due.as_nanos() as u64,
                    log: log.clone(),
                }));
                let sleep = R::sleep(due.saturating_sub(log.begin.elapsed()));
                armed.push((due.as_nanos() as u64, first_poll(sleep, &waker)));
            }
            yield_now().await;
        }
        let mut at = 0;
        while at < armed.len() {
            let end = (at + BATCH / 2).min(armed.len());
            while at < end {
                drop(armed.swap_remove(at));
                at += 1;
            }
            yield_now().await;
        }
        let left = armed.len();
        let deadlines = armed.iter().map(|(due, _)| *due).collect();
        let sleeper = Sleeper::start(log.begin, deadlines);
        let end = first + WINDOW + Duration::from_millis(100);
        while log.fired.load(Ordering::Relaxed) < left && log.begin.elapsed() < end * 4 {
            R::sleep(Duration::from_millis(50)).await;
        }
        let fired = log.fired.load(Ordering::Relaxed);
        let late = log.late[..fired].iter();
        let [p50, p999, max] = shares(late.map(|late| late.load(Ordering::Relaxed)).collect());
        let [floor_p50, floor_p999, floor_max] = shares(sleeper.end());
        vec![
            ("late_p50_ms", p50),
            ("late_p99.9_ms", p999),
            ("late_max_ms", max),
            ("floor_p50_ms", floor_p50),
            ("floor_p99.9_ms", floor_p999),
            ("floor_max_ms", floor_max),
            ("disorder", log.disorder.load(Ordering::Relaxed) as f64),
            ("lost", (left - fired) as f64),
        ]
    })
}
