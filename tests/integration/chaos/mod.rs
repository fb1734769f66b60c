//! Everything at once and at random; in the end every invariant is intact.
//!
//! Each test runs itself again in a process of its own, whose descriptors and threads
//! it can count. The seed is printed; `SQUALL_CHAOS_SEED` repeats it and
//! `SQUALL_CHAOS_SECONDS` says how long it lasts (default: 3).
#![allow(clippy::print_stdout)] // The seed is for a person.

mod server;
mod tasks;

use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use squall_loop::IoLoop;
use squall_tests::PATIENCE;

const SEED: &str = "SQUALL_CHAOS_SEED";
const SECONDS: &str = "SQUALL_CHAOS_SECONDS";
const ALONE: &str = "SQUALL_CHAOS_ALONE";
/// The message of panics that are meant.
const MEANT: &str = "chaos";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs `chaos` in a process of its own, until the given moment.
fn alone(test: &str, chaos: impl FnOnce(Rng, Instant)) {
    let lasts = Duration::from_secs(number(SECONDS).unwrap_or(3));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = number(SEED).unwrap_or_else(|| now.map_or(1, |now| now.as_nanos() as u64));
    if number(ALONE).is_some() {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(MEANT) {
                before(info);
            }
        }));
        return chaos(Rng(seed), Instant::now() + lasts);
    }
    println!("{SEED}={seed}");
    let (_, test) = test.split_once("::").expect("a path inside the crate");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .envs([(ALONE, "1"), (SEED, &seed.to_string())])
        .output()
        .expect("this program again");
    let said = String::from_utf8_lossy(&output.stdout);
    let erred = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{SEED}={seed}\n{said}\n{erred}"
    );
    print!("{said}");
}

/// A small generator of numbers that are random enough (splitmix64).
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// Up to `most` milliseconds.
    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most * 1000 + 1))
    }

    /// Another generator, for somebody else.
    fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

fn spin(lasts: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < lasts {
        std::hint::spin_loop();
    }
}

/// Looks until it is so, or the patience ends. Nothing tells when a thread has ended.
fn becomes(so: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !so() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// What this process holds of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    threads: usize,
}

impl Held {
    /// What is held before the first loop; what a process opens once, for the first
    /// loop and for good (tokio does for its signals), is part of it.
    fn before() -> Self {
        let bare = Self::now();
        let first = IoLoop::builder().lanes(1).build().expect("a loop");
        first.stop();
        drop(first);
        assert!(becomes(|| Self::now().threads == bare.threads));
        Self::now()
    }

    /// Where the system does not tell, it is always the same.
    fn now() -> Self {
        let count = |directory| std::fs::read_dir(directory).map_or(0, Iterator::count);
        Self {
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
        }
    }

    /// Fails unless no more is held than before.
    fn is_back(self) {
        let back = becomes(|| Self::now() == self);
        assert!(back, "leaked: {:?} are held, {self:?} before", Self::now());
    }
}

/// What must not have happened, as it is found.
#[derive(Default)]
struct Faults(Mutex<Vec<String>>);

impl Faults {
    fn add(&self, fault: impl Into<String>) {
        let mut faults = self.0.lock().expect("no panic");
        if faults.len() < 100 {
            faults.push(fault.into());
        }
    }

    fn check(&self) {
        let faults = self.0.lock().expect("no panic");
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
