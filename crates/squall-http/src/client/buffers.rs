//! Memory for heads, between uses: some per thread, so that idle connections have none.

use std::cell::RefCell;

use crate::memory::{give_fields, take_fields};
use crate::wire::head::ResponseHead;

/// A head's memory is kept up to this size.
const LARGE_HEAD: usize = 4 << 10;
/// How many a thread keeps.
const KEPT: usize = 16;

thread_local! {
    static HEADS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Room to write a head into.
pub(super) fn take_head() -> Vec<u8> {
    let spare = HEADS.try_with(|heads| heads.borrow_mut().pop());
    spare.ok().flatten().unwrap_or_default()
}

/// Takes the memory of a head back.
pub(super) fn give_head(mut head: Vec<u8>) {
    if head.capacity() == 0 || head.capacity() > LARGE_HEAD {
        return;
    }
    head.clear();
    let _ = HEADS.try_with(|heads| {
        let mut heads = heads.borrow_mut();
        if heads.len() < KEPT {
            heads.push(head);
        }
    });
}

/// An empty head to parse into.
pub(super) fn take_answer() -> ResponseHead {
    let mut head = ResponseHead::new();
    head.headers = take_fields();
    head
}

/// Takes the memory of an answer's head back, for the next answer on this thread.
pub fn recycle(head: ResponseHead) {
    give_fields(head.headers);
}
