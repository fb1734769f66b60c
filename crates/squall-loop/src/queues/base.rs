//! The one queue behind the three.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use super::order::Order;
use crate::sync::line::Line;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A queue between tasks, in one order or another: [`Queue`](super::Queue),
/// [`PriorityQueue`](super::PriorityQueue), [`LifoQueue`](super::LifoQueue).
///
/// What the queue asks of its items (`Ord`, for the smallest) runs while it is
/// locked, so it must not use the queue itself.
pub struct BaseQueue<O: Order> {
    state: Mutex<State<O>>,
    joiners: Notify,
}

struct State<O: Order> {
    items: O,
    maxsize: usize,
    /// Items for gets that have been woken, but not polled yet.
    promised: usize,
    /// Room for puts that have been woken, but not polled yet.
    reserved: usize,
    /// Nobody waits here while an item is free.
    getters: Line,
    /// Nobody waits here while there is room.
    putters: Line,
    unfinished: usize,
    /// How often the last unfinished item was done.
    finished: u64,
}

/// Who has been served. Woken without the lock: a waker may be the last hand on a
/// task, and that task may have a place in this very queue.
struct Served([Option<Waker>; 2]);

impl Served {
    fn wake(self) {
        self.0.into_iter().flatten().for_each(Waker::wake);
    }
}

impl<O: Order> State<O> {
    /// How many items are there for whoever comes.
    fn free(&self) -> usize {
        self.items.count() - self.promised
    }

    fn has_room(&self) -> bool {
        self.maxsize == 0 || self.free() + self.reserved < self.maxsize
    }

    fn push(&mut self, item: O::Item) -> Served {
        self.items.push(item);
        self.unfinished += 1;
        self.serve()
    }

    fn pop(&mut self) -> Option<(O::Item, Served)> {
        if self.free() == 0 {
            return None;
        }
        let item = self.items.pop()?;
        Some((item, self.serve()))
    }

    /// Gives away what has become free. That is one item and one place at most, for
    /// nothing was free before while somebody waited for it.
    fn serve(&mut self) -> Served {
        let mut served = [None, None];
        if self.free() > 0
            && let Some(getter) = self.getters.serve()
        {
            self.promised += 1;
            served[0] = getter;
        }
        if self.has_room()
            && let Some(putter) = self.putters.serve()
        {
            self.reserved += 1;
            served[1] = putter;
        }
        Served(served)
    }
}

impl<O: Order> BaseQueue<O> {
    /// An empty queue for up to `maxsize` items; 0: as many as memory holds.
    pub fn new(maxsize: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: O::default(),
                maxsize,
                promised: 0,
                reserved: 0,
                getters: Line::default(),
                putters: Line::default(),
                unfinished: 0,
                finished: 0,
            }),
            joiners: Notify::new(),
        }
    }

    /// Puts an item in; waits in line for room.
    ///
    /// # Cancel safety
    /// Dropped before it is done, it has put nothing: it leaves the line, its item is
    /// dropped with it, and room that had been promised to it goes to the next. An
    /// item that must outlive a timeout is put as a clone, or with
    /// [`put_nowait`](Self::put_nowait), which gives it back.
    pub async fn put(&self, item: O::Item) {
        let mut put = Put {
            queue: self,
            item: Some(item),
            place: None,
        };
        poll_fn(|cx| put.poll(cx)).await;
    }

    /// Puts an item in if there is room at this moment.
    ///
    /// # Errors
    /// [`QueueFull`], with the item.
    pub fn put_nowait(&self, item: O::Item) -> Result<(), QueueFull<O::Item>> {
        let mut state = self.state.lock();
        if !state.has_room() {
            return Err(QueueFull(item));
        }
        let served = state.push(item);
        drop(state);
        served.wake();
        Ok(())
    }

    /// Takes the next item out; waits in line for one.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line; an item that had been promised to it goes to the
    /// next, or stays in its place in the queue.
    pub async fn get(&self) -> O::Item {
        let mut get = Get {
            queue: self,
            place: None,
        };
        poll_fn(|cx| get.poll(cx)).await
    }

    /// Takes the next item out if there is one at this moment that is promised to
    /// nobody in line.
    ///
    /// # Errors
    /// [`QueueEmpty`].
    pub fn get_nowait(&self) -> Result<O::Item, QueueEmpty> {
        let taken = self.state.lock().pop();
        let (item, served) = taken.ok_or(QueueEmpty)?;
        served.wake();
        Ok(item)
    }

    /// Tells that the work on an item is done: called once for every item got, for
    /// [`join`](Self::join) to know.
    ///
    /// # Errors
    /// [`NothingUnfinished`] when it is called more often than items were put.
    pub fn task_done(&self) -> Result<(), NothingUnfinished> {
        let mut state = self.state.lock();
        state.unfinished = state.unfinished.checked_sub(1).ok_or(NothingUnfinished)?;
        if state.unfinished == 0 {
            state.finished += 1;
            drop(state);
            self.joiners.notify_waiters();
        }
        Ok(())
    }

    /// Waits until [`task_done`](Self::task_done) has been called for every item
    /// put; at once if nothing was.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing for anybody.
    pub async fn join(&self) {
        let begun = self.state.lock().finished;
        loop {
            // In line before the look: a notification in between is not missed.
            let notified = self.joiners.notified();
            if self.is_finished_since(begun) {
                return;
            }
            notified.await;
        }
    }

    /// How many items a new [`get`](Self::get) could take at this moment. What is
    /// promised to those in line is not counted, and neither is what waits for room.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.state.lock().free()
    }

    /// Whether a new [`get`](Self::get) would wait.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a new [`put`](Self::put) would wait; never, without a bound. Room that
    /// is promised to those in line counts as taken.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        !self.state.lock().has_room()
    }

    /// The most items there may be; 0: there is no bound.
    ///
    /// Items promised to a `get` in line do not count; when such a `get` is dropped
    /// and its item stays, the queue is over its bound until one is taken.
    pub fn maxsize(&self) -> usize {
        self.state.lock().maxsize
    }

    fn is_finished_since(&self, begun: u64) -> bool {
        let state = self.state.lock();
        state.unfinished == 0 || state.finished != begun
    }
}

impl<O: Order> fmt::Debug for BaseQueue<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("BaseQueue")
            .field("maxsize", &state.maxsize)
            .field("len", &state.free())
            .field("getters", &state.getters.len())
            .field("putters", &state.putters.len())
            .field("unfinished", &state.unfinished)
            .finish()
    }
}

/// A `put` under way.
struct Put<'a, O: Order> {
    queue: &'a BaseQueue<O>,
    /// Until it is in the queue.
    item: Option<O::Item>,
    place: Option<u64>,
}

impl<O: Order> Put<'_, O> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.queue.state.lock();
        if let Some(place) = self.place {
            let waits = state.putters.wait(place, cx.waker());
            if waits.is_some() {
                drop(state);
                return Poll::Pending;
            }
            self.place = None;
            state.reserved -= 1;
        } else if !state.has_room() {
            self.place = Some(state.putters.join(Some(cx.waker().clone())));
            return Poll::Pending;
        }
        if let Some(item) = self.item.take() {
            let served = state.push(item);
            drop(state);
            served.wake();
        }
        Poll::Ready(())
    }
}

impl<O: Order> Drop for Put<'_, O> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut state = self.queue.state.lock();
        let left = state.putters.leave(place);
        if left.is_none() {
            state.reserved -= 1;
        }
        let served = state.serve();
        drop(state);
        served.wake();
    }
}

/// A `get` under way.
struct Get<'a, O: Order> {
    queue: &'a BaseQueue<O>,
    place: Option<u64>,
}

impl<O: Order> Get<'_, O> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<O::Item> {
        let mut state = self.queue.state.lock();
        if let Some(place) = self.place {
            let waits = state.getters.wait(place, cx.waker());
            if waits.is_some() {
                drop(state);
                return Poll::Pending;
            }
            self.place = None;
            state.promised -= 1;
        }
        let Some((item, served)) = state.pop() else {
            self.place = Some(state.getters.join(Some(cx.waker().clone())));
            return Poll::Pending;
        };
        drop(state);
        served.wake();
        Poll::Ready(item)
    }
}

impl<O: Order> Drop for Get<'_, O> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut state = self.queue.state.lock();
        let left = state.getters.leave(place);
        if left.is_none() {
            state.promised -= 1;
        }
        let served = state.serve();
        drop(state);
        served.wake();
    }
}

/// There was no room at this moment. The item is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull<T>(pub T);

impl<T> fmt::Display for QueueFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is full")
    }
}

impl<T: fmt::Debug> std::error::Error for QueueFull<T> {}

/// There was no item at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEmpty;

impl fmt::Display for QueueEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is empty")
    }
}

impl std::error::Error for QueueEmpty {}

/// `task_done` was called more often than items were put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NothingUnfinished;

impl fmt::Display for NothingUnfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than items were put")
    }
}

impl std::error::Error for NothingUnfinished {}
