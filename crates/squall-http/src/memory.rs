//! Memory to read into and for the fields of answers, between uses; and where in it the
//! system reads fastest.
//!
//! There is some per thread, so that idle connections have none. What is read into is kept
//! initialised, so that it need not be cleared for every read.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::wire::headers::Headers;

/// What a place has to be divisible by, in bytes.
///
/// Some processors copy three times slower to an address that lies a few bytes further in
/// its page than the source's does. The system's pages begin at their beginning; a large
/// allocation's first byte lies sixteen bytes behind one.
pub(crate) const ALIGNED: usize = 64;

/// The first such place in `bytes`, at most [`ALIGNED`] behind their begin.
pub(crate) fn aligned(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(ALIGNED).min(ALIGNED)
}

/// Requests in flight whose small things a thread keeps for the next ones: heads, timers,
/// what an exchange is done with.
pub(crate) const KEPT: usize = 256;
/// How many fields a thread keeps: those of a request that is passed on, and of its answer.
const KEPT_FIELDS: usize = 2 * KEPT;
/// Larger ones are freed rather than kept.
const LARGEST: usize = 4 << 10;
/// Up to this size a buffer is for heads.
const SMALL: usize = 16 << 10;
/// Above this size it is not kept.
const LARGE: usize = (512 << 10) + ALIGNED;
/// How many buffers of each kind a thread keeps.
const KEPT_BUFFERS: [usize; 2] = [16, 4];

thread_local! {
    static BUFFERS: RefCell<[Vec<Vec<u8>>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
    static FIELDS: RefCell<Vec<Headers>> = const { RefCell::new(Vec::new()) };
}

/// No fields, with the memory of earlier ones where there is some.
///
/// What a client has read an answer's head into, a server that passes it on gives back.
pub fn take_fields() -> Headers {
    let spare = FIELDS.try_with(|fields| fields.borrow_mut().pop());
    spare.ok().flatten().unwrap_or_default()
}

/// Takes the memory of fields back that are not needed any more.
pub fn give_fields(mut headers: Headers) {
    let size = headers.capacity();
    if size == 0 || size > LARGEST {
        return;
    }
    headers.clear();
    // On a thread that ends there is nothing to keep it for.
    let _ = FIELDS.try_with(|fields| {
        let mut fields = fields.borrow_mut();
        if fields.len() < KEPT_FIELDS {
            fields.push(headers);
        }
    });
}

fn kind(size: usize) -> usize {
    usize::from(size > SMALL)
}

/// At least `size` initialised bytes, of any value, behind the first place that is aligned.
pub(crate) fn take(size: usize) -> Vec<u8> {
    let size = size + ALIGNED;
    let spare = BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        buffers.get_mut(kind(size)).and_then(Vec::pop)
    });
    let mut bytes = spare.ok().flatten().unwrap_or_default();
    if bytes.len() < size {
        bytes = vec![0; size];
    }
    bytes
}

/// Takes memory back.
pub(crate) fn give(bytes: Vec<u8>) {
    if bytes.is_empty() || bytes.len() > LARGE {
        return;
    }
    let kind = kind(bytes.len());
    // On a thread that ends there is nothing to keep it for.
    let _ = BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        if let (Some(kept), Some(most)) = (buffers.get_mut(kind), KEPT_BUFFERS.get(kind))
            && kept.len() < *most
        {
            kept.push(bytes);
        }
    });
}

/// Memory to read into, which goes back to its thread when its last reader has dropped it.
pub struct Pooled(pub(crate) Vec<u8>);

impl Pooled {
    /// Memory with room for `size` bytes.
    pub fn with_room(size: usize) -> Self {
        Self(take(size))
    }

    /// The first `size` bytes of its room, of any value: no more than it was made for.
    pub fn room(&mut self, size: usize) -> &mut [u8] {
        let start = aligned(&self.0);
        self.0.get_mut(start..start + size).unwrap_or_default()
    }

    /// The first `len` bytes of its room, shared. Little of much is copied, so that it does
    /// not hold it all.
    pub fn share(self, len: usize) -> Bytes {
        let start = aligned(&self.0);
        self.share_part(start..start + len)
    }

    fn share_part(self, part: Range<usize>) -> Bytes {
        match part.len() > self.0.len() / 4 {
            true => Bytes::from_owner(self).slice(part),
            false => Bytes::copy_from_slice(self.0.get(part).unwrap_or_default()),
        }
    }
}

/// What was read into such memory, where it lies.
///
/// 32 bits are enough: larger memory holds no heads, and so no bodies that came with one.
pub(crate) struct Piece {
    memory: Pooled,
    part: [u32; 2],
}

impl Piece {
    pub(crate) fn new(memory: Vec<u8>, part: Range<usize>) -> Self {
        Self {
            memory: Pooled(memory),
            part: [part.start as u32, part.end as u32],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.part().len()
    }

    /// The same to be kept, see [`Pooled::share`].
    pub(crate) fn share(self) -> Bytes {
        let part = self.part();
        self.memory.share_part(part)
    }

    fn part(&self) -> Range<usize> {
        self.part[0] as usize..self.part[1] as usize
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.memory.0.get(self.part()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pooled({} bytes)", self.0.len())
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
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
        let kept = BUFFERS.with(|buffers| buffers.borrow().each_ref().map(Vec::len));
        assert_eq!(kept, KEPT_BUFFERS);
    }
}
