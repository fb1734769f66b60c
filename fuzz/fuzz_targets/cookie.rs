//! `Cookie` and `Set-Cookie`: nothing injects, and what is set is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::cookie::{SetCookie, pairs};

fuzz_target!(|wire: &[u8]| {
    for (name, value) in pairs(wire) {
        assert!(!name.contains([';', '=']), "{name:?}");
        assert!(!value.contains(';'), "{value:?}");
    }
    let Ok(text) = std::str::from_utf8(wire) else {
        return;
    };
    let mut words = text.splitn(4, '\n');
    let mut word = || words.next().unwrap_or_default();
    let (name, value) = (word(), word());
    let cookie = SetCookie::new(name, value).path(word()).domain(word());
    if let Ok(line) = cookie.to_header() {
        assert!(!line.bytes().any(|byte| byte < 0x20 || byte == 0x7f), "{line:?}");
        let pair = line.split(';').next().unwrap_or_default();
        assert_eq!(pairs(pair.as_bytes()).count(), 1, "{line:?}");
    }
});
