//! Futures polled by hand, one poll at a time, outside of any loop.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A future that waits, until it is ready or dropped.
pub type Waiting<F> = Option<Pin<Box<F>>>;

/// One poll of a future.
pub fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    (future.as_mut()).poll(&mut Context::from_waker(Waker::noop()))
}

/// What a future gives at its first poll.
///
/// # Panics
/// When it waits.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match poll(&mut Box::pin(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// A future that has been polled once.
///
/// # Panics
/// When it does not wait.
pub fn waiting<F: Future>(future: F) -> Waiting<F> {
    let mut future = Box::pin(future);
    assert!(poll(&mut future).is_pending(), "it does not wait");
    Some(future)
}

/// Polls each future that still waits: which are ready, and what they give.
pub fn ready<F: Future>(line: &mut [Waiting<F>]) -> Vec<(usize, F::Output)> {
    let mut ready = Vec::new();
    for (n, waiting) in line.iter_mut().enumerate() {
        if let Some(Poll::Ready(output)) = waiting.as_mut().map(poll) {
            *waiting = None;
            ready.push((n, output));
        }
    }
    ready
}
