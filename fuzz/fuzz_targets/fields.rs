//! What is read out of a head's fields: codings, preconditions, dates, proxies' words.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};

use http::Method;
use libfuzzer_sys::fuzz_target;
use squall_http::wire::coding::{Coding, content_codings, prefer};
use squall_http::wire::conditional::{Validators, Verdict, allows_range, evaluate};
use squall_http::wire::forwarded::{ForwardedBy, told};
use squall_http::wire::head::{HeadLimits, RequestHead};
use squall_http::wire::{TrustedPeers, date, framing, parse_request, target};

fuzz_target!(|wire: &[u8]| {
    let mut head = RequestHead::default();
    let wire = [b"GET / HTTP/1.1\r\nHost: a\r\n", wire, b"\r\n\r\n"].concat();
    let Ok(Some(_)) = parse_request(&wire, &HeadLimits::default(), &mut head) else {
        return;
    };
    let headers = &head.headers;

    if let Ok(codings) = content_codings(headers, 3) {
        assert!(codings.len() <= 3);
    }
    if let Some(coding) = prefer(headers, &[Coding::Gzip, Coding::Br]).coding {
        assert!(matches!(coding, Coding::Gzip | Coding::Br));
        assert!(headers.contains("accept-encoding"));
    }

    let validators = Validators { etag: Some("\"a\""), modified: None };
    let verdict = evaluate(&Method::GET, headers, &validators);
    let asked = ["if-match", "if-none-match"].iter().any(|name| headers.contains(name));
    assert!(verdict == Verdict::Proceed || asked, "{verdict:?}");
    assert!(allows_range(headers, &validators) || headers.contains("if-range"));
    let _ = framing::expects_continue(&head);

    for (_, value) in headers.iter() {
        if let Some(time) = std::str::from_utf8(value).ok().and_then(date::parse) {
            let written = date::format(time);
            let read = std::str::from_utf8(&written).ok().and_then(date::parse);
            assert_eq!(read.map(date::format), Some(written));
        }
    }

    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1)).into();
    let trusted = TrustedPeers::new(["127.0.0.1", "10.0.0.0/8"]).expect("valid networks");
    for by in [ForwardedBy::XForwarded, ForwardedBy::Forwarded] {
        let said = told(headers, peer, &trusted, by);
        assert!(said.host.is_none_or(|host| target::is_authority(host.as_bytes())));
        let unknown = SocketAddr::from((Ipv4Addr::BROADCAST, 1)).into();
        let said = told(headers, unknown, &trusted, by);
        assert_eq!((said.client, said.https, said.host), (unknown, None, None));
    }
});
