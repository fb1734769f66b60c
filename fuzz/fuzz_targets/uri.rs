//! Targets, paths and authorities.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use squall_http::wire::{target, uri};

fuzz_target!(|wire: &[u8]| {
    target::is_authority(wire);
    let Ok(text) = std::str::from_utf8(wire) else {
        return;
    };
    for method in [Method::GET, Method::OPTIONS, Method::CONNECT] {
        if target::check(&method, text).is_ok() {
            assert!(target::check_bytes(text).is_ok());
        }
    }
    if target::check(&Method::GET, text).is_ok() && text.starts_with('/') {
        assert!(text.parse::<http::Uri>().is_ok(), "{text:?}");
    }
    let (path, _) = uri::split(text);
    for segment in uri::segments(path) {
        let Ok(decoded) = uri::decode_segment(segment) else {
            continue;
        };
        let encoded = uri::encode_segment(&decoded);
        assert_eq!(uri::decode_segment(&encoded).as_deref(), Ok(&*decoded));
        if uri::is_safe_file_segment(&decoded) {
            assert!(!decoded.contains(['/', '\\', '\0']), "{decoded:?}");
            assert!(decoded != "." && decoded != "..");
        }
    }
});
