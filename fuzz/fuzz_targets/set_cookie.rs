//! `Set-Cookie` as a client reads it: what it takes can be sent back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::set_cookie::parse;

fuzz_target!(|field: &[u8]| {
    let Some(cookie) = parse(field) else {
        return;
    };
    assert!(!cookie.name.is_empty() && !cookie.name.contains([';', '=']));
    assert!(!cookie.value.contains(';'));
    let sent = format!("{}={}", cookie.name, cookie.value);
    assert!(!sent.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'), "{sent:?}");
    assert!(cookie.domain.is_none_or(|domain| !domain.is_empty()));
    assert!(cookie.path.is_none_or(|path| path.starts_with('/')));
    // What is sent back and set again is the same cookie.
    let again = parse(sent.as_bytes()).expect("a cookie");
    assert_eq!((again.name, again.value), (cookie.name, cookie.value));
});
