//! Queues between tasks: first in first out, smallest first, last in first out.
//!
//! Tornado's `tornado.queues`, made for lanes, which are threads: a queue is shared
//! by reference or in an `Arc`, and used from tasks of any lane. Those who wait for
//! an item, and those who wait for room, wait in line: first come, first served.
//!
//! | Tornado | here |
//! |---|---|
//! | `Queue(maxsize=0)`, `PriorityQueue`, `LifoQueue` | [`Queue`], [`PriorityQueue`], [`LifoQueue`]: `Queue::new(maxsize)`, 0 for no bound |
//! | `await queue.put(item)`, `await queue.get()` | [`put`](BaseQueue::put), [`get`](BaseQueue::get) |
//! | `put_nowait`: `QueueFull` | [`put_nowait`](BaseQueue::put_nowait): [`QueueFull`], with the item in it |
//! | `get_nowait`: `QueueEmpty` | [`get_nowait`](BaseQueue::get_nowait): [`QueueEmpty`] |
//! | `async for item in queue:` | `loop { let item = queue.get().await; … }` |
//! | `task_done`: `ValueError` | [`task_done`](BaseQueue::task_done): [`NothingUnfinished`] |
//! | `await queue.join()` | [`join`](BaseQueue::join) |
//! | `put(item, timeout)`, `get(timeout)`, `join(timeout)` | [`with_timeout`](crate::with_timeout)`(limit, queue.get())` |
//! | `qsize`, `empty`, `full`, `maxsize` | [`len`](BaseQueue::len), [`is_empty`](BaseQueue::is_empty), [`is_full`](BaseQueue::is_full), [`maxsize`](BaseQueue::maxsize) |
//! | `(priority, item)` in a `PriorityQueue` | the same, if `item` is `Ord`; the largest first with `std::cmp::Reverse` |

mod base;
mod order;

pub use base::{BaseQueue, NothingUnfinished, QueueEmpty, QueueFull};
pub use order::{Fifo, Lifo, Order, Smallest};

/// A queue that gives what was put first.
///
/// ```
/// use std::sync::Arc;
/// use squall_loop::{IoLoop, queues::Queue};
///
/// let io_loop = IoLoop::builder().lanes(2).build()?;
/// let queue = Arc::new(Queue::new(2));
///
/// let consumer = queue.clone();
/// drop(io_loop.spawn(async move {
///     loop {
///         let page: u32 = consumer.get().await;
///         // ... fetch the page ...
///         consumer.task_done().expect("one for each item");
///     }
/// }));
///
/// io_loop.run(async move {
///     for page in 0..10 {
///         queue.put(page).await; // waits while two are in the queue
///     }
///     queue.join().await; // all pages are done
///     assert!(queue.is_empty());
/// })?;
/// io_loop.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Queue<T> = BaseQueue<Fifo<T>>;

/// A queue that gives the smallest item; among equal ones, the one put first.
///
/// ```
/// use squall_loop::queues::PriorityQueue;
///
/// let jobs = PriorityQueue::new(0);
/// jobs.put_nowait((1, "medium"))?;
/// jobs.put_nowait((0, "high"))?;
/// jobs.put_nowait((10, "low"))?;
/// assert_eq!(jobs.get_nowait(), Ok((0, "high")));
/// assert_eq!(jobs.get_nowait(), Ok((1, "medium")));
/// # Ok::<(), squall_loop::queues::QueueFull<(i32, &str)>>(())
/// ```
pub type PriorityQueue<T> = BaseQueue<Smallest<T>>;

/// A queue that gives what was put last.
///
/// ```
/// use squall_loop::queues::{LifoQueue, QueueEmpty};
///
/// let stack = LifoQueue::new(0);
/// stack.put_nowait(3)?;
/// stack.put_nowait(2)?;
/// assert_eq!(stack.get_nowait(), Ok(2));
/// assert_eq!(stack.get_nowait(), Ok(3));
/// assert_eq!(stack.get_nowait(), Err(QueueEmpty));
/// # Ok::<(), squall_loop::queues::QueueFull<i32>>(())
/// ```
pub type LifoQueue<T> = BaseQueue<Lifo<T>>;
