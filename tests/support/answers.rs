//! Answers that are sent in many tests.

/// A whole answer, after which the connection stays.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
