//! `Range` and `Content-Range`: which bytes of a representation are asked for.
//!
//! RFC 9110 section 14. A field that is malformed, or asks for more work than it is
//! worth, is ignored and the whole representation is sent, as section 14.2 allows.

use std::ops::Range;

/// What a `Range` field comes to for a representation of a known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// The field says nothing that is understood: send the whole.
    Whole,
    /// It names no byte that exists: 416.
    Unsatisfiable,
    /// It names these bytes, in its order; never none.
    Parts(Vec<Range<u64>>),
}

/// Reads the value of a `Range` field.
///
/// More than `max` ranges, or ranges that overlap so far that they add up to more than
/// the whole, are ignored, so that a short field cannot ask for a long answer.
///
/// ```
/// use squall_http::wire::range::{Ranges, resolve};
///
/// assert_eq!(resolve(b"bytes=0-4, -1", 10, 16), Ranges::Parts(vec![0..5, 9..10]));
/// assert_eq!(resolve(b"bytes=10-", 10, 16), Ranges::Unsatisfiable);
/// assert_eq!(resolve(b"lines=1-2", 10, 16), Ranges::Whole);
/// ```
pub fn resolve(value: &[u8], len: u64, max: usize) -> Ranges {
    let Some(list) = std::str::from_utf8(value).ok().and_then(after_unit) else {
        return Ranges::Whole;
    };
    let (mut parts, mut specs, mut total) = (Vec::new(), 0, 0_u128);
    for spec in list.split(',').map(|spec| spec.trim_matches([' ', '\t'])) {
        if spec.is_empty() {
            continue;
        }
        specs += 1;
        let Some(part) = part(spec, len).filter(|_| specs <= max) else {
            return Ranges::Whole;
        };
        if !part.is_empty() {
            total += u128::from(part.end - part.start);
            parts.push(part);
        }
    }
    match (specs, parts.len()) {
        (0, _) => Ranges::Whole,
        (_, 0) => Ranges::Unsatisfiable,
        _ if total > u128::from(len) => Ranges::Whole,
        _ => Ranges::Parts(parts),
    }
}

/// What follows `bytes=`; units compare without case.
fn after_unit(value: &str) -> Option<&str> {
    let (unit, list) = value.split_once('=')?;
    unit.trim_end()
        .eq_ignore_ascii_case("bytes")
        .then_some(list)
}

/// One range, empty if no byte of it exists; `None` if it is malformed.
fn part(spec: &str, len: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(len.saturating_sub(suffix)..len);
    }
    let first = number(first)?;
    let end = match last {
        "" => len,
        last => number(last)
            .filter(|last| *last >= first)?
            .saturating_add(1)
            .min(len),
    };
    Some(first.min(end)..end)
}

/// Digits and nothing else; what does not fit is larger than any representation.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// The value of a `Content-Range` field for some bytes of a whole of `len`.
pub fn content_range(part: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", part.start, part.end.saturating_sub(1))
}

/// The value of a `Content-Range` field for an answer with 416.
pub fn unsatisfied_range(len: u64) -> String {
    format!("bytes */{len}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Ranges::{Unsatisfiable, Whole};
    use super::*;

    fn of(value: &str) -> Ranges {
        resolve(value.as_bytes(), 100, 4)
    }

    fn parts(parts: &[(u64, u64)]) -> Ranges {
        Ranges::Parts(parts.iter().map(|(start, end)| *start..*end).collect())
    }

    #[test]
    fn one_range() {
        assert_eq!(of("bytes=0-0"), parts(&[(0, 1)]));
        assert_eq!(of("bytes=0-99"), parts(&[(0, 100)]));
        assert_eq!(of("bytes=0-1000"), parts(&[(0, 100)]));
        assert_eq!(of("bytes=99-"), parts(&[(99, 100)]));
        assert_eq!(of("bytes=-1"), parts(&[(99, 100)]));
        assert_eq!(of("bytes=-1000"), parts(&[(0, 100)]));
        assert_eq!(of("BYTES = 1-2"), parts(&[(1, 3)]));
        assert_eq!(of("bytes=0-99999999999999999999999"), parts(&[(0, 100)]));
    }

    #[test]
    fn several_ranges_keep_their_order_and_lose_what_is_not_there() {
        assert_eq!(
            of("bytes=50-59,0-9 , -5"),
            parts(&[(50, 60), (0, 10), (95, 100)])
        );
        assert_eq!(of("bytes=0-9,,200-"), parts(&[(0, 10)]));
    }

    #[test]
    fn overlaps_are_counted_whatever_the_length() {
        let value = b"bytes=0-40000000,0000000000000854775-";
        assert_eq!(resolve(value, u64::MAX, 16), Whole);
    }

    #[test]
    fn nothing_that_exists() {
        for value in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=100-,200-300",
        ] {
            assert_eq!(of(value), Unsatisfiable, "{value}");
        }
        assert_eq!(resolve(b"bytes=0-", 0, 4), Unsatisfiable);
    }

    #[test]
    fn malformed_or_too_much() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=0x1-2",
            "items=0-1",
            "bytes 0-1",
            "bytes=0-1;2-3",
            "bytes=0-1,x",
            "bytes=--1",
            "bytes=0-0,1-1,2-2,3-3,4-4",
            "bytes=0-,0-",
            "bytes=0-59,50-99",
            "bytes=\u{e9}-1",
        ] {
            assert_eq!(of(value), Whole, "{value}");
        }
    }

    proptest! {
        #[test]
        fn parts_exist_and_are_no_more_than_the_whole(
            value in "(bytes=)?[0-9,\\- ]{0,40}", len in 0_u64..200,
        ) {
            if let Ranges::Parts(parts) = resolve(value.as_bytes(), len, 8) {
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= len));
                prop_assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= len);
            }
        }
    }
}
