//! A socket's edge against the task that is about to wait for it.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{Bell, check};
use crate::reactor::{Direction, Source};

/// Whatever arrives is read: no edge falls between the attempt and the waiting.
///
/// Catches: `clear` after the attempt; the waker kept without a second look; the
/// wakers taken before the bits are set.
#[test]
fn no_edge_is_lost() {
    check(4, || {
        let source = Arc::new(Source::waiting());
        let arrived = Arc::new(AtomicUsize::new(0));
        let network = thread::spawn({
            let (source, arrived) = (source.clone(), arrived.clone());
            move || {
                for _ in 0..2 {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    let mut wakers = Vec::new();
                    source.edge(Direction::Read.ready(), &mut wakers);
                    wakers.into_iter().for_each(Waker::wake);
                }
            }
        });
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let cx = Context::from_waker(&waker);
        let mut read = 0;
        while read < 2 {
            let attempt = source.poll_attempt(&cx, Direction::Read, || {
                match arrived.swap(0, Ordering::AcqRel) {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    some => Ok(some),
                }
            });
            match attempt {
                Poll::Ready(some) => read += some.expect("no error"),
                Poll::Pending => bell.hear(true),
            }
        }
        network.join().expect("sent");
    });
}
