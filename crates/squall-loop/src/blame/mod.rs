//! Who blocked: the stack of a stuck thread at the moment when it was caught.
//!
//! Off by default. The monitor only notes that a stack is wanted; asking the
//! thread, unwinding and reading the debug information happen on a thread of the
//! pool, after the lane has been handed over. Each label is asked for once per kind
//! (waiting, on CPU), because the answer costs the stuck thread an interrupted
//! system call.

mod stack;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use self::stack::{Frame, Stack};
use crate::ioloop::Shared;
use crate::sys;
use crate::task::say;
use crate::watch::Blocked;

/// Labels and kinds whose stacks are kept.
const STACKS: usize = 1024;
/// How often a thread is asked that gives no answer, or one that comes too late.
const TRIES: u8 = 3;
/// How long a thread that waits in the kernel has for its answer: it is woken for it.
const WAITING: Duration = Duration::from_millis(50);
/// How long one has that burns CPU: where the machine is busy it has to get its turn.
const ON_CPU: Duration = Duration::from_secs(2);

/// A poll that blocked, and where. Made when the setting
/// `blame` of the [`Builder`](crate::Builder) is on.
#[derive(Debug, Clone)]
pub struct Blamed {
    /// The task's own name, from [`Watch::label`](crate::Watch::label).
    pub label: String,
    /// The system call that the thread sat in, where the platform tells.
    pub syscall: Option<&'static str>,
    /// True when the thread was burning CPU rather than waiting.
    pub on_cpu: bool,
    /// How long the poll had lasted when it was caught.
    pub after: Duration,
    /// What the thread was in.
    pub stack: Arc<Stack>,
}

#[derive(Default)]
pub(crate) struct Blame {
    on: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: HashMap<Key, Progress>,
    blamed: Vec<Blamed>,
}

/// The label, and whether it burned CPU.
type Key = (String, bool);

#[derive(Clone, Copy)]
enum Progress {
    /// This is being asked for the n-th time.
    Asking(u8),
    /// The n-th time brought nothing.
    Failed(u8),
    Done,
}

impl Blame {
    pub(crate) fn new(on: bool) -> Self {
        Self {
            on,
            state: Mutex::default(),
        }
    }

    /// Whether stacks are wanted at all.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Has a stuck thread asked where it is, by a thread of the pool. Returns at once.
    pub(crate) fn ask(shared: Weak<Shared>, since: Instant, blocked: &Blocked) {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        let blocked = blocked.clone();
        let weak = shared.clone();
        let work = move || {
            let Some(shared) = weak.upgrade() else {
                return;
            };
            // What was copied is followed by other people's code; the pool's thread
            // has more to do than to die of it.
            let stack = catch_unwind(AssertUnwindSafe(|| stack_of(&shared, &blocked, since)));
            let stack = stack.ok().flatten();
            say(|| shared.monitor.blame.answered(&blocked, stack));
        };
        strong.threads.run(&shared, Box::new(work));
    }

    /// Whether such a poll is to be asked for now. True: the caller asks.
    pub(crate) fn wants(&self, label: &str, on_cpu: bool) -> bool {
        if !self.on {
            return false;
        }
        let mut state = self.state.lock();
        let key = (label.to_owned(), on_cpu);
        let before = match state.asked.get(&key) {
            None if state.asked.len() < STACKS => 0,
            Some(Progress::Failed(tries)) if *tries < TRIES => *tries,
            _ => return false,
        };
        state.asked.insert(key, Progress::Asking(before + 1));
        true
    }

    fn answered(&self, blocked: &Blocked, stack: Option<Stack>) {
        let mut state = self.state.lock();
        let key = (blocked.label.clone(), blocked.on_cpu);
        let Some(progress) = state.asked.get_mut(&key) else {
            return;
        };
        let Some(stack) = stack else {
            if let Progress::Asking(tries) = *progress {
                *progress = Progress::Failed(tries);
            }
            return;
        };
        *progress = Progress::Done;
        let stack = Arc::new(stack);
        state.blamed.push(Blamed {
            label: blocked.label.clone(),
            syscall: blocked.syscall,
            on_cpu: blocked.on_cpu,
            after: blocked.after,
            stack: stack.clone(),
        });
        drop(state);
        let own = stack.own();
        tracing::warn!(
            target: "squall::loop",
            label = %blocked.label,
            syscall = blocked.syscall.unwrap_or(if blocked.on_cpu { "on CPU" } else { "unknown" }),
            ms = blocked.after.as_millis(),
            at = own.and_then(Frame::at).as_deref().unwrap_or("unknown"),
            function = own.map_or("unknown", |frame| frame.function.as_str()),
            stack = %stack,
            "this is the code that blocked"
        );
    }

    /// What has been found so far, oldest first.
    pub(crate) fn blamed(&self) -> Vec<Blamed> {
        self.state.lock().blamed.clone()
    }
}

/// The stack of a thread, if it is in the same poll before and after it is taken.
fn stack_of(shared: &Shared, blocked: &Blocked, since: Instant) -> Option<Stack> {
    let still_stuck = || shared.monitor.stuck.contains(blocked.thread, since);
    if !still_stuck() {
        return None;
    }
    let patience = if blocked.on_cpu { ON_CPU } else { WAITING };
    let captured = sys::capture(blocked.thread, patience)?;
    if !still_stuck() {
        return None;
    }
    Some(Stack::resolve(&captured.unwind())).filter(|stack| !stack.frames.is_empty())
}
