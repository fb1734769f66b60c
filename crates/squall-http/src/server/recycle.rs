//! Memory that goes from one request to the next on a thread.
//!
//! Heads and buffers live for one request; a small pool per thread saves their
//! allocation, and lets an idle connection hold no buffer at all.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::memory::KEPT;
use crate::wire::head::RequestHead;

/// Buffers of each kind that a thread keeps.
const KEPT_BUFFERS: usize = 64;
/// A buffer's size when it is new.
pub(super) const BUFFER: usize = 16 << 10;
/// Larger ones are freed rather than kept.
const LARGEST: usize = 64 << 10;

thread_local! {
    // Boxed: a head is moved many times between the wire and its handler.
    #[allow(clippy::vec_box)]
    static HEADS: RefCell<Vec<Box<RequestHead>>> = const { RefCell::new(Vec::new()) };
    static READ_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static WRITE_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A request head that returns to its thread's pool.
#[derive(Debug)]
pub(crate) struct HeadBox(Option<Box<RequestHead>>);

impl HeadBox {
    pub(super) fn take() -> Self {
        Self(Some(HEADS.with_borrow_mut(Vec::pop).unwrap_or_default()))
    }
}

impl Deref for HeadBox {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        match &self.0 {
            Some(head) => head,
            None => unreachable!("only its drop takes the head out"),
        }
    }
}

impl DerefMut for HeadBox {
    fn deref_mut(&mut self) -> &mut RequestHead {
        match &mut self.0 {
            Some(head) => head,
            None => unreachable!("only its drop takes the head out"),
        }
    }
}

impl Drop for HeadBox {
    fn drop(&mut self) {
        let Some(mut head) = self.0.take() else {
            return;
        };
        HEADS.with_borrow_mut(|pool| {
            if pool.len() < KEPT {
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
        if pool.len() < KEPT_BUFFERS {
            pool.push(buffer);
        }
    });
}
