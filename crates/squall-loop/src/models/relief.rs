//! Reliefs: threads that poll what waits on a lane, beside its carrier.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use loom::thread::{self, JoinHandle};

use super::{Bell, Fate, carrier, check, io_loop, task};
use crate::carrier::relieve;
use crate::ioloop::IoLoop;
use crate::lane::Lane;
use crate::post::Post;

fn relief(io_loop: &IoLoop, lane: &Arc<Lane>, post: &Arc<Post>) -> JoinHandle<()> {
    let (shared, lane, post) = (io_loop.shared().clone(), lane.clone(), post.clone());
    thread::spawn(move || relieve(&shared, &lane, &post))
}

fn post() -> Arc<Post> {
    Arc::new(Post::new().0)
}

/// A task that rings when it is done.
fn rings(lane: &Arc<Lane>) -> Arc<Bell> {
    let bell = Arc::<Bell>::default();
    let done = bell.clone();
    drop(lane.spawn(async move { done.ring() }, None));
    bell
}

/// What waits runs, whoever of the two takes it; the carrier that finds nothing sleeps.
///
/// Catches: a queue whose `pop` looks and takes under two locks; a relief that takes a
/// task and does not poll it.
#[test]
fn beside_its_carrier_a_relief_loses_nothing() {
    check(3, || {
        let (io_loop, lane, claim) = io_loop();
        let bells = [rings(&lane), rings(&lane)];
        let carrier = carrier(&io_loop, &lane, claim);
        let relief = relief(&io_loop, &lane, &post());
        for bell in bells {
            bell.hear(true);
        }
        relief.join().expect("nothing waits any more");
        io_loop.stop();
        carrier.join().expect("drained");
    });
}

/// A relief that was caught in a poll ends after it, and leaves the rest where it was;
/// its thread relieves a lane again as if nothing had been.
///
/// Catches: a relief that begins with the claim it had; one that goes on after its post
/// was taken, or ends although it was not.
#[test]
fn a_relief_that_was_caught_is_as_good_as_new() {
    check(4, || {
        let (io_loop, lane, _claim) = io_loop();
        let fates: [Arc<Fate>; 3] = std::array::from_fn(|_| {
            let (runnable, fate) = task(&lane, true);
            runnable.schedule();
            fate
        });
        let polled = || fates.iter().map(|fate| fate.polls()).sum::<usize>();
        let post = post();
        let monitor = thread::spawn({
            let post = post.clone();
            move || {
                let seen = post.ownership.observe();
                (seen, post.ownership.take(seen).is_some())
            }
        });
        relieve(io_loop.shared(), &lane, &post);
        let (seen, taken) = monitor.join().expect("looked");
        match taken {
            true => assert_eq!(polled(), usize::try_from(seen.polls()).expect("few")),
            false => assert_eq!(polled(), 3),
        }
        let monitor = thread::spawn({
            let post = post.clone();
            move || assert!(post.ownership.take(seen).is_none(), "of an earlier life")
        });
        relieve(io_loop.shared(), &lane, &post);
        monitor.join().expect("looked");
        assert_eq!(polled(), 3);
        assert!(
            fates
                .iter()
                .all(|fate| fate.polls() == 1 && fate.drops() == 1)
        );
    });
}

/// What a relief polls during a stop is dropped like everything else.
///
/// Catches: a relief that does not look for a drain behind its poll, so that a task which was
/// taken from the queue before the drain, and polled after it, stays for ever.
#[test]
fn a_stop_during_a_relief_leaves_no_task_behind() {
    check(3, || {
        let (io_loop, lane, claim) = io_loop();
        let (runnable, never) = task(&lane, false);
        runnable.schedule();
        let mut yielded = false;
        let yields = lane.spawn(
            poll_fn(move |cx| {
                if !std::mem::replace(&mut yielded, true) {
                    cx.waker().wake_by_ref();
                }
                Poll::<()>::Pending
            }),
            None,
        );
        let post = post();
        let relief = relief(&io_loop, &lane, &post);
        let carrier = carrier(&io_loop, &lane, claim);
        io_loop.stop();
        // The monitor looks, so loom may stop the relief where its poll begins.
        let _ = post.ownership.observe();
        carrier.join().expect("drained");
        relief.join().expect("ended");
        assert_eq!(never.drops(), 1);
        assert!(yields.is_finished());
        assert!(lane.queue.is_empty());
    });
}
