//! The atomics, mutexes and condition variables that the loop's protocols are made of.
//!
//! In a normal build they are the standard library's and `parking_lot`'s. Under
//! `--cfg loom` they are loom's, so that the models run the code itself.

// Crates that are modelled on top of this one take it with loom, and without its models.
#[cfg(not(all(test, loom)))]
pub(crate) use self::bed::Bed;
#[cfg(not(loom))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

#[cfg(all(test, loom))]
pub(crate) use self::modelled::Condvar;
#[cfg(loom)]
pub(crate) use self::modelled::{AtomicBool, AtomicU8, Mutex, MutexGuard};
#[cfg(all(test, loom))]
pub(crate) use crate::models::Bed;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

#[cfg(not(all(test, loom)))]
mod bed {
    use std::hint;
    use std::thread::{self, Thread};
    use std::time::{Duration, Instant};

    use parking_lot::Mutex;

    /// How long a thread sits before it lies down: what it costs, about, to go to sleep
    /// and to be woken, in both threads.
    const SIT: Duration = Duration::from_micros(10);
    /// Looks between two at the clock.
    const LOOKS: usize = 8;

    /// Where the thread sleeps that made it. A ring before the sleep ends the next one.
    #[derive(Debug, Default)]
    pub(crate) struct Bed(Mutex<Option<Thread>>);

    impl Bed {
        /// The calling thread will sleep here.
        pub(crate) fn make(&self) {
            *self.0.lock() = Some(thread::current());
        }

        /// Keeps its CPU until `over`, or for a moment.
        pub(crate) fn sit(&self, over: impl Fn() -> bool) {
            let begin = Instant::now();
            while begin.elapsed() < SIT {
                for _ in 0..LOOKS {
                    if over() {
                        return;
                    }
                    hint::spin_loop();
                }
            }
        }

        /// Sleeps until it is rung for, or for so long. It may end early.
        pub(crate) fn lie(&self, timeout: Option<Duration>) {
            match timeout {
                Some(timeout) => thread::park_timeout(timeout),
                None => thread::park(),
            }
        }

        pub(crate) fn ring(&self) {
            let sleeper = self.0.lock().clone();
            if let Some(sleeper) = sleeper {
                sleeper.unpark();
            }
        }
    }
}

#[cfg(loom)]
mod modelled {
    use std::ops::{Deref, DerefMut};

    use loom::sync::atomic::{Ordering, fence};

    /// Loom gives only fences a total order, and does not know that nothing comes
    /// between the two halves of an exchange. A `SeqCst` access is thus written as
    /// one between two such fences, and a store as an exchange.
    #[derive(Debug)]
    pub(crate) struct AtomicBool(loom::sync::atomic::AtomicBool);

    fn total(order: Ordering) {
        if order == Ordering::SeqCst {
            fence(order);
        }
    }

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> Self {
            Self(loom::sync::atomic::AtomicBool::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> bool {
            total(order);
            let value = self.0.load(order);
            total(order);
            value
        }

        pub(crate) fn store(&self, value: bool, order: Ordering) {
            total(order);
            self.0.swap(value, order);
            total(order);
        }

        pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
            total(order);
            let before = self.0.swap(value, order);
            total(order);
            before
        }
    }

    impl Default for AtomicBool {
        fn default() -> Self {
            Self::new(false)
        }
    }

    /// The same for a byte.
    #[derive(Debug, Default)]
    pub(crate) struct AtomicU8(loom::sync::atomic::AtomicU8);

    impl AtomicU8 {
        pub(crate) fn new(value: u8) -> Self {
            Self(loom::sync::atomic::AtomicU8::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u8 {
            total(order);
            let value = self.0.load(order);
            total(order);
            value
        }

        pub(crate) fn store(&self, value: u8, order: Ordering) {
            self.swap(value, order);
        }

        pub(crate) fn swap(&self, value: u8, order: Ordering) -> u8 {
            total(order);
            let before = self.0.swap(value, order);
            total(order);
            before
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u8,
            new: u8,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u8, u8> {
            total(success);
            let before = self.0.compare_exchange(current, new, success, failure);
            total(success);
            before
        }

        pub(crate) fn fetch_and(&self, value: u8, order: Ordering) -> u8 {
            self.0.fetch_and(value, order)
        }

        pub(crate) fn fetch_or(&self, value: u8, order: Ordering) -> u8 {
            self.0.fetch_or(value, order)
        }
    }

    /// `parking_lot`'s mutex, as far as it is used here.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// Holds its inner guard except while it waits.
    pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().expect("no panic under a lock")))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_deref().expect("not waiting")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_deref_mut().expect("not waiting")
        }
    }

    /// `parking_lot`'s condition variable, as far as it is used here.
    #[cfg(test)]
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    #[cfg(test)]
    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let inner = guard.0.take().expect("not waiting");
            guard.0 = Some(self.0.wait(inner).expect("no panic under a lock"));
        }
    }
}
