//! Whether a carrier stays up for a moment before it sleeps.
//!
//! To send a thread to sleep and to wake it costs two threads some microseconds. Where
//! carriers, or a carrier and another thread, wake each other all the time, it is
//! cheaper to stay up for as long. So a carrier that was roused out of its last sleep
//! tries it before the next. One that sockets or timers have woken does not.
//!
//! A vigil that nobody ends was for nothing. Then the carrier sleeps through the next
//! occasion, after another one through the next three, and so on; so vigils in vain take
//! next to nothing, and an idle lane keeps none.

/// Occasions that are let go by at most.
const MOST: u16 = 1023;

/// What a carrier remembers of its last sleeps.
#[derive(Debug, Default)]
pub(crate) struct Vigil {
    /// The last sleep ended because somebody roused the carrier.
    roused: bool,
    /// Occasions to let go by before the next vigil.
    left: u16,
    /// How many were let go by before the last one.
    pause: u16,
}

impl Vigil {
    /// Whether the carrier, which is about to sleep, should keep a vigil.
    #[inline]
    pub(crate) fn begins(&mut self) -> bool {
        self.roused && self.is_due()
    }

    fn is_due(&mut self) -> bool {
        let due = self.left == 0;
        self.left = self.left.saturating_sub(1);
        due
    }

    /// The vigil is over, because the carrier was roused or for nothing; says which.
    pub(crate) fn ended(&mut self, roused: bool) -> bool {
        self.pause = match roused {
            true => self.pause / 2,
            false => (self.pause * 2 + 1).min(MOST),
        };
        self.left = self.pause;
        roused
    }

    /// The carrier has slept, or kept a vigil, and is up.
    #[inline]
    pub(crate) fn woke(&mut self, roused: bool) {
        self.roused = roused;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The lengths of the pauses between `vigils` vigils that end so.
    fn pauses(vigil: &mut Vigil, vigils: usize, roused: bool) -> Vec<usize> {
        let mut pauses = Vec::new();
        for _ in 0..vigils {
            let mut pause = 0;
            while !vigil.begins() {
                pause += 1;
            }
            pauses.push(pause);
            vigil.ended(roused);
        }
        pauses
    }

    #[test]
    fn only_who_was_roused_keeps_vigils() {
        let mut vigil = Vigil::default();
        assert!(!vigil.begins(), "nobody has roused it yet");
        vigil.woke(true);
        assert!(vigil.begins());
        assert!(vigil.ended(true));
        assert!(vigil.begins(), "it was worth it");
        vigil.woke(false);
        assert!(!vigil.begins(), "a socket or a timer");
    }

    #[test]
    fn vigils_in_vain_grow_rare_and_good_ones_frequent_again() {
        let mut vigil = Vigil::default();
        vigil.woke(true);
        assert_eq!(pauses(&mut vigil, 4, false), [0, 1, 3, 7]);
        let rare = pauses(&mut vigil, 20, false);
        assert_eq!(rare.last(), Some(&usize::from(MOST)), "and no rarer");
        assert_eq!(pauses(&mut vigil, 3, true), [1023, 511, 255]);
        assert_eq!(pauses(&mut vigil, 10, true).last(), Some(&0));
    }
}
