//! Tasks: spawning, yielding, waking near and far.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;

use crate::Figures;
use crate::baton::Baton;
use crate::runtime::Runtime;
use crate::stopwatch::Stopwatch;

/// Tasks that are spawned before the first of them is awaited.
const AT_ONCE: usize = 1_000;

fn per(begin: &Stopwatch, count: usize) -> Figures {
    let elapsed = begin.elapsed();
    vec![
        ("ns", elapsed.wall / count as f64),
        ("cpu_ns", elapsed.cpu / count as f64),
    ]
}

/// An empty task, awaited before the next is spawned.
pub(crate) fn spawn_one<R: Runtime>(runtime: &R, count: usize) -> Figures {
    runtime.run(async move {
        for _ in 0..count / 10 {
            R::spawn(async {}).await;
        }
        let begin = Stopwatch::start();
        for _ in 0..count {
            R::spawn(async {}).await;
        }
        per(&begin, count)
    })
}

/// A thousand empty tasks, then all of them awaited.
pub(crate) fn spawn_many<R: Runtime>(runtime: &R, count: usize) -> Figures {
    async fn round<R: Runtime>() {
        let tasks: Vec<_> = (0..AT_ONCE).map(|_| R::spawn(async {})).collect();
        for task in tasks {
            task.await;
        }
    }
    runtime.run(async move {
        let rounds = count / AT_ONCE;
        for _ in 0..rounds / 10 {
            round::<R>().await;
        }
        let begin = Stopwatch::start();
        for _ in 0..rounds {
            round::<R>().await;
        }
        per(&begin, rounds * AT_ONCE)
    })
}

/// A task that lets the others go first; there are none.
pub(crate) fn yields<R: Runtime>(runtime: &R, count: usize) -> Figures {
    runtime.run(async move {
        let begin = Stopwatch::start();
        for _ in 0..count {
            yield_now().await;
        }
        per(&begin, count)
    })
}

pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Two tasks that wake each other, placed as the runtime likes. Per round trip.
pub(crate) fn ping_pong<R: Runtime>(runtime: &R, count: usize) -> Figures {
    runtime.run(async move {
        let (to, fro) = (Arc::new(Baton::default()), Arc::new(Baton::default()));
        let other = R::spawn(echo(to.clone(), fro.clone(), count));
        let begin = Stopwatch::start();
        for _ in 0..count {
            to.pass();
            fro.taken().await;
        }
        other.await;
        per(&begin, count)
    })
}

/// Two tasks on different threads that wake each other. Per round trip.
pub(crate) fn ping_pong_apart<R: Runtime>(runtime: R, count: usize) -> Figures {
    let (to, fro) = (Arc::new(Baton::default()), Arc::new(Baton::default()));
    let (there, back) = (echo(to.clone(), fro.clone(), count), async move {
        for _ in 0..count {
            to.pass();
            fro.taken().await;
        }
    });
    let begin = Stopwatch::start();
    runtime.apart(there, back);
    per(&begin, count)
}

async fn echo(to: Arc<Baton>, fro: Arc<Baton>, count: usize) {
    for _ in 0..count {
        to.taken().await;
        fro.pass();
    }
}

/// A plain thread that wakes a task and is unparked by it. Per round trip.
pub(crate) fn wake_from_thread<R: Runtime>(runtime: &R, count: usize) -> Figures {
    let to = Arc::new(Baton::default());
    let rounds = Arc::new(AtomicUsize::new(0));
    let caller = {
        let (to, rounds) = (to.clone(), rounds.clone());
        thread::spawn(move || {
            let begin = Stopwatch::start();
            for round in 1..=count {
                to.pass();
                while rounds.load(Ordering::Acquire) < round {
                    thread::park();
                }
            }
            per(&begin, count)
        })
    };
    let waiting = caller.thread().clone();
    runtime.run(async move {
        for round in 1..=count {
            to.taken().await;
            rounds.store(round, Ordering::Release);
            waiting.unpark();
        }
    });
    caller.join().expect("no panic")
}
