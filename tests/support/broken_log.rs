//! A log that cannot be written, and says so with a panic, as many a subscriber does whose
//! stderr is gone.

use std::mem::forget;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// From now on, whatever the calling thread logs panics. For a loop's thread, which ends
/// with its test.
pub fn break_log() {
    forget(tracing::subscriber::set_default(Broken));
}

struct Broken;

impl Subscriber for Broken {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        panic!("a line for {} cannot be written", event.metadata().target());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
