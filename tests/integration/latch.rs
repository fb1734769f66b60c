//! Latches: a test holds a handler where it is, blocked or awaiting, and lets it go.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};

use squall_tests::PATIENCE;

/// Opens once, for good.
#[derive(Clone, Default)]
pub(super) struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub(super) fn open(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_all();
    }

    /// Blocks the calling thread until it is open. That is the tests' subject.
    pub(super) fn block(&self) {
        let closed = self.0.0.lock().expect("no panic");
        drop(
            self.0
                .1
                .wait_while(closed, |open| !*open)
                .expect("no panic"),
        );
    }
}

/// What handlers tell the test, in order.
#[derive(Clone)]
pub(super) struct Told(Sender<&'static str>);

pub(super) struct Hears(Receiver<&'static str>);

pub(super) fn told() -> (Told, Hears) {
    let (told, hears) = channel();
    (Told(told), Hears(hears))
}

impl Told {
    pub(super) fn say(&self, what: &'static str) {
        let _ = self.0.send(what);
    }

    /// Says it when the value is dropped.
    pub(super) fn at_drop(&self, what: &'static str) -> AtDrop {
        AtDrop(self.clone(), what)
    }
}

pub(super) struct AtDrop(Told, &'static str);

impl Drop for AtDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

impl Hears {
    #[track_caller]
    pub(super) fn next(&self) -> &'static str {
        self.0
            .recv_timeout(PATIENCE)
            .expect("a handler says something")
    }
}
