//! What the machine did besides, so that a reader knows what to distrust.

use std::fmt;
use std::fs;

use serde_json::{Value, json};

/// The kernel counts in hundredths of a second (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds since boot, or between two samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Noise {
    /// All CPUs together, idle included.
    total: f64,
    /// Taken by the hypervisor for others.
    steal: f64,
    busy: f64,
    /// Of `busy`: this program and the children it has waited for.
    ours: f64,
}

impl Noise {
    pub(crate) fn sample() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/stat"), &read("/proc/self/stat"))
    }

    fn parse(machine: &str, own: &str) -> Self {
        let seconds = |text: &str| -> Vec<f64> {
            text.split_whitespace()
                .map(|n| n.parse::<f64>().unwrap_or(0.0) / TICKS_PER_SECOND)
                .collect()
        };
        // cpu user nice system idle iowait irq softirq steal guest guest_nice; guest is part of user.
        let cpu = seconds(
            machine
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("cpu"),
        );
        // utime stime cutime cstime are the fields 14 to 17, the first after the name is 3.
        let own = seconds(own.rsplit_once(')').map_or("", |(_, rest)| rest));
        let sum = |figures: &[f64], at: std::ops::Range<usize>| {
            figures.get(at).map_or(0.0, |f| f.iter().sum())
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
            total: now.total - self.total,
            steal: now.steal - self.steal,
            busy: now.busy - self.busy,
            ours: now.ours - self.ours,
        }
    }

    fn percent(self, part: f64) -> f64 {
        if self.total > 0.0 {
            (part / self.total * 100.0).max(0.0)
        } else {
            0.0
        }
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "steal_percent": self.percent(self.steal),
            "other_programs_percent": self.percent(self.busy - self.ours),
        })
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (steal, others) = (
            self.percent(self.steal),
            self.percent(self.busy - self.ours),
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
                total: 10.0,
                steal: 0.1,
                busy: 1.7,
                ours: 0.65
            }
        );
    }
}
