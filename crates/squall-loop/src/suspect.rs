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
#[derive(Debug, Clone, Copy)]
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
/// What a look at a post has found.
pub(crate) enum Look {
    Fine,
    /// It waits in the kernel, since when is not known.
    Suspicious,
    Blocks(Caught),
}

/// A poll that blocks.
pub(crate) struct Caught {
    pub(crate) seen: Seen,
    pub(crate) thread: u64,
    pub(crate) since: Instant,
    pub(crate) syscall: Option<&'static str>,
    pub(crate) on_cpu: bool,
    pub(crate) explicit: bool,
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

/// Looks at one post.
pub(crate) fn look(
    post: &Post,
    suspect: &mut Option<Suspect>,
    inspector: &mut Inspector,
    now: Instant,
    pace: Pace,
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
        return match worth_it.then(|| inspector.inspect(thread)).flatten() {
            Some(Activity::Waiting(_)) => Look::Suspicious,
            _ => Look::Fine,
        };
    };
    let lasts = now.duration_since(known.since);
    if lasts < pace.waits {
        return Look::Suspicious;
    }
    let (syscall, on_cpu) = match inspector.inspect(thread) {
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
        syscall,
        on_cpu,
        explicit: false,
    })
}
