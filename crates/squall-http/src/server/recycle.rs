//! Memory that goes from one request to the next on a thread.
//!
//! Heads and buffers live for one request; a small pool per thread saves their
//! allocation, and lets an idle connection hold no buffer at all.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::wire::head::RequestHead;

/// Things of each kind that a thread keeps.
const KEPT: usize = 64;
/// A buffer's size when it is new.
pub(super) const BUFFER: usize = 16 << 10;
/// Larger ones are freed rather than kept.
const LARGEST: usize = 64 << 10;

thread_local! {
    static HEADS: RefCell<Vec<RequestHead>> = const { RefCell::new(Vec::new()) };
    static READ_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static WRITE_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A request head that returns to its thread's pool.
#[derive(Debug)]
pub(crate) struct HeadBox(RequestHead);

impl HeadBox {
    pub(super) fn take() -> Self {
        Self(HEADS.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    /// A head without memory, to leave in the place of another.
    pub(super) fn empty() -> Self {
        Self(RequestHead::default())
    }
}

impl Deref for HeadBox {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.0
    }
}

impl DerefMut for HeadBox {
    fn deref_mut(&mut self) -> &mut RequestHead {
        &mut self.0
    }
}

impl Drop for HeadBox {
    fn drop(&mut self) {
        HEADS.with_borrow_mut(|pool| {
            // A head that was moved out left an empty one behind.
            if pool.len() < KEPT && !self.0.target().is_empty() {
                let mut head = std::mem::take(&mut self.0);
                head.clear();
                pool.push(head);
            }
        });
    }
}

/// A full-length buffer to read into.
pub(super) fn take_read_buffer() -> Vec<u8> {
    READ_BUFFERS
        .with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| vec![0; BUFFER])
}

pub(super) fn give_read_buffer(buffer: Vec<u8>) {
    if buffer.len() == BUFFER {
        give(&READ_BUFFERS, buffer);
    }
}

/// An empty buffer to write heads and small bodies into.
pub(super) fn take_write_buffer() -> Vec<u8> {
    WRITE_BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub(super) fn give_write_buffer(mut buffer: Vec<u8>) {
    buffer.clear();
    if buffer.capacity() <= LARGEST {
        give(&WRITE_BUFFERS, buffer);
    }
}

fn give(pool: &'static std::thread::LocalKey<RefCell<Vec<Vec<u8>>>>, buffer: Vec<u8>) {
    pool.with_borrow_mut(|pool| {
        if pool.len() < KEPT {
            pool.push(buffer);
        }
    });
}
