//! A response head, whole and in pieces.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use squall_http::wire::framing::response_body;
use squall_http::wire::head::{HeadLimits, ResponseHead, parse_response};

fuzz_target!(|input: (u8, &[u8])| {
    let (step, wire) = (usize::from(input.0) + 1, input.1);
    let limits = HeadLimits::default();
    let mut whole = ResponseHead::new();
    let parsed = parse_response(wire, &limits, &mut whole);

    let mut pieces = ResponseHead::new();
    let mut end = 0;
    let in_pieces = loop {
        end = (end + step).min(wire.len());
        match parse_response(&wire[..end], &limits, &mut pieces) {
            Ok(None) if end < wire.len() => {}
            result => break result,
        }
    };
    if let (Ok(Some(used)), Ok(Some(also))) = (parsed, in_pieces) {
        assert_eq!(used, also);
        assert_eq!(whole.status, pieces.status);
        assert!(whole.headers.iter().eq(pieces.headers.iter()));
        for method in [Method::GET, Method::HEAD, Method::CONNECT] {
            let _ = response_body(&method, &whole);
        }
        for (_, value) in whole.headers.iter() {
            assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }
    }
    let complete = |parsed| matches!(parsed, Ok(Some(_)));
    let refused = parsed.is_err() || in_pieces.is_err();
    assert!(complete(parsed) == complete(in_pieces) || refused);
});
