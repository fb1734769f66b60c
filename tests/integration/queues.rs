//! Queues between tasks of any lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use squall_loop::queues::{
    LifoQueue, NothingUnfinished, PriorityQueue, Queue, QueueEmpty, QueueFull,
};
use squall_loop::{IoLoop, TimeoutError, with_timeout};
use squall_tests::polling::{at_once, ready, waiting};
use squall_tests::{finished, turned, turned_until_finished};

fn drain<T>(get: impl Fn() -> Result<T, QueueEmpty>) -> Vec<T> {
    std::iter::from_fn(|| get().ok()).collect()
}

#[test]
fn each_queue_has_its_order() {
    let (first, last, smallest) = (Queue::new(0), LifoQueue::new(0), PriorityQueue::new(0));
    for item in [3, 1, 4, 1, 5] {
        first.put_nowait(item).expect("no bound");
        last.put_nowait(item).expect("no bound");
        smallest.put_nowait(item).expect("no bound");
    }
    assert_eq!(drain(|| first.get_nowait()), [3, 1, 4, 1, 5]);
    assert_eq!(drain(|| last.get_nowait()), [5, 1, 4, 1, 3]);
    assert_eq!(drain(|| smallest.get_nowait()), [1, 1, 3, 4, 5]);
}

#[test]
fn equal_priorities_come_in_the_order_they_were_put() {
    #[derive(Debug, PartialEq, Eq)]
    struct Job(u8, &'static str);
    impl PartialOrd for Job {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Job {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }
    let queue = PriorityQueue::new(0);
    for (n, name) in [(1, "b"), (0, "x"), (1, "a"), (0, "w"), (1, "c")] {
        queue.put_nowait(Job(n, name)).expect("no bound");
    }
    let names: Vec<_> = drain(|| queue.get_nowait())
        .iter()
        .map(|job| job.1)
        .collect();
    assert_eq!(names, ["x", "w", "b", "a", "c"]);
}

#[test]
fn a_full_queue_gives_the_item_back() {
    let queue = Queue::new(2);
    assert_eq!((queue.maxsize(), queue.len()), (2, 0));
    assert!(queue.is_empty() && !queue.is_full());
    queue.put_nowait("a").expect("room");
    queue.put_nowait("b").expect("room");
    assert!(!queue.is_empty() && queue.is_full());
    assert_eq!(queue.put_nowait("c"), Err(QueueFull("c")));
    assert_eq!(drain(|| queue.get_nowait()), ["a", "b"]);
    assert_eq!(queue.get_nowait(), Err(QueueEmpty));
}

#[test]
fn those_who_wait_for_an_item_get_it_in_line() {
    let queue = Queue::new(1);
    let mut line: Vec<_> = (0..3).map(|_| waiting(queue.get())).collect();
    queue.put_nowait(10).expect("room");
    assert!(queue.is_empty(), "it is promised");
    assert_eq!(queue.get_nowait(), Err(QueueEmpty), "nobody overtakes");
    queue.put_nowait(20).expect("there is still room");
    assert_eq!(ready(&mut line), [(0, 10), (1, 20)]);
    queue.put_nowait(30).expect("room");
    assert_eq!(ready(&mut line), [(2, 30)]);
}

#[test]
fn those_who_wait_for_room_get_it_in_line() {
    let queue = Queue::new(1);
    queue.put_nowait(0).expect("room");
    let mut line: Vec<_> = (1..4).map(|n| waiting(queue.put(n))).collect();
    for n in 0..3 {
        assert_eq!(queue.get_nowait(), Ok(n));
        assert!(queue.is_full(), "the room is promised");
        assert_eq!(queue.put_nowait(9), Err(QueueFull(9)), "nobody overtakes");
        assert_eq!(ready(&mut line), [(n, ())]);
    }
    assert_eq!(drain(|| queue.get_nowait()), [3]);
}

#[test]
fn some_may_wait_for_room_while_others_wait_for_what_they_put() {
    let queue = Queue::new(1);
    queue.put_nowait(0).expect("room");
    let mut puts: Vec<_> = (1..4).map(|n| waiting(queue.put(n))).collect();
    assert_eq!(queue.get_nowait(), Ok(0));
    // The room is promised, and not yet used.
    let mut gets: Vec<_> = (0..3).map(|_| waiting(queue.get())).collect();
    assert_eq!(ready(&mut puts).len(), 3);
    assert_eq!(ready(&mut gets), [(0, 1), (1, 2), (2, 3)]);
}

#[test]
fn a_dropped_get_loses_no_item_at_any_position() {
    for dropped in 0..4 {
        for put in 0..=5 {
            // Dropped before and after an item was promised to it.
            for late in [false, true] {
                let queue = Queue::new(0);
                let mut line: Vec<_> = (0..4).map(|_| waiting(queue.get())).collect();
                if !late {
                    line[dropped] = None;
                }
                (0..put).for_each(|n| queue.put_nowait(n).expect("no bound"));
                line[dropped] = None;
                let places = (0..4).filter(|n| *n != dropped);
                let expected: Vec<_> = places.zip(0..put).collect();
                assert_eq!(ready(&mut line), expected);
                let rest: Vec<_> = (expected.len()..put).collect();
                assert_eq!(drain(|| queue.get_nowait()), rest);
            }
        }
    }
}

#[test]
fn a_dropped_put_has_put_nothing_and_loses_no_room() {
    for dropped in 0..4 {
        for taken in 0..=3 {
            // Dropped before and after room was promised to it.
            for late in [false, true] {
                let queue = Queue::new(3);
                (10..13).for_each(|n| queue.put_nowait(n).expect("room"));
                let mut line: Vec<_> = (0..4).map(|n| waiting(queue.put(n))).collect();
                if !late {
                    line[dropped] = None;
                }
                let mut items: Vec<_> = (0..taken).map_while(|_| queue.get_nowait().ok()).collect();
                line[dropped] = None;
                let others: Vec<_> = (0..4).filter(|n| *n != dropped).collect();
                let first: Vec<_> = others.iter().take(taken).map(|n| (*n, ())).collect();
                assert_eq!(ready(&mut line), first);
                assert!(queue.is_full());
                items.extend(drain(|| queue.get_nowait()));
                assert_eq!(ready(&mut line).len(), 3 - taken);
                items.extend(drain(|| queue.get_nowait()));
                assert_eq!(items, [[10, 11, 12].as_slice(), &others].concat());
            }
        }
    }
}

#[test]
fn join_waits_for_every_task_done() {
    let queue = Queue::new(0);
    at_once(queue.join()); // Nothing was put.
    queue.put_nowait(1).expect("no bound");
    queue.put_nowait(2).expect("no bound");
    let mut joins = [waiting(queue.join()), waiting(queue.join())];
    assert_eq!(drain(|| queue.get_nowait()), [1, 2]);
    assert_eq!(queue.task_done(), Ok(()));
    assert!(ready(&mut joins).is_empty(), "got is not done");
    assert_eq!(queue.task_done(), Ok(()));
    // They waited when all was done; what is put now is for the next join.
    queue.put_nowait(3).expect("no bound");
    assert_eq!(ready(&mut joins).len(), 2);
    drop(waiting(queue.join()));
    assert_eq!(queue.task_done(), Ok(()));
    assert_eq!(queue.task_done(), Err(NothingUnfinished));
}

#[test]
fn a_queue_gives_up_at_a_limit_on_the_clock_of_the_loop() {
    let (io_loop, clock) = turned();
    let limit = Duration::from_secs(10);
    let late = TimeoutError { limit };
    let waits = io_loop.spawn(async move {
        let queue = Queue::new(1);
        assert_eq!(with_timeout(limit, queue.get()).await, Err(late));
        queue.put(1).await;
        assert_eq!(with_timeout(limit, queue.put(2)).await, Err(late));
        assert_eq!(with_timeout(limit, queue.join()).await, Err(late));
        // Those who gave up are not in line any more.
        assert_eq!(queue.get().await, 1);
        assert_eq!(queue.get_nowait(), Err(QueueEmpty));
        queue.put(3).await;
        assert_eq!(with_timeout(Duration::ZERO, queue.get()).await, Ok(3));
    });
    let ((), took) = turned_until_finished(&io_loop, &clock, waits);
    assert!(took >= 3 * limit, "each waits for as long as it may");
    io_loop.stop();
}

/// Four tasks put and four get, on four lanes, and some give up: what was put is got,
/// once, and what was given up is not.
#[test]
fn nothing_is_lost_or_doubled_between_lanes() {
    const ITEMS: u64 = 2000;
    let io_loop = IoLoop::builder().lanes(4).build().expect("a loop");
    let queue = Arc::new(Queue::new(3));
    let sum = Arc::new(AtomicU64::new(0));
    let limit = |n: u64| Duration::from_micros(n * 7 % 50);
    let consumers: Vec<_> = (0..4)
        .map(|task| {
            let (queue, sum) = (queue.clone(), sum.clone());
            io_loop.spawn(async move {
                for round in task.. {
                    if let Ok(item) = with_timeout(limit(round), queue.get()).await {
                        sum.fetch_add(item, Ordering::SeqCst);
                        queue.task_done().expect("one for each item");
                    }
                }
            })
        })
        .collect();
    let producers: Vec<_> = (0..4)
        .map(|task| {
            let queue = queue.clone();
            io_loop.spawn(async move {
                let mut put = 0;
                for item in task * ITEMS..(task + 1) * ITEMS {
                    if with_timeout(limit(item), queue.put(item)).await.is_ok() {
                        put += item;
                    }
                }
                put
            })
        })
        .collect();
    let mut put = 0;
    for producer in producers {
        put += finished(&io_loop, producer);
    }
    let all = queue.clone();
    io_loop.run(async move { all.join().await }).expect("ran");
    assert_eq!(sum.load(Ordering::SeqCst), put);
    assert!(queue.is_empty());
    drop(consumers);
    io_loop.stop();
}
