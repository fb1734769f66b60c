//! A multipart body, whole and in pieces: the same parts, or the same refusal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::multipart::{
    Event, MultipartLimits, MultipartParser, boundary_from_content_type,
};

/// Each part's name, file name and data; None: refused.
type Parts = Option<Vec<(String, Option<String>, Vec<u8>)>>;

fn parse(wire: &[u8], step: usize) -> Parts {
    let mut parser = MultipartParser::new("b", MultipartLimits::default()).ok()?;
    let (mut parts, mut start, mut end): (Vec<(_, _, Vec<u8>)>, _, _) = (Vec::new(), 0, 0);
    loop {
        match parser.next_event(&wire[start..end]).ok()? {
            Event::Part { consumed, head } => {
                start += consumed;
                parts.push((head.name, head.filename, Vec::new()));
            }
            Event::Data { len } => {
                assert!(len > 0);
                let part = parts.last_mut().expect("data belongs to a part");
                part.2.extend_from_slice(&wire[start..start + len]);
                start += len;
            }
            Event::PartEnd { consumed } | Event::End { consumed } => start += consumed,
            Event::NeedMore { consumed } => {
                start += consumed;
                if end == wire.len() {
                    return parser.finish().ok().map(|()| parts);
                }
                end = (end + step).min(wire.len());
            }
        }
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, wire) = (usize::from(input.0) + 1, input.1);
    assert_eq!(parse(wire, usize::MAX / 2), parse(wire, step));
    if let Ok(value) = std::str::from_utf8(wire)
        && let Ok(boundary) = boundary_from_content_type(value)
    {
        assert!((1..=70).contains(&boundary.len()), "RFC 2046 section 5.1.1");
    }
});
