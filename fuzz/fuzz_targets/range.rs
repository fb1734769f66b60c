//! `Range`: what is resolved lies inside, and is never more than the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::range::{Ranges, resolve};

fuzz_target!(|input: (u64, &[u8])| {
    let (len, value) = input;
    if let Ranges::Parts(parts) = resolve(value, len, 16) {
        assert!((1..=16).contains(&parts.len()));
        assert!(parts.iter().all(|part| part.start < part.end && part.end <= len));
        let total: u128 = parts.iter().map(|part| u128::from(part.end - part.start)).sum();
        assert!(total <= u128::from(len));
    }
});
