//! Tasks: a future with a home lane, and the handle that awaits it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// What the loop keeps beside each task.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meta {
    /// Key of the task's watch in its lane, plus one; 0 is none.
    pub(crate) watch: u64,
}

pub(crate) type Runnable = async_task::Runnable<Meta>;

/// Awaits a task's output. Dropping it lets the task run on, detached.
///
/// # Cancel safety
/// Awaiting by reference may be dropped and begun again at any time.
pub struct JoinHandle<T> {
    task: Option<async_task::FallibleTask<Result<T, JoinError>, Meta>>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: async_task::Task<Result<T, JoinError>, Meta>) -> Self {
        Self {
            task: Some(task.fallible()),
        }
    }

    /// Cancels the task: its future is dropped at the next point where it can be.
    ///
    /// Code that is blocked inside a poll cannot be stopped; the future is then
    /// dropped when that poll returns.
    pub fn cancel(mut self) {
        drop(self.task.take());
    }

    /// Whether the task has finished or was cancelled.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.is_finished())
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.task {
            Some(task) => Pin::new(task)
                .poll(cx)
                .map(|output| output.unwrap_or(Err(JoinError::Cancelled))),
            None => Poll::Ready(Err(JoinError::Cancelled)),
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.detach();
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// Why a task has no output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The task panicked; the message is the panic's. It has been logged.
    Panicked(String),
    /// The task was cancelled, or its loop stopped.
    Cancelled,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "the task panicked: {message}"),
            Self::Cancelled => f.write_str("the task was cancelled before it finished"),
        }
    }
}

impl std::error::Error for JoinError {}

/// Lets everything else that is runnable on this lane have its turn.
///
/// For loops that never wait: `sleep(Duration::ZERO)` returns at once.
#[doc(alias = "moment")]
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

pin_project! {
    /// A task's future, whose panic is an error and a log line.
    ///
    /// Not an async block around the future: that would hold it once for each time it
    /// is moved, and a task that waits is mostly its future.
    pub(crate) struct Contained<F, R> {
        #[pin]
        future: Option<F>,
        registered: R,
    }
}

impl<F, R> Contained<F, R> {
    /// `registered` is dropped with the future, after it.
    pub(crate) fn new(future: F, registered: R) -> Self {
        Self {
            future: Some(future),
            registered,
        }
    }
}

impl<F: Future, R> Future for Contained<F, R> {
    type Output = Result<F::Output, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.project().future;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = match future.as_mut().as_pin_mut() {
                Some(future) => future.poll(cx),
                None => unreachable!("a task is not polled after its end"),
            };
            if polled.is_ready() {
                // What its drop does is part of the task, too.
                future.set(None);
            }
            polled
        }));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(payload) => {
                let message = panic_message(payload.as_ref());
                say(|| {
                    tracing::error!(target: "squall::loop", %message, "a task panicked; its lane goes on");
                });
                drop(catch_unwind(AssertUnwindSafe(|| future.set(None))));
                Poll::Ready(Err(JoinError::Panicked(message)))
            }
        }
    }
}

/// Has a line logged where nothing would catch a panic of whoever writes it.
///
/// Many a subscriber panics when its stderr is gone. A lane, an answer or a listener is
/// worth more than the line.
#[doc(hidden)]
#[inline]
pub fn say(log: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(log));
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
