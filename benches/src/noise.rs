//! What the machine did besides, so that a reader knows what to distrust.

use std::fmt;
use std::fs;

use serde_json::{Value, json};

/// CPU time in the kernel's ticks (a hundredth of a second), since boot, or between two samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Noise {
    /// All CPUs together, idle included.
    total: u64,
    /// Taken by the hypervisor for others.
    steal: u64,
    busy: u64,
    /// Of `busy`: this program and the children it has waited for.
    ours: u64,
}

impl Noise {
    pub(crate) fn sample() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/stat"), &read("/proc/self/stat"))
    }

    fn parse(machine: &str, own: &str) -> Self {
        let ticks = |text: &str| -> Vec<u64> {
            text.split_whitespace()
                .map(|n| n.parse().unwrap_or(0))
                .collect()
        };
        // cpu user nice system idle iowait irq softirq steal guest guest_nice; guest is part of user.
        let cpu = ticks(
            machine
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("cpu"),
        );
        // utime stime cutime cstime are the fields 14 to 17, the first after the name is 3.
        let own = ticks(own.rsplit_once(')').map_or("", |(_, rest)| rest));
        let sum = |figures: &[u64], at: std::ops::Range<usize>| {
            figures.get(at).map_or(0, |f| f.iter().sum())
        };
        Self {
            total: sum(&cpu, 0..8),
            steal: sum(&cpu, 7..8),
            busy: sum(&cpu, 0..3) + sum(&cpu, 5..7),
            ours: sum(&own, 11..15),
        }
    }

    pub(crate) fn until_now(self) -> Self {
        let now = Self::sample();
        Self {
            total: now.total.saturating_sub(self.total),
            steal: now.steal.saturating_sub(self.steal),
            busy: now.busy.saturating_sub(self.busy),
            ours: now.ours.saturating_sub(self.ours),
        }
    }

    fn percent(self, part: u64) -> f64 {
        part as f64 * 100.0 / self.total.max(1) as f64
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "steal_percent": self.percent(self.steal),
            "other_programs_percent": self.percent(self.busy.saturating_sub(self.ours)),
        })
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (steal, others) = (
            self.percent(self.steal),
            self.percent(self.busy.saturating_sub(self.ours)),
        );
        write!(
            f,
            "noise: {steal:.1} % of the CPU time was stolen by the host, other programs took {others:.1} %"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_fields() {
        let noise = Noise::parse(
            "cpu  100 0 50 800 20 10 10 10 0 0\ncpu0 1 1",
            "9 (squall (b)) R 1 9 9 0 -1 0 1 2 3 4 30 20 10 5 20 0",
        );
        assert_eq!(
            noise,
            Noise {
                total: 1000,
                steal: 10,
                busy: 170,
                ours: 65
            }
        );
    }
}
