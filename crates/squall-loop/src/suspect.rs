//! When a poll is a suspect, and when it blocks.
//!
//! A post's word that stays the same, inside a poll, is a suspect. A suspect is
//! inspected: does its thread wait in the kernel, or how much CPU has this poll burned?
//! So a carrier which was merely descheduled is left alone.

use std::time::{Duration, Instant};

use crate::gate::Rest;
use crate::handoff::Seen;
use crate::lane::Lane;
use crate::post::Post;
use crate::sys::{self, Activity, Inspector};

/// How closely the monitor looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Between two looks, and from a wake to the first one.
    pub(crate) tick: Duration,
    /// How long a poll must have been seen that waits in the kernel.
    pub(crate) waits: Duration,
    /// CPU time that a poll may burn.
    pub(crate) cpu: Duration,
}

pub(crate) const CALM: Pace = Pace {
    tick: Duration::from_millis(4),
    waits: Duration::from_millis(1),
    cpu: Duration::from_millis(4),
};
pub(crate) const STORM: Pace = Pace {
    tick: Duration::from_micros(500),
    waits: Duration::from_micros(500),
    cpu: Duration::from_millis(1),
};
/// Where a tracer holds threads up at every system call, each looks as if it waited there, and
/// all takes some ten times as long.
pub(crate) const TRACED: Pace = Pace {
    tick: Duration::from_millis(20),
    waits: Duration::from_millis(20),
    cpu: Duration::from_millis(20),
};

/// What a look at a post has found.
pub(crate) enum Look {
    Fine,
    /// It waits in the kernel, since when is not known.
    Suspicious,
    Blocks(Caught),
}

/// A poll that blocks.
#[derive(Clone, Copy)]
pub(crate) struct Caught {
    pub(crate) seen: Seen,
    pub(crate) thread: u64,
    pub(crate) since: Instant,
    /// How long it had lasted then.
    pub(crate) after: Duration,
    pub(crate) syscall: Option<&'static str>,
    pub(crate) on_cpu: bool,
    pub(crate) explicit: bool,
}

/// How the monitor looks at threads.
///
/// A look into the kernel is the dearest part of a hand-off. In a storm of tasks that
/// nobody has named, and that are found waiting one after the other on a loop that is idle
/// otherwise, most of the next ones are believed to wait. Nobody is told of them, so nothing
/// is told wrong; and one thread that was merely descheduled ends the belief.
#[derive(Default)]
pub(crate) struct Eye {
    inspector: Inspector,
    /// Threads found waiting, one after the other, as far as that matters.
    waits: u8,
    /// Threads believed to wait since then.
    believed: u8,
}

impl Eye {
    /// Threads that are found waiting before others are believed to.
    const SURE: u8 = 4;
    /// Threads that are believed to wait before one is looked at again.
    const BELIEVED: u8 = 7;

    fn inspect(&mut self, thread: u64) -> Option<Activity> {
        let activity = self.inspector.inspect(thread);
        self.believed = 0;
        self.waits = match activity {
            Some(Activity::Waiting(_)) => Self::SURE.min(self.waits + 1),
            _ => 0,
        };
        activity
    }

    /// Whether a thread that stands still is taken for one that waits.
    fn believes(&mut self) -> bool {
        let believes = self.waits == Self::SURE && self.believed < Self::BELIEVED;
        self.believed += u8::from(believes);
        believes
    }

    /// There is no storm: nothing is believed.
    pub(crate) fn doubt(&mut self) {
        self.waits = 0;
    }

    /// Nothing is looked at for a while.
    pub(crate) fn rest(&mut self) {
        self.inspector.rest();
    }
}

/// What the monitor remembers of a post between two looks.
#[derive(Clone, Copy)]
pub(crate) struct Suspect {
    pub(crate) seen: Seen,
    pub(crate) since: Instant,
    /// What the thread had burned by then. None: not asked, or nobody can tell.
    cpu: Option<Duration>,
}

/// A lane is still in the poll in which it was at the last look, or woke since then and
/// is still in what it did first: in the wakers' turn or in the task that they woke.
pub(crate) fn blocks_since(lane: &Lane, rest: &Rest) -> Option<Suspect> {
    let seen = lane.post.ownership.observe();
    let before = rest.seen.get(lane.id).filter(|_| seen.in_poll())?;
    let first = seen.generation() == before.generation()
        && seen.polls().saturating_sub(before.polls()) <= 2;
    let since = match rest.first {
        _ if seen == *before => rest.since,
        Some((woken, since)) if woken == lane.id && first => since,
        _ => return None,
    };
    Some(Suspect {
        seen,
        since,
        cpu: None,
    })
}

/// Looks at one post, or believes that it need not.
pub(crate) fn look(
    post: &Post,
    suspect: &mut Option<Suspect>,
    eye: &mut Eye,
    now: Instant,
    pace: Pace,
    believe: bool,
) -> Look {
    let seen = post.ownership.observe();
    if !seen.in_poll() {
        *suspect = None;
        return Look::Fine;
    }
    let thread = post.thread();
    let Some(known) = suspect.filter(|known| known.seen == seen) else {
        *suspect = Some(Suspect {
            seen,
            since: now,
            cpu: sys::thread_cpu_time(thread),
        });
        let worth_it = pace.waits < pace.tick;
        return match worth_it.then(|| eye.inspect(thread)).flatten() {
            Some(Activity::Waiting(_)) => Look::Suspicious,
            _ => Look::Fine,
        };
    };
    let lasts = now.duration_since(known.since);
    if lasts < pace.waits {
        return Look::Suspicious;
    }
    let unnamed = post.current() == 0;
    let activity = match believe && unnamed && pace == STORM && eye.believes() {
        true => Some(Activity::Waiting(None)),
        false => eye.inspect(thread),
    };
    let (syscall, on_cpu) = match activity {
        Some(Activity::Waiting(syscall)) => (syscall, false),
        Some(Activity::Runnable) => {
            let cpu = sys::thread_cpu_time(thread);
            if cpu.is_some() && known.cpu.is_none() {
                *suspect = Some(Suspect { cpu, ..known });
                return Look::Fine;
            }
            let burned = (cpu.zip(known.cpu)).map_or(lasts, |(now, then)| now.saturating_sub(then));
            if burned < pace.cpu {
                return Look::Fine; // Merely descheduled: another thread would not help.
            }
            (None, true)
        }
        None if lasts < pace.cpu => return Look::Fine,
        None => (None, false),
    };
    Look::Blocks(Caught {
        seen,
        thread,
        since: known.since,
        after: lasts,
        syscall,
        on_cpu,
        explicit: false,
    })
}

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "miri has no /proc of its threads")]
    fn threads_are_believed_to_wait_as_long_as_those_looked_at_do() {
        let (id, ids) = mpsc::channel();
        let (_waits_for, forever) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            id.send(sys::thread_id()).expect("sent");
            let _ = forever.recv();
        });
        let waits = ids.recv().expect("an id");
        let mut eye = Eye::default();
        while eye.inspect(waits) != Some(Activity::Waiting(Some("futex"))) {
            std::thread::yield_now();
        }
        eye.doubt();
        eye.inspect(waits);
        let mut rounds = (0..3).map(|_| {
            let believed = std::iter::from_fn(|| eye.believes().then_some(())).count();
            eye.inspect(waits);
            eye.inspect(waits);
            believed
        });
        assert_eq!(rounds.next(), Some(0), "found once");
        assert_eq!(rounds.next(), Some(0), "three times");
        assert_eq!(rounds.next(), Some(7), "and then again after each look");
        drop(rounds);
        assert!(eye.believes());
        assert_eq!(eye.inspect(0), None, "there is no such thread");
        eye.inspect(waits);
        assert!(!eye.believes(), "one that does not wait ends it");
    }
}
