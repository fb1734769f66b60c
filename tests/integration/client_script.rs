//! The tests' short words for a [`MockServer`], and a loop of one lane.

use squall::IoLoop;
pub(super) use squall::testing::{MockPeer as Peer, MockServer as Script};

/// Serves each connection in a thread of its own, counted from 0.
pub(super) fn script(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> Script {
    Script::serve(serve)
}

/// Answers every request with the same bytes; what came is of no interest.
pub(super) fn answering(answer: &'static str) -> Script {
    Script::answering(answer)
}

/// Reads a request's head, does as told, and then waits until the client closes.
pub(super) fn silent(told: impl Fn(usize, &mut Peer) + Send + Sync + 'static) -> Script {
    script(move |number, mut peer| {
        peer.head();
        told(number, &mut peer);
        peer.is_closed();
    })
}

/// Runs a test's client side on a loop of its own.
pub(super) fn on_loop<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let output = io_loop.run(future).expect("no panic");
    io_loop.stop();
    output
}
