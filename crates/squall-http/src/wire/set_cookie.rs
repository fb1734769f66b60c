//! `Set-Cookie` as a client reads it (RFC 6265bis section 5.6).
//!
//! Servers write what they like; this is the algorithm by which browsers make sense of
//! it. What it says about whether to keep the cookie is the jar's part.

use std::time::{Duration, SystemTime};

/// The longest name with its value, in bytes (RFC 6265bis section 5.6).
const MAX_PAIR: usize = 4096;
/// The longest value of an attribute that is not ignored, in bytes.
const MAX_ATTRIBUTE: usize = 1024;

/// A cookie as a server has sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedCookie<'a> {
    /// The name; never empty.
    pub name: &'a str,
    /// The value, with the quotes around it if there are any.
    pub value: &'a str,
    /// The `Domain`, without a leading dot; `None` where there is none or it is empty.
    pub domain: Option<&'a str>,
    /// The `Path`; `None` where there is none or it does not begin with `/`.
    pub path: Option<&'a str>,
    /// The `Max-Age`; zero for what is not positive.
    pub max_age: Option<Duration>,
    /// The `Expires`.
    pub expires: Option<SystemTime>,
    /// Whether `Secure` is there.
    pub secure: bool,
    /// Whether `HttpOnly` is there.
    pub http_only: bool,
}

/// Reads the value of one `Set-Cookie` field; `None` is a cookie to be ignored.
///
/// Ignored are cookies with a control character, without a name, with more than 4096
/// bytes of name and value, or that are not UTF-8. Attributes of more than 1024 bytes
/// are ignored, and of several with one name all but the last.
pub fn parse(field: &[u8]) -> Option<ReceivedCookie<'_>> {
    let field = std::str::from_utf8(field).ok()?;
    if field
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return None;
    }
    let (pair, attributes) = field.split_once(';').unwrap_or((field, ""));
    let (name, value) = pair.split_once('=')?;
    let (name, value) = (name.trim_matches(BLANK), value.trim_matches(BLANK));
    if name.is_empty() || name.len() + value.len() > MAX_PAIR {
        return None;
    }
    let mut cookie = ReceivedCookie {
        name,
        value,
        domain: None,
        path: None,
        max_age: None,
        expires: None,
        secure: false,
        http_only: false,
    };
    for attribute in attributes.split(';') {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let (name, value) = (name.trim_matches(BLANK), value.trim_matches(BLANK));
        if value.len() <= MAX_ATTRIBUTE {
            cookie.attribute(name, value);
        }
    }
    Some(cookie)
}

const BLANK: [char; 2] = [' ', '\t'];

impl<'a> ReceivedCookie<'a> {
    fn attribute(&mut self, name: &str, value: &'a str) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("domain") {
            let bare = value.strip_prefix('.').unwrap_or(value);
            self.domain = Some(bare).filter(|domain| !domain.is_empty());
        } else if is("path") {
            self.path = Some(value).filter(|path| path.starts_with('/'));
        } else if is("max-age") {
            self.max_age = max_age(value).or(self.max_age);
        } else if is("expires") {
            self.expires = cookie_date(value).or(self.expires);
        } else if is("secure") {
            self.secure = true;
        } else if is("httponly") {
            self.http_only = true;
        }
    }
}

/// Seconds; more than can be counted are as many as can be.
fn max_age(value: &str) -> Option<Duration> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = match value.starts_with('-') {
        true => 0,
        false => digits.parse().unwrap_or(u64::MAX),
    };
    Some(Duration::from_secs(seconds))
}

/// The date in any of the forms that servers write (RFC 6265bis section 5.1.1).
fn cookie_date(text: &str) -> Option<SystemTime> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        if time.is_none()
            && let Some(found) = time_of_day(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none() {
            year = number(token, 2, 4);
        }
    }
    let (hour, minute, second) = time?;
    let (day, month) = (day?, month?);
    let year = match year? {
        two @ 70..=99 => two + 1900,
        two @ 0..=69 => two + 2000,
        four => four,
    };
    let valid = (1..=31).contains(&day) && year >= 1601;
    if !valid || hour > 23 || minute > 59 || second > 59 || day > days_in(month, year) {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let seconds = days * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    // What is before 1970 has ended all the same.
    let seconds = u64::try_from(seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn is_delimiter(char: char) -> bool {
    matches!(char, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~')
}

/// `hh:mm:ss`, with anything that is no digit behind it.
fn time_of_day(token: &str) -> Option<(u32, u32, u32)> {
    let mut fields = token.splitn(3, ':');
    let hour = whole(fields.next()?, 1, 2)?;
    let minute = whole(fields.next()?, 1, 2)?;
    let second = number(fields.next()?, 1, 2)?;
    Some((hour, minute, second))
}

/// A number of so many digits at the beginning, with no digit behind them.
fn number(token: &str, least: usize, most: usize) -> Option<u32> {
    let digits = token.bytes().take_while(u8::is_ascii_digit).count();
    whole(token.get(..digits)?, least, most)
}

fn whole(digits: &str, least: usize, most: usize) -> Option<u32> {
    let fits = (least..=most).contains(&digits.len());
    (fits && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// From 1, by the first three letters.
fn month_of(token: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let start = token.get(..3)?;
    let index = (MONTHS.iter()).position(|month| start.eq_ignore_ascii_case(month))?;
    u32::try_from(index + 1).ok()
}

fn days_in(month: u32, year: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// In the proleptic Gregorian calendar, by years that begin in March.
fn days_since_1970(year: u32, month: u32, day: u32) -> i64 {
    let (year, month) = match month {
        1 | 2 => (i64::from(year) - 1, i64::from(month) + 9),
        _ => (i64::from(year), i64::from(month) - 3),
    };
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Option<u64> {
        let since = cookie_date(text)?.duration_since(SystemTime::UNIX_EPOCH);
        since.ok().map(|since| since.as_secs())
    }

    #[test]
    fn dates_in_every_form_that_servers_write() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("6 november 1994 8:49:37", Some(784_111_777)),
            ("Thu, 01-Jan-70 00:00:00", Some(0)),
            ("Mon, 29 Feb 2024 12:00:00 GMT", Some(1_709_208_000)),
            ("Tue, 19 Jan 2038 03:14:08 GMT", Some(2_147_483_648)),
            ("31 Dec 1969 23:59:59", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Wed, 30 Feb 2022 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994", None),
            ("08:49:37 Nov 1994", None),
            ("Sun, 06 Nov 1600 08:49:37", None),
            ("Sun, 06 Nov 1994 24:00:00", None),
            ("Sun, 06 Nov 1994 08:60:00", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(date(text), seconds, "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_another_library() {
        for day in (0..80_000).step_by(37) {
            let seconds = day * 86_400 + 3_661;
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(date(&httpdate::fmt_http_date(time)), Some(seconds));
        }
    }

    #[test]
    fn the_last_of_several_attributes_counts() {
        let cookie =
            parse(b" k = v ; Path=/a; path=/b; Domain=.A.test; Max-Age=1; max-age=x; SECURE")
                .expect("a cookie");
        assert_eq!((cookie.name, cookie.value), ("k", "v"));
        assert_eq!((cookie.path, cookie.domain), (Some("/b"), Some("A.test")));
        assert_eq!(cookie.max_age, Some(Duration::from_secs(1)));
        assert!(cookie.secure && !cookie.http_only);
    }

    #[test]
    fn what_is_ignored() {
        for field in ["", "k", "=v", "k=a\u{1}b", "k=v; Path=/\u{7f}", ";k=v"] {
            assert_eq!(parse(field.as_bytes()), None, "{field:?}");
        }
        assert_eq!(parse(b"k=\xff"), None);
        assert_eq!(parse(format!("k={}", "v".repeat(4096)).as_bytes()), None);
        assert!(parse(format!("k={}", "v".repeat(4095)).as_bytes()).is_some());
        let long = format!("k=v; Path=/{}", "a".repeat(1024));
        assert_eq!(parse(long.as_bytes()).and_then(|cookie| cookie.path), None);
    }

    #[test]
    fn lifetimes_beyond_counting() {
        let life = |value: &str| {
            let field = format!("k=v; Max-Age={value}");
            parse(field.as_bytes()).and_then(|cookie| cookie.max_age)
        };
        assert_eq!(
            life("99999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        assert_eq!(life("-1"), Some(Duration::ZERO));
        assert_eq!(life("0"), Some(Duration::ZERO));
        assert_eq!(life("1.5"), None);
        assert_eq!(life("+5"), None);
        assert_eq!(life("-"), None);
    }
}
