//! What a task's owner is told when the task blocks its carrier.

use std::time::Duration;

/// Watches one task; its owner hears when the task was caught blocking.
///
/// Pass it to [`IoLoop::spawn_watched`](crate::IoLoop::spawn_watched).
pub trait Watch: Send + Sync + 'static {
    /// What the task is doing now, as a person would name it: `GET /ping/{host}`.
    fn label(&self) -> String;

    /// The task was caught: its lane has just been handed to another thread, or the
    /// task was not on the lane's own thread.
    ///
    /// Runs as a callback on the lane while the task is still stuck.
    fn caught(&self, blocked: &Blocked);

    /// The stuck poll is over, after `total` on its thread.
    fn released(&self, blocked: &Blocked, total: Duration);
}

/// One poll that blocked its carrier.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// The task's own name, from [`Watch::label`].
    pub label: String,
    /// How long the poll had lasted when it was caught.
    pub after: Duration,
    /// The system call the thread sat in, where the platform tells.
    pub syscall: Option<&'static str>,
    /// True when the thread was burning CPU rather than waiting.
    pub on_cpu: bool,
    /// True when the task said so itself, with [`blocking`](crate::blocking).
    pub explicit: bool,
    /// The system's id of the thread, where it has one.
    pub thread: u64,
    /// The lane whose task it is.
    pub lane: usize,
}

/// What a task is called in reports that nobody has named.
pub(crate) const UNNAMED: &str = "a task";

/// A task's name in reports, for an owner that does not mind.
pub(crate) struct Named(pub(crate) std::borrow::Cow<'static, str>);

impl Watch for Named {
    fn label(&self) -> String {
        self.0.clone().into_owned()
    }

    fn caught(&self, _: &Blocked) {}

    fn released(&self, _: &Blocked, _: Duration) {}
}
