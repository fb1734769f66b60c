//! Forms and queries: what is decoded and encoded again is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::form::{encode, parse};

fuzz_target!(|wire: &[u8]| {
    let Ok(pairs) = parse(wire, 1_000) else {
        return;
    };
    let again = encode(pairs.iter().map(|(name, value)| (name, value)));
    assert_eq!(parse(again.as_bytes(), 1_000).as_ref(), Ok(&pairs));
});
