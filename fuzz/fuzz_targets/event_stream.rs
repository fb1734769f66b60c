//! Server-sent events, whole and in pieces: the same events, none larger than it may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::event_stream::{Event, EventStreamParser};

const LIMIT: usize = 256;

/// The events, and whether all of the stream was read.
fn read(wire: &[u8], step: usize) -> (Vec<Event>, bool) {
    let (mut parser, mut events) = (EventStreamParser::new(LIMIT, "first"), Vec::new());
    let whole = wire.chunks(step).all(|piece| parser.feed(piece, &mut events).is_ok());
    assert!(!whole || !parser.last_id().contains(['\r', '\n', '\0']));
    (events, whole)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, wire) = (usize::from(input.0) + 1, input.1);
    let (events, whole) = read(wire, usize::MAX);
    for event in &events {
        // What is no UTF-8 becomes three bytes for one.
        assert!(event.data.len() <= 3 * LIMIT && event.id.len() <= 3 * LIMIT);
        assert!(!event.data.contains('\r') && !event.event.contains(['\r', '\n']));
    }
    assert_eq!((events, whole), read(wire, step));
});
