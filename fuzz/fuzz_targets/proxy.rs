//! PROXY headers: whatever comes, in whatever pieces, no panic and one answer.
//!
//! A proxy's word is believed, so it has to mean the same however it was cut: once a
//! header is read or refused, more bytes behind it change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::proxy::{Proxied, parse};

fuzz_target!(|wire: &[u8]| {
    let whole = parse(wire);
    if let Ok(Some((proxied, used))) = &whole {
        assert!((1..=wire.len()).contains(used));
        assert_eq!(parse(&wire[..*used]), whole, "what follows is not its own");
        assert_eq!(parse(&wire[..*used - 1]), Ok(None), "not a byte too many");
        if let Proxied::For(client) = proxied {
            assert!(client.to_string().parse::<std::net::SocketAddr>().is_ok());
        }
    }
    for cut in 0..wire.len() {
        let part = parse(&wire[..cut]);
        if part != Ok(None) {
            assert_eq!(part, whole, "cut at {cut}");
        }
    }
});
