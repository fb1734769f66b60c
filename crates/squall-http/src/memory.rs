//! Where in a buffer the system reads fastest, and memory for the fields of answers.

use std::cell::RefCell;

use crate::wire::headers::Headers;

/// What a place has to be divisible by, in bytes.
///
/// Some processors copy three times slower to an address that lies a few bytes further in
/// its page than the source's does. The system's pages begin at their beginning; a large
/// allocation's first byte lies sixteen bytes behind one.
pub const ALIGNED: usize = 64;

/// The first such place in `bytes`, at most [`ALIGNED`] behind their begin.
pub fn aligned(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(ALIGNED).min(ALIGNED)
}

/// How many a thread keeps.
const KEPT: usize = 64;
/// Larger ones are freed rather than kept.
const LARGEST: usize = 4 << 10;

thread_local! {
    static FIELDS: RefCell<Vec<Headers>> = const { RefCell::new(Vec::new()) };
}

/// No fields, with the memory of earlier ones where there is some.
///
/// What a client has read an answer's head into, a server that passes it on gives back.
pub(crate) fn take_fields() -> Headers {
    let spare = FIELDS.try_with(|fields| fields.borrow_mut().pop());
    spare.ok().flatten().unwrap_or_default()
}

/// Takes the memory of fields back that are not needed any more.
pub(crate) fn give_fields(mut headers: Headers) {
    let size = headers.capacity();
    if size == 0 || size > LARGEST {
        return;
    }
    headers.clear();
    // On a thread that ends there is nothing to keep it for.
    let _ = FIELDS.try_with(|fields| {
        let mut fields = fields.borrow_mut();
        if fields.len() < KEPT {
            fields.push(headers);
        }
    });
}
