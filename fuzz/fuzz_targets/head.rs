//! A request head, whole and in pieces: the same result, and no way to disagree with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::framing::{expects_continue, request_body};
use squall_http::wire::head::{HeadLimits, RequestHead, parse_request};

fuzz_target!(|input: (u8, &[u8])| {
    let (step, wire) = (usize::from(input.0) + 1, input.1);
    let limits = HeadLimits::default();
    let mut whole = RequestHead::new();
    let parsed = parse_request(wire, &limits, &mut whole);

    let mut pieces = RequestHead::new();
    let mut end = 0;
    let in_pieces = loop {
        end = (end + step).min(wire.len());
        match parse_request(&wire[..end], &limits, &mut pieces) {
            Ok(None) if end < wire.len() => {}
            result => break result,
        }
    };
    match (parsed, in_pieces) {
        (Ok(Some(used)), Ok(Some(also))) => {
            assert_eq!(used, also);
            assert!(used <= wire.len());
            assert_eq!(whole.target(), pieces.target());
            assert_eq!(whole.method, pieces.method);
            assert!(whole.headers.iter().eq(pieces.headers.iter()));
        }
        // A limit may be passed in one piece and noticed earlier, or later, in several.
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
        (Err(_), Ok(None)) | (Ok(None), Err(_)) => {}
        (whole, pieces) => panic!("{whole:?} in one piece, {pieces:?} in pieces of {step}"),
    }
    if !matches!(parsed, Ok(Some(_))) {
        return;
    }
    let _ = (whole.path(), whole.query(), whole.host(), whole.keep_alive());
    let _ = (request_body(&whole), expects_continue(&whole));
    assert!(whole.target().bytes().all(|byte| (0x21..0x7f).contains(&byte)));
    for (name, value) in whole.headers.iter() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
});
