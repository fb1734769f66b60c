//! Waiting for one another: events, locks, conditions, semaphores.
//!
//! Tornado's `tornado.locks`, made for lanes, which are threads. Everything here
//! is shared by reference or in an `Arc`, and used from tasks of any lane and from
//! code outside of a loop alike. Whoever waits, waits in line: first come, first
//! served.
//!
//! | Tornado | here |
//! |---|---|
//! | `Event`: `set`, `clear`, `is_set`, `wait` | [`Event`], the same |
//! | `Condition`: `wait`, `notify(n)`, `notify_all` | [`Condition`], the same; `wait` is in line from the call on |
//! | `Semaphore`: `async with semaphore:` | [`Semaphore`]: `let _permit = semaphore.acquire().await;` |
//! | `BoundedSemaphore`: `ValueError` | [`BoundedSemaphore`]: [`OverRelease`] |
//! | `Lock`: `async with lock:` | [`Lock`]: `let _guard = lock.acquire().await;`, over data if you like |
//! | `RuntimeError: release unlocked lock` | cannot be written: the guard releases |
//! | `wait(timeout)`, `acquire(timeout)` | [`with_timeout`](crate::with_timeout)`(limit, event.wait())` |
//! | `timeout=0`: try once | a limit of zero: tries once |
//! | `if await condition.wait(timeout):` | `if with_timeout(limit, condition.wait()).await.is_ok()` |
//! | `gen.multi`, `asyncio.gather` | `futures::future::join_all`, `try_join_all`, or `join!` of the `futures` crate |
//! | `gen.WaitIterator` | `futures::stream::FuturesUnordered` |
//!
//! A timeout has no argument of its own anywhere, because every wait here can be
//! dropped: what a dropped future had been promised (a permit, a notification)
//! goes to the next in line.
//!
//! # The standard library's locks
//! A `std::sync::Mutex` is the better lock for a few lines without an `.await`: it
//! is cheaper, and the compiler rejects a task that would keep its guard over an
//! `.await`. A thread that waits for it is blocked, and its lane is handed over if
//! that lasts. A section with an `.await` in it needs a [`Lock`].

mod condition;
mod event;
pub(crate) mod line;
mod lock;
mod semaphore;

pub use condition::{Condition, Wait};
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use semaphore::{BoundedPermit, BoundedSemaphore, OverRelease, Permit, Semaphore};
