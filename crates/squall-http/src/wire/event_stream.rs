//! Server-sent events as a client reads them (the HTML standard, section 9.2.6).

use std::time::Duration;

use super::field::is_value_byte;

/// A longer id could fill the head that it is sent back in.
const MAX_ID: usize = 4 << 10;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind it is: `message` unless the server says otherwise.
    pub event: String,
    /// Its data; several lines are joined by `\n`.
    pub data: String,
    /// The id of this or of the last event that had one; may be empty. One that a header
    /// cannot carry back (with controls in it, or of more than 4 KiB) is none.
    pub id: String,
}

/// An event is larger than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTooLarge {
    /// The limit, in bytes.
    pub limit: usize,
}

impl std::fmt::Display for EventTooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = self.limit;
        write!(
            f,
            "an event is larger than {limit} bytes (setting: max_event_size)"
        )
    }
}

impl std::error::Error for EventTooLarge {}

/// Reads a stream of events, in pieces of any size.
#[derive(Debug, Default)]
pub struct EventStreamParser {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// A line ended with CR, so that an LF belongs to it.
    after_cr: bool,
    begun: bool,
    event: String,
    data: String,
    has_data: bool,
    /// The last id that was read; it counts when its event is complete.
    id: String,
    last_id: String,
    retry: Option<Duration>,
    limit: usize,
}

impl EventStreamParser {
    /// A parser for a new stream, in which an event may have `limit` bytes.
    ///
    /// `last_id` is the id that the stream was asked to go on from; may be empty.
    pub fn new(limit: usize, last_id: impl Into<String>) -> Self {
        let id = last_id.into();
        Self {
            last_id: id.clone(),
            id,
            limit,
            ..Self::default()
        }
    }

    /// The last complete event's id, for `Last-Event-ID`; may be empty.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// How long the server wants a client to wait before it comes again; told once.
    pub fn take_retry(&mut self) -> Option<Duration> {
        self.retry.take()
    }

    /// Reads a piece of the stream; complete events go to `events`.
    ///
    /// An event that is not complete at the end of the stream is none.
    ///
    /// # Errors
    /// When an event is larger than the limit.
    pub fn feed(&mut self, piece: &[u8], events: &mut Vec<Event>) -> Result<(), EventTooLarge> {
        let mut rest = piece;
        while let Some((&first, behind)) = rest.split_first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = behind;
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
                self.keep(rest)?;
                return Ok(());
            };
            let (line, behind) = rest.split_at(end);
            self.keep(line)?;
            self.after_cr = behind.first() == Some(&b'\r');
            rest = behind.get(1..).unwrap_or_default();
            let line = std::mem::take(&mut self.line);
            events.extend(self.line_ended(&line));
            self.line = line;
            self.line.clear();
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        if self.data.len() + self.line.len() + bytes.len() > self.limit {
            return Err(EventTooLarge { limit: self.limit });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line_ended(&mut self, line: &[u8]) -> Option<Event> {
        // One mark of the encoding may stand before the first line.
        let line = match std::mem::replace(&mut self.begun, true) {
            true => line,
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
        };
        if line.is_empty() {
            return self.dispatch();
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" if value.len() <= MAX_ID && value.bytes().all(is_value_byte) => {
                value.clone_into(&mut self.id)
            }
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
            }
            _ => {} // A comment, or nothing that we know.
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.last_id.clone_from(&self.id);
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        std::mem::take(&mut self.has_data).then(|| Event {
            event: if event.is_empty() {
                "message".to_owned()
            } else {
                event
            },
            data,
            id: self.last_id.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events as `event|data|id`, in pieces of every size.
    fn read(stream: &str) -> Vec<String> {
        let whole = read_in(stream, stream.len());
        for size in 1..stream.len() {
            assert_eq!(read_in(stream, size), whole, "{size}");
        }
        whole
    }

    fn read_in(stream: &str, size: usize) -> Vec<String> {
        let mut parser = EventStreamParser::new(1000, "");
        let mut events = Vec::new();
        for piece in stream.as_bytes().chunks(size.max(1)) {
            parser.feed(piece, &mut events).unwrap();
        }
        let told = events
            .iter()
            .map(|event| format!("{}|{}|{}", event.event, event.data, event.id));
        told.collect()
    }

    #[test]
    fn streams_of_the_standard() {
        for (stream, expected) in [
            ("data: a\n\n", &["message|a|"][..]),
            ("data:a\r\rdata: b\r\n\r\n", &["message|a|", "message|b|"]),
            ("data: YHOO\ndata: +2\ndata:\n\n", &["message|YHOO\n+2\n|"]),
            (
                ": comment\n\ndata: a\nid: 1\n\ndata: b\nid\n\ndata:  c\n\n",
                &["message|a|1", "message|b|", "message| c|"],
            ),
            ("data\n\ndata\ndata\n\ndata:", &["message||", "message|\n|"]),
            (
                "data:test\n\ndata: test\n\n",
                &["message|test|", "message|test|"],
            ),
            (
                "event: add\ndata: 7\n\nevent: none\n\ndata: x\n\n",
                &["add|7|", "message|x|"],
            ),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &["message|a|"]),
            ("id: a\0b\ndata: x\n\n", &["message|x|"]),
            (
                "id: 1\ndata: a\n\nid: 2\u{1}\ndata: b\n\nid: \u{7f}\ndata: c\n\n",
                &["message|a|1", "message|b|1", "message|c|1"],
            ),
            ("nonsense\nretry: x\ndata: x\n\n", &["message|x|"]),
        ] {
            assert_eq!(read(stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn the_server_says_when_to_come_again() {
        let mut parser = EventStreamParser::new(100, "7");
        parser.feed(b"retry: 250\n\n", &mut Vec::new()).unwrap();
        assert_eq!(parser.take_retry(), Some(Duration::from_millis(250)));
        assert_eq!(parser.take_retry(), None);
        assert_eq!(parser.last_id(), "7");
    }

    #[test]
    fn an_event_that_is_cut_off_does_not_count_as_had() {
        let mut parser = EventStreamParser::new(100, "");
        let mut last = |piece: &[u8]| {
            parser.feed(piece, &mut Vec::new()).unwrap();
            parser.last_id().to_owned()
        };
        assert_eq!(last(b"id: 1\ndata: a\n\nid: 2\ndata: b\n"), "1");
        assert_eq!(last(b"\nid: 3\n"), "2");
        // An id without data is one all the same.
        assert_eq!(last(b"\n"), "3");
    }

    #[test]
    fn an_id_is_no_longer_than_a_head_can_carry() {
        for (len, kept) in [(MAX_ID, MAX_ID), (MAX_ID + 1, 0)] {
            let mut parser = EventStreamParser::new(2 * MAX_ID, "");
            let stream = format!("id: {}\n\n", "x".repeat(len));
            parser.feed(stream.as_bytes(), &mut Vec::new()).unwrap();
            assert_eq!(parser.last_id().len(), kept);
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = EventStreamParser::new(100, "");
        let mut feed = |piece: &[u8]| parser.feed(piece, &mut Vec::new());
        for _ in 0..9 {
            feed(b"data: 89\n").unwrap();
        }
        assert_eq!(feed(&[b'x'; 100]), Err(EventTooLarge { limit: 100 }));
    }
}
