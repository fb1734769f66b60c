//! How long a connection waits for its peer: what a slow peer has left.
//!
//! A timeout that any byte resets is none: a peer that sends one byte a minute holds a
//! connection for ever. So a peer has a purse of time. Waiting empties it, bytes fill it
//! again at the lowest rate that is allowed, never above its size:
//!
//! ```text
//!   left = limit at first
//!   left = min(left + bytes / rate, limit)    when bytes have moved
//!   left = left - waited                      when they have not; at 0 it is over
//! ```
//!
//! Only waiting counts, so nobody is charged for a handler that takes its time.

use std::task::{Context, Poll};
use std::time::Duration;

use squall_loop::time::coarse_nanos;

use crate::alarm::{Alarm, nanos};

/// What a peer may do: keep us waiting for so long, unless it moves so many bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) limit: Duration,
    /// Bytes per second; 0 is any.
    pub(super) rate: u64,
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    /// Nothing came for the whole limit.
    Silent,
    /// Something came, and too little.
    Dripping,
}

/// What one peer has left of its time.
#[derive(Debug)]
pub(super) struct Patience {
    /// Nanoseconds it may wait on; in a wait, when that is over.
    left: u64,
    waits: bool,
    /// Bytes that have moved when it was last asked.
    moved: u64,
    /// When bytes moved last, as far as it was asked.
    moved_at: u64,
}

impl Patience {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            left: nanos(pace.limit),
            waits: false,
            moved: 0,
            moved_at: 0,
        }
    }

    /// Waits for the peer, which has moved `moved` bytes since the beginning. Ready
    /// when it has been too slow.
    pub(super) fn poll(
        &mut self,
        alarm: &mut Alarm,
        cx: &mut Context<'_>,
        moved: u64,
        pace: Pace,
    ) -> Poll<Slow> {
        let now = coarse_nanos();
        let due = self.due(now, moved, pace);
        alarm.poll(cx, now, due).map(|()| self.why(now, pace))
    }

    /// When the wait that goes on must end, in nanoseconds of the loop's clock.
    pub(super) fn until(&self) -> u64 {
        self.left
    }

    /// The wait is over, for this time.
    pub(super) fn rest(&mut self) {
        if self.waits {
            self.waits = false;
            self.left = self.left.saturating_sub(coarse_nanos());
        }
    }

    /// When the wait must end.
    fn due(&mut self, now: u64, moved: u64, pace: Pace) -> u64 {
        if !self.waits {
            self.waits = true;
            self.left = self.left.saturating_add(now);
        }
        let more = moved.saturating_sub(self.moved);
        if more > 0 {
            self.moved = moved;
            self.moved_at = now;
            let latest = now.saturating_add(nanos(pace.limit));
            let bought = more.saturating_mul(1_000_000_000).checked_div(pace.rate);
            self.left = bought.map_or(latest, |bought| {
                self.left.max(now).saturating_add(bought).min(latest)
            });
        }
        self.left
    }

    fn why(&self, now: u64, pace: Pace) -> Slow {
        match self.moved_at > 0 && now.saturating_sub(self.moved_at) < nanos(pace.limit) {
            true => Slow::Dripping,
            false => Slow::Silent,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const PACE: Pace = Pace {
        limit: Duration::from_secs(30),
        rate: 500,
    };

    #[test]
    fn silence_has_the_whole_limit() {
        let mut patience = Patience::new(PACE);
        assert_eq!(patience.due(S, 0, PACE), 31 * S);
        assert_eq!(patience.due(20 * S, 0, PACE), 31 * S);
        assert_eq!(patience.why(31 * S, PACE), Slow::Silent);
    }

    #[test]
    fn bytes_buy_time_at_the_rate_and_never_more_than_the_limit() {
        let mut patience = Patience::new(PACE);
        assert_eq!(patience.due(0, 0, PACE), 30 * S);
        // After ten seconds, two seconds' worth of bytes.
        assert_eq!(patience.due(10 * S, 1_000, PACE), 32 * S);
        assert_eq!(patience.due(10 * S, 1_000, PACE), 32 * S, "counted once");
        assert_eq!(patience.due(11 * S, 1_000_000, PACE), 41 * S, "full");
    }

    #[test]
    fn a_byte_a_second_is_too_slow_and_the_rate_is_not() {
        for (rate, survives) in [(1, false), (499, false), (500, true), (600, true)] {
            let mut patience = Patience::new(PACE);
            let mut moved = 0;
            let cut = (1..100_000_u64).find(|second| {
                moved += rate;
                let over = patience.due(second * S, moved, PACE) <= second * S;
                let due = patience.due(second * S, moved, PACE);
                over || due < (second + 1) * S
            });
            assert_eq!(cut.is_none(), survives, "{rate} bytes/s: {cut:?}");
            if let Some(cut) = cut {
                assert_eq!(patience.why(cut * S, PACE), Slow::Dripping);
            }
        }
    }

    #[test]
    fn without_a_rate_any_byte_is_enough() {
        let pace = Pace { rate: 0, ..PACE };
        let mut patience = Patience::new(pace);
        assert_eq!(patience.due(0, 0, pace), 30 * S);
        assert_eq!(patience.due(29 * S, 1, pace), 59 * S);
        assert_eq!(patience.due(58 * S, 2, pace), 88 * S);
    }
}
