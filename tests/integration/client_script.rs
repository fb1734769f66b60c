//! The tests' short words for a [`MockServer`](squall::testing::MockServer).

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
