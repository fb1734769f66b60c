//! HTTP dates: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
//!
//! Written as IMF-fixdate only; read in all three forms the RFC asks recipients to know.
//! The clock stays outside: callers pass the time, and cache the text for a second.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of an IMF-fixdate.
pub const DATE_BYTES: usize = 29;

/// Last second of the year 9999, the last one that can be written.
const LAST: u64 = 253_402_300_799;

/// Writes a time as IMF-fixdate. Times outside 1970 to 9999 become the nearest one inside.
pub fn format(time: SystemTime) -> [u8; DATE_BYTES] {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    let mut text = [b' '; DATE_BYTES];
    // The formatted date has exactly `DATE_BYTES`, so the slice cannot be too short.
    let _ = write!(text.as_mut_slice(), "{}", httpdate::HttpDate::from(time));
    text
}

/// Reads a date in any of the three forms; `None` if it is none.
pub fn parse(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads() {
        let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(&format(time), b"Sun, 06 Nov 1994 08:49:37 GMT");
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(time), "{text}");
        }
        for text in [
            "",
            "0",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn clamps() {
        assert_eq!(
            &format(UNIX_EPOCH - Duration::from_secs(1)),
            b"Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert_eq!(
            &format(UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) << 8)),
            b"Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }
}
