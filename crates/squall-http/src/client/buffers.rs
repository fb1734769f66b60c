//! Memory to read into, between uses: some per thread, so that idle connections have none.
//!
//! It is kept initialised, so that it need not be cleared for every read. What requests'
//! heads are written into is kept apart, and empty.

use std::cell::RefCell;

use crate::memory::{ALIGNED, give_fields, take_fields};
use crate::wire::head::ResponseHead;

/// Up to this size it is for heads.
const SMALL: usize = 16 << 10;
/// Above this size it is not kept.
const LARGE: usize = (512 << 10) + ALIGNED;
/// A head's memory is kept up to this size.
const LARGE_HEAD: usize = 4 << 10;
/// How many of each kind a thread keeps.
const KEPT: [usize; 2] = [16, 4];

thread_local! {
    static SPARES: RefCell<[Vec<Vec<u8>>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
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
        if heads.len() < KEPT[0] {
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

fn kind(size: usize) -> usize {
    usize::from(size > SMALL)
}

/// At least `size` initialised bytes, of any value, behind the first place that is aligned.
pub(super) fn take(size: usize) -> Vec<u8> {
    let size = size + ALIGNED;
    let spare = SPARES.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        spares.get_mut(kind(size)).and_then(Vec::pop)
    });
    let mut bytes = spare.ok().flatten().unwrap_or_default();
    if bytes.len() < size {
        bytes = vec![0; size];
    }
    bytes
}

/// Takes memory back.
pub(super) fn give(bytes: Vec<u8>) {
    if bytes.is_empty() || bytes.len() > LARGE {
        return;
    }
    let kind = kind(bytes.len());
    // On a thread that ends there is nothing to keep it for.
    let _ = SPARES.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        if let (Some(kept), Some(most)) = (spares.get_mut(kind), KEPT.get(kind))
            && kept.len() < *most
        {
            kept.push(bytes);
        }
    });
}

/// Memory that goes back when its last reader has dropped it.
pub(super) struct Pooled(pub(super) Vec<u8>);

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn memory_comes_back_once_nobody_reads_it() {
        let bytes = take(64 << 10);
        let at = bytes.as_ptr();
        let whole = Bytes::from_owner(Pooled(bytes));
        let part = whole.slice(10..20);
        drop(whole);
        let other = take(64 << 10);
        assert_ne!(other.as_ptr(), at);
        drop(part);
        let again = take(64 << 10);
        assert_eq!(again.as_ptr(), at);
    }

    #[test]
    fn a_thread_keeps_a_few_of_each_kind() {
        for size in [8 << 10, 64 << 10, 1 << 20] {
            for _ in 0..100 {
                give(vec![0; size]);
            }
        }
        let kept = SPARES.with(|spares| spares.borrow().each_ref().map(Vec::len));
        assert_eq!(kept, KEPT);
    }
}
