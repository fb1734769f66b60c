//! Events, locks, conditions and semaphores between tasks of any lane.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use squall_loop::sync::{BoundedSemaphore, Condition, Event, Lock, OverRelease, Semaphore};
use squall_loop::{IoLoop, TimeoutError, with_timeout, yield_now};
use squall_tests::polling::{Waiting, at_once, poll, ready, waiting};
use squall_tests::{finished, turned, turned_until_finished};

/// `n` futures in line.
fn in_line<F: Future>(n: usize, make: impl Fn() -> F) -> Vec<Waiting<F>> {
    (0..n).map(|_| waiting(make())).collect()
}

/// Which futures are served.
fn served<F: Future<Output = ()>>(line: &mut [Waiting<F>]) -> Vec<usize> {
    ready(line).into_iter().map(|(n, ())| n).collect()
}

/// Every way to drop one of four that wait while up to five are served: which one,
/// how many are served, whether it is dropped after that, and who is served then.
fn drops() -> impl Iterator<Item = (usize, usize, bool, Vec<usize>)> {
    let ways = (0..4).flat_map(|n| (0..=5).flat_map(move |k| [(n, k, false), (n, k, true)]));
    ways.map(|(dropped, k, late)| {
        let others = (0..4).filter(|n| *n != dropped).take(k).collect();
        (dropped, k, late, others)
    })
}

fn lanes(lanes: usize) -> IoLoop {
    IoLoop::builder().lanes(lanes).build().expect("a loop")
}

#[test]
fn an_event_lets_everybody_go_on_until_it_is_cleared() {
    let event = Event::new();
    let mut line = in_line(3, || event.wait());
    event.set();
    assert!(event.is_set());
    at_once(event.wait());
    event.clear();
    assert!(!event.is_set());
    // Those who waited at the `set` go on, cleared or not; the next one waits.
    assert_eq!(served(&mut line), [0, 1, 2]);
    drop(waiting(event.wait()));
}

#[test]
fn an_event_reaches_the_waiters_of_every_lane() {
    let io_loop = lanes(4);
    for _ in 0..200 {
        let event = Arc::new(Event::new());
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let event = event.clone();
                io_loop.spawn(async move { event.wait().await })
            })
            .collect();
        event.set();
        for task in waiting {
            finished(&io_loop, task);
        }
    }
    io_loop.stop();
}

#[test]
fn a_wait_gives_up_at_its_limit_on_the_clock_of_the_loop() {
    let (io_loop, clock) = turned();
    let limit = Duration::from_secs(10);
    let late = Err(TimeoutError { limit });
    let waits = io_loop.spawn(async move {
        let (event, condition) = (Event::new(), Condition::new());
        let (lock, semaphore) = (Lock::new(7), Semaphore::new(0));
        let _held = lock.acquire().await;
        // Tries once.
        assert!(with_timeout(Duration::ZERO, event.wait()).await.is_err());
        assert_eq!(with_timeout(limit, event.wait()).await, late);
        assert_eq!(with_timeout(limit, condition.wait()).await, late);
        assert!(with_timeout(limit, lock.acquire()).await.is_err());
        assert!(with_timeout(limit, semaphore.acquire()).await.is_err());
        semaphore.release();
        assert!(with_timeout(limit, semaphore.acquire()).await.is_ok());
    });
    let ((), took) = turned_until_finished(&io_loop, &clock, waits);
    assert!(took >= 4 * limit, "each waits for as long as it may");
    io_loop.stop();
}

#[test]
fn a_notification_without_a_waiter_is_nothing() {
    let condition = Condition::new();
    condition.notify(1);
    condition.notify_all();
    let mut line = in_line(5, || condition.wait());
    assert_eq!(served(&mut line), [0; 0]);
    condition.notify(2);
    assert_eq!(served(&mut line), [0, 1]);
    condition.notify_all();
    assert_eq!(served(&mut line), [2, 3, 4]);
    condition.notify(usize::MAX);
    drop(waiting(condition.wait()));
}

#[test]
fn a_condition_is_waited_for_from_the_call_on() {
    let condition = Condition::new();
    let wait = condition.wait();
    condition.notify(1);
    at_once(wait);
}

#[test]
fn a_dropped_wait_passes_its_notification_on() {
    for (dropped, notified, late, expected) in drops() {
        let condition = Condition::new();
        let mut line = in_line(4, || condition.wait());
        if !late {
            line[dropped] = None;
        }
        condition.notify(notified);
        line[dropped] = None;
        assert_eq!(served(&mut line), expected);
    }
}

#[test]
fn a_dropped_wait_does_not_pass_on_what_everybody_got() {
    let condition = Condition::new();
    let line = in_line(3, || condition.wait());
    condition.notify_all();
    let mut after = in_line(1, || condition.wait());
    drop(line);
    assert_eq!(served(&mut after), [0; 0]);
}

fn take_one(left: &Mutex<u32>) -> bool {
    let mut left = left.lock().expect("no panic");
    let one = left.checked_sub(1);
    *left = one.unwrap_or(0);
    one.is_some()
}

#[test]
fn a_condition_loses_nothing_between_lanes() {
    let io_loop = lanes(4);
    let shared = Arc::new((Mutex::new(0_u32), Condition::new()));
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let shared = shared.clone();
            io_loop.spawn(async move {
                for _ in 0..500 {
                    loop {
                        let notified = shared.1.wait();
                        if take_one(&shared.0) {
                            break;
                        }
                        notified.await;
                    }
                }
            })
        })
        .collect();
    for _ in 0..8 * 500 {
        *shared.0.lock().expect("no panic") += 1;
        shared.1.notify(1);
    }
    for taker in takers {
        finished(&io_loop, taker);
    }
    assert_eq!(*shared.0.lock().expect("no panic"), 0);
    io_loop.stop();
}

#[test]
fn permits_go_to_those_in_line_first_come_first_served() {
    let semaphore = Semaphore::new(0);
    let mut line = in_line(4, || async { semaphore.acquire().await.forget() });
    semaphore.release();
    semaphore.release();
    assert_eq!(semaphore.available(), 0, "they were handed over");
    drop(waiting(semaphore.acquire())); // Nobody overtakes.
    assert_eq!(served(&mut line), [0, 1]);
    semaphore.release();
    semaphore.release();
    semaphore.release();
    assert_eq!(served(&mut line), [2, 3]);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_dropped_acquire_loses_no_permit_at_any_position() {
    for (dropped, released, late, expected) in drops() {
        let semaphore = Semaphore::new(0);
        let mut line = in_line(4, || async { semaphore.acquire().await.forget() });
        if !late {
            line[dropped] = None;
        }
        (0..released).for_each(|_| semaphore.release());
        line[dropped] = None;
        assert_eq!(served(&mut line), expected);
        assert_eq!(semaphore.available(), released - expected.len());
    }
}

#[test]
fn a_bounded_semaphore_names_its_bound_when_it_is_released_too_often() {
    let semaphore = BoundedSemaphore::new(2);
    assert_eq!(semaphore.release(), Err(OverRelease { bound: 2 }));
    let permit = at_once(semaphore.acquire());
    assert_eq!((semaphore.available(), semaphore.bound()), (1, 2));
    drop(permit);
    let error = semaphore.release().expect_err("nothing is taken");
    assert!(error.to_string().contains("the bound is 2"), "{error}");
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn a_bounded_semaphore_holds_its_bound_while_acquires_are_dropped() {
    let semaphore = BoundedSemaphore::new(1);
    for dropped in 0..3 {
        for late in [false, true] {
            let held = at_once(semaphore.acquire());
            let mut line = in_line(3, || async { drop(semaphore.acquire().await) });
            if !late {
                line[dropped] = None;
            }
            drop(held);
            line[dropped] = None;
            assert_eq!(ready(&mut line).len(), 2);
            assert_eq!(semaphore.available(), 1);
            assert!(semaphore.release().is_err());
        }
    }
}

#[test]
fn a_lock_is_handed_over_in_line_and_freed_by_a_panic() {
    let io_loop = lanes(2);
    let lock = Arc::new(Lock::new(Vec::new()));
    let mut line = Vec::new();
    {
        let _held = at_once(lock.acquire());
        for n in 0..4 {
            let mine = lock.clone();
            let (begun, in_line) = mpsc::channel();
            line.push(io_loop.spawn(async move {
                let mut acquire = Box::pin(mine.acquire());
                assert!(poll(&mut acquire).is_pending());
                begun.send(()).expect("waited for");
                let mut order = acquire.await;
                order.push(n);
                assert_ne!(n, 1, "on purpose");
            }));
            in_line.recv().expect("in line");
        }
    }
    for (n, task) in line.into_iter().enumerate() {
        assert_eq!(io_loop.run(task).expect("ran").is_err(), n == 1);
    }
    io_loop.stop();
    let lock = Arc::into_inner(lock).expect("all tasks are done");
    assert_eq!(lock.into_inner(), [0, 1, 2, 3]);
}

#[test]
fn a_dropped_acquire_of_a_lock_hands_it_on() {
    for dropped in 0..3 {
        for late in [false, true] {
            let lock = Lock::new(());
            let held = at_once(lock.acquire());
            let mut line = in_line(3, || async { drop(lock.acquire().await) });
            if !late {
                line[dropped] = None;
            }
            drop(held);
            line[dropped] = None;
            assert_eq!(ready(&mut line).len(), 2);
            assert!(poll(&mut Box::pin(lock.acquire())).is_ready());
        }
    }
}

/// Eight tasks on four lanes take permits and a lock, and give up waiting for a third
/// of them, while the sections check that they are never more than they may be.
#[test]
fn nothing_is_lost_when_waits_on_many_lanes_are_dropped_at_random() {
    const TASKS: usize = 8;
    const ROUNDS: usize = 400;
    let io_loop = lanes(4);
    let semaphore = Arc::new(BoundedSemaphore::new(3));
    let now = Arc::new(AtomicUsize::new(0));
    let alone = Arc::new(AtomicBool::new(false));
    let sum = Arc::new(Lock::new(0_usize));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (semaphore, sum) = (semaphore.clone(), sum.clone());
            let (now, alone) = (now.clone(), alone.clone());
            io_loop.spawn(async move {
                let mut added = 0;
                for round in 0..ROUNDS {
                    let limit = Duration::from_micros(((task * 7 + round * 13) % 50) as u64);
                    if let Ok(_permit) = with_timeout(limit, semaphore.acquire()).await {
                        assert!(now.fetch_add(1, Ordering::SeqCst) < 3);
                        yield_now().await;
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                    if let Ok(mut sum) = with_timeout(limit, sum.acquire()).await {
                        assert!(!alone.swap(true, Ordering::SeqCst));
                        yield_now().await;
                        *sum += round;
                        added += round;
                        alone.store(false, Ordering::SeqCst);
                    }
                }
                added
            })
        })
        .collect();
    let mut added = 0;
    for task in tasks {
        added += finished(&io_loop, task);
    }
    io_loop.stop();
    assert_eq!(semaphore.available(), 3);
    assert!(semaphore.release().is_err());
    let sum = Arc::into_inner(sum).expect("all tasks are done");
    assert_eq!(sum.into_inner(), added);
}
