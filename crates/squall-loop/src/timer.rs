//! A lane's timers, behind one short lock.
//!
//! A heap of deadlines, four children to a node so that they share a cache line,
//! and beside it the places where what is to happen is kept. Any thread may arm or
//! cancel; the lane's carrier of the moment fires what is due, a batch at a time.
//!
//! Whatever has a million timers arms one in the time of a few cache misses: a new
//! deadline seldom rises far in a heap, and nothing is ever moved to make room.

use std::task::Waker;

use crate::atomics::Mutex;

/// Nanoseconds since the loop was built.
pub(crate) type Nanos = u64;

/// Fired before the reactor and the queue get their turn.
const BATCH: usize = 128;
/// Children of a node.
const ARITY: usize = 4;

/// Names an armed timer for as long as it is armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerKey {
    place: u32,
    order: u32,
}

/// What happens at the deadline.
pub(crate) enum Due {
    /// A sleeping future goes on.
    Wake(Waker),
    /// A callback gets a task of its own, because it may block.
    Call(Box<dyn FnOnce() + Send>),
}

impl std::fmt::Debug for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Wake(_) => "Wake",
            Self::Call(_) => "Call",
        })
    }
}

/// The timers of one lane.
#[derive(Debug, Default)]
pub(crate) struct Timers(Mutex<Armed>);

impl Timers {
    /// Arms a timer. The flag says that it is now the earliest.
    pub(crate) fn arm(&self, deadline: Nanos, due: Due) -> (TimerKey, bool) {
        self.0.lock().arm(deadline, due)
    }

    /// Gives an armed timer another waker. False: it has fired meanwhile.
    pub(crate) fn set_waker(&self, key: TimerKey, waker: &Waker) -> bool {
        match self.0.lock().find(key) {
            Some(Place {
                due: Some(Due::Wake(old)),
                ..
            }) => {
                old.clone_from(waker);
                true
            }
            _ => false,
        }
    }

    /// Disarms a timer. None: it has fired already.
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Due> {
        let mut armed = self.0.lock();
        let at = armed.find(key)?.at as usize;
        armed.remove(at)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.0.lock().heap.first().map(|node| node.deadline)
    }

    /// Moves what is due at `now` into `out`, in order of deadline and of arming.
    /// Much that is due at once takes several calls.
    pub(crate) fn take_due(&self, now: Nanos, out: &mut Vec<Due>) {
        let mut armed = self.0.lock();
        for _ in 0..BATCH {
            if armed.heap.first().is_none_or(|node| node.deadline > now) {
                return;
            }
            out.extend(armed.remove(0));
        }
    }

    /// Forgets every timer, for a loop that stops.
    pub(crate) fn clear(&self) {
        // Dropping an entry may run foreign code: not under the lock.
        let mut armed = self.0.lock();
        let order = armed.order;
        let forgotten = std::mem::take(&mut *armed);
        armed.order = order;
        drop(armed);
        drop(forgotten);
    }
}

#[derive(Debug, Default)]
struct Armed {
    /// The earliest first; no node is earlier than its parent.
    heap: Vec<Node>,
    places: Vec<Place>,
    /// The first free place, plus one; 0 is none.
    free: u32,
    /// Counts what is armed, and wraps.
    order: u32,
}

/// A deadline in the heap.
#[derive(Debug, Clone, Copy)]
struct Node {
    deadline: Nanos,
    order: u32,
    place: u32,
}

impl Node {
    fn before(&self, other: &Self) -> bool {
        if self.deadline != other.deadline {
            return self.deadline < other.deadline;
        }
        // Across the wrap, whichever is less than half of the range ahead.
        self.order.wrapping_sub(other.order) > u32::MAX / 2
    }
}

/// Where what is to happen is kept until then.
#[derive(Debug)]
struct Place {
    /// None: this place is free.
    due: Option<Due>,
    /// Tells the timer from earlier ones in the same place.
    order: u32,
    /// The index in the heap; in a free place the next free one, plus one.
    at: u32,
}

impl Armed {
    fn arm(&mut self, deadline: Nanos, due: Due) -> (TimerKey, bool) {
        self.order = self.order.wrapping_add(1);
        let order = self.order;
        let used = Place {
            due: Some(due),
            order,
            at: 0,
        };
        let place = match self.free.checked_sub(1) {
            Some(place) => {
                let free = std::mem::replace(&mut self.places[place as usize], used);
                self.free = free.at;
                place
            }
            None => {
                self.places.push(used);
                u32::try_from(self.places.len() - 1).expect("fewer than 2^32 timers")
            }
        };
        let node = Node {
            deadline,
            order,
            place,
        };
        let last = self.heap.len();
        self.heap.push(node);
        let at = self.rise(last, node);
        (TimerKey { place, order }, at == 0)
    }

    fn find(&mut self, key: TimerKey) -> Option<&mut Place> {
        (self.places.get_mut(key.place as usize))
            .filter(|place| place.order == key.order && place.due.is_some())
    }

    /// Takes the node at `at` out of the heap and frees its place.
    fn remove(&mut self, at: usize) -> Option<Due> {
        let node = self.heap[at];
        // The last node fills the gap.
        let last = self.heap.pop()?;
        if at < self.heap.len() {
            let at = self.rise(at, last);
            self.sink(at, last);
        }
        let place = &mut self.places[node.place as usize];
        place.at = self.free;
        self.free = node.place + 1;
        place.due.take()
    }

    /// Puts `node`, which belongs at `at` or above, where it belongs.
    fn rise(&mut self, mut at: usize, node: Node) -> usize {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !node.before(&self.heap[parent]) {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        self.put(at, node);
        at
    }

    /// Puts `node`, which belongs at `at` or below, where it belongs.
    fn sink(&mut self, mut at: usize, node: Node) {
        loop {
            let first = at * ARITY + 1;
            let end = (first + ARITY).min(self.heap.len());
            let Some((ahead, child)) = (first..end)
                .map(|child| (child, self.heap[child]))
                .reduce(|a, b| if b.1.before(&a.1) { b } else { a })
                .filter(|(_, child)| child.before(&node))
            else {
                return self.put(at, node);
            };
            self.put(at, child);
            at = ahead;
        }
    }

    fn put(&mut self, at: usize, node: Node) {
        self.heap[at] = node;
        // Fits: there are no more nodes than places.
        self.places[node.place as usize].at = at as u32;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    fn wake() -> Due {
        Due::Wake(Waker::noop().clone())
    }

    fn fired(timers: &Timers, now: Nanos) -> usize {
        let mut out = Vec::new();
        timers.take_due(now, &mut out);
        out.len()
    }

    #[test]
    fn fires_in_order_of_time_and_never_early() {
        let timers = Timers::default();
        assert!(timers.arm(20, wake()).1);
        assert!(timers.arm(10, wake()).1, "a new earliest");
        let (late, earliest) = timers.arm(30, wake());
        assert!(!earliest);
        assert_eq!(timers.next(), Some(10));
        assert_eq!(fired(&timers, 9), 0);
        assert_eq!(fired(&timers, 20), 2);
        assert!(timers.cancel(late).is_some());
        assert!(timers.cancel(late).is_none(), "cancelled once");
        assert_eq!(fired(&timers, u64::MAX), 0);
    }

    #[test]
    fn a_key_never_names_a_later_timer_in_the_same_place() {
        let timers = Timers::default();
        let (old, _) = timers.arm(1, wake());
        assert_eq!(fired(&timers, 1), 1);
        let (new, _) = timers.arm(2, wake());
        assert!(timers.cancel(old).is_none());
        assert!(!timers.set_waker(old, Waker::noop()));
        assert!(timers.set_waker(new, Waker::noop()));
        timers.clear();
        assert!(timers.cancel(new).is_none());
        timers.arm(3, wake());
        assert!(timers.cancel(new).is_none(), "armed anew after a clear");
    }

    #[test]
    fn a_crowd_fires_in_batches() {
        let timers = Timers::default();
        for _ in 0..2 * BATCH + 1 {
            timers.arm(5, wake());
        }
        let batches: Vec<_> = (0..4).map(|_| fired(&timers, 5)).collect();
        assert_eq!(batches, [BATCH, BATCH, 1, 0]);
    }

    /// A million are armed, half of them cancelled; the others fire in order, none
    /// early, and after each call none that was due is left but for a full batch.
    #[test]
    fn a_million_half_of_them_cancelled() {
        let count: u64 = if cfg!(miri) { 2_000 } else { 1_000_000 };
        let timers = Timers::default();
        let fired = Arc::new(AtomicU64::new(0));
        let last = Arc::new(AtomicU64::new(0));
        let mut keys = Vec::new();
        let mut random = 1_u64;
        for _ in 0..count {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let deadline = random >> 40;
            let (fired, last) = (fired.clone(), last.clone());
            let call = move || {
                fired.fetch_add(1, Ordering::Relaxed);
                let before = last.swap(deadline, Ordering::Relaxed);
                assert!(before <= deadline, "{before} before {deadline}");
            };
            keys.push(timers.arm(deadline, Due::Call(Box::new(call))).0);
        }
        for key in keys.iter().step_by(2) {
            assert!(timers.cancel(*key).is_some());
        }
        let mut due = Vec::new();
        for now in (0..=1 << 24).step_by(1 << 14) {
            loop {
                timers.take_due(now, &mut due);
                assert!(due.len() <= BATCH);
                let full = due.len() == BATCH;
                for due in due.drain(..) {
                    let Due::Call(call) = due else {
                        panic!("a call was armed")
                    };
                    call();
                }
                assert!(last.load(Ordering::Relaxed) <= now, "early");
                if !full {
                    break;
                }
            }
            assert!(timers.next().is_none_or(|next| next > now), "left behind");
        }
        assert_eq!(fired.load(Ordering::Relaxed), count / 2);
    }

    /// Against an ordered map: the same timers fire, in order of deadline and, where
    /// deadlines are equal, of arming.
    #[test]
    fn a_map_would_do_the_same() {
        let timers = Timers::default();
        // Near the wrap of the arming order.
        timers.0.lock().order = u32::MAX - 500;
        let mut model = BTreeMap::new();
        let called = Arc::new(AtomicUsize::new(0));
        let mut random = 1_u64;
        let mut now = 0;
        // Enough to go past the wrap.
        let steps: usize = if cfg!(miri) { 1_500 } else { 20_000 };
        for step in 0..steps {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let choice = random >> 33;
            match choice % 8 {
                0..4 => {
                    let deadline = now + choice % 50;
                    let due = {
                        let called = called.clone();
                        Due::Call(Box::new(move || called.store(step, Ordering::Relaxed)))
                    };
                    let (key, earliest) = timers.arm(deadline, due);
                    model.insert((deadline, step), key);
                    let first = model.first_key_value().map(|(key, _)| *key);
                    assert_eq!(earliest, first == Some((deadline, step)));
                }
                4..6 if !model.is_empty() => {
                    let nth = usize::try_from(choice).unwrap_or(0) % model.len();
                    let at = *model.keys().nth(nth).expect("one of them");
                    let key = model.remove(&at).expect("armed");
                    assert!(timers.cancel(key).is_some());
                    assert!(timers.cancel(key).is_none());
                }
                _ => {
                    now += choice % 10;
                    let mut out = Vec::new();
                    timers.take_due(now, &mut out);
                    for due in out {
                        let ((deadline, step), _) = model.pop_first().expect("armed");
                        assert!(deadline <= now);
                        let Due::Call(call) = due else {
                            panic!("a call was armed")
                        };
                        call();
                        assert_eq!(called.load(Ordering::Relaxed), step);
                    }
                    assert!(timers.next().is_none_or(|next| next > now));
                }
            }
            assert_eq!(timers.next(), model.first_key_value().map(|(key, _)| key.0));
        }
    }
}
