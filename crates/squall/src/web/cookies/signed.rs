//! Signed values, in Tornado's format, version 2.
//!
//! `2|KEY|TIME|NAME|VALUE|SIGNATURE`: every field but the first and the last has its
//! length in front (`4:name`), the value is base64, the signature the HMAC-SHA256 of all
//! before it. So a value cannot be moved to another name, nor a digit from one field to the
//! next. Version 1, which has neither, is not read.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use super::clock::seconds;
use super::is_fresh;
use super::keys::Keys;

/// Bytes of a signature in hexadecimal.
const SIGNATURE: usize = 64;

/// Signs a value for the cookie of that name.
pub(super) fn sign(keys: &Keys, name: &str, value: &[u8], now: SystemTime) -> String {
    let key = keys.first();
    let mut text = "2|".to_owned();
    let mut field = |field: &str| {
        text += &format!("{}:{field}|", field.len());
    };
    field(&key.version.to_string());
    field(&seconds(now).to_string());
    field(name);
    field(&BASE64_STANDARD.encode(value));
    let signature = hmac::sign(&key.signing, text.as_bytes());
    for byte in signature.as_ref() {
        text += &format!("{byte:02x}");
    }
    text
}

/// The value, if it was signed for this name by one of the keys, and not too long ago.
pub(super) fn verify(
    keys: &Keys,
    name: &str,
    text: &str,
    max_age: Duration,
    now: SystemTime,
) -> Option<Vec<u8>> {
    let at = text.len().checked_sub(SIGNATURE)?;
    let (signed, signature) = text.split_at_checked(at)?;
    let signature = unhex(signature)?;
    let (version, rest) = field(signed.strip_prefix("2|")?)?;
    let (made, rest) = field(rest)?;
    let (named, rest) = field(rest)?;
    let (value, rest) = field(rest)?;
    let version: u32 = number(version)?;
    let is_genuine = (keys.all())
        .filter(|key| key.version == version)
        .any(|key| hmac::verify(&key.signing, signed.as_bytes(), &signature).is_ok());
    if !is_genuine || !rest.is_empty() || named != name {
        return None;
    }
    if !is_fresh(number(made)?, max_age, now) {
        return None;
    }
    BASE64_STANDARD.decode(value).ok()
}

/// Takes one field off the front: `3:abc|rest`.
fn field(text: &str) -> Option<(&str, &str)> {
    let (length, rest) = text.split_once(':')?;
    let (field, rest) = rest.split_at_checked(number(length)?)?;
    Some((field, rest.strip_prefix('|')?))
}

/// Digits, and nothing that a number parser would forgive.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Lower case only, so that there is one text for each signature.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    (text.as_bytes().chunks_exact(2))
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::cookies::MAX_AGE;

    const SECRET: &str = "0123456789abcdef-squall";
    const OLD: &str = "an old secret that was used before";

    // Made by Tornado 6.6.1:
    // create_signed_value(SECRET, "user", "grüße|1", clock=lambda: 1_700_000_000)
    const PLAIN: &str = "2|1:0|10:1700000000|4:user|12:Z3LDvMOfZXwx|7820cf191178ef09cf063b6a12891f90b4e9c91d83b7c249c8f12254c5cc0612";
    // The same with the secrets {0: OLD, 7: SECRET} and key_version=7.
    const SEVENTH: &str = "2|1:7|10:1700000000|4:user|12:Z3LDvMOfZXwx|21242382635193e890f97c3a4d1934f448b167cd097aacdbb5d538cfe99a0eb1";
    // The same with version=1.
    const FIRST_FORMAT: &str = "Z3LDvMOfZXwx|1700000000|24ce1c3ba52128f6a33fe97a20f2f11f4cd83d90";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn read(keys: &Keys, name: &str, text: &str) -> Option<String> {
        let value = verify(keys, name, text, MAX_AGE, at(1_700_000_100))?;
        String::from_utf8(value).ok()
    }

    #[test]
    fn tornados_values_are_read_and_written() {
        let keys = Keys::new(SECRET).unwrap();
        assert_eq!(read(&keys, "user", PLAIN).as_deref(), Some("grüße|1"));
        assert_eq!(
            sign(&keys, "user", "grüße|1".as_bytes(), at(1_700_000_000)),
            PLAIN
        );
        let keys = Keys::with_version(7, SECRET).unwrap();
        assert_eq!(
            sign(&keys, "user", "grüße|1".as_bytes(), at(1_700_000_000)),
            SEVENTH
        );
        assert_eq!(read(&keys, "user", PLAIN), None);
        let keys = Keys::new(OLD).unwrap();
        assert_eq!(read(&keys, "user", SEVENTH), None);
        let keys = keys.accept_version(7, SECRET).unwrap();
        assert_eq!(read(&keys, "user", SEVENTH).as_deref(), Some("grüße|1"));
        assert_eq!(read(&keys, "user", FIRST_FORMAT), None);
    }

    #[test]
    fn what_an_old_key_signed_is_read_until_it_is_taken_out() {
        let old = Keys::new(OLD).unwrap();
        let text = sign(&old, "a", b"b", at(1_700_000_000));
        let both = Keys::new(SECRET).unwrap().accept(OLD).unwrap();
        assert_eq!(read(&both, "a", &text).as_deref(), Some("b"));
        assert_eq!(read(&Keys::new(SECRET).unwrap(), "a", &text), None);
        let new = sign(&both, "a", b"b", at(1_700_000_000));
        assert_eq!(read(&old, "a", &new), None);
    }

    #[test]
    fn values_age() {
        let keys = Keys::new(SECRET).unwrap();
        let made = 1_700_000_000;
        let text = sign(&keys, "a", b"b", at(made));
        let month = MAX_AGE.as_secs();
        for (now, fresh) in [
            (made, true),
            (made + month, true),
            (made + month + 1, false),
            (made - month, true),
            (made - month - 1, false),
            (0, false),
        ] {
            assert_eq!(
                verify(&keys, "a", &text, MAX_AGE, at(now)).is_some(),
                fresh,
                "{now}"
            );
        }
        assert!(verify(&keys, "a", &text, Duration::from_secs(5), at(made + 6)).is_none());
    }

    #[test]
    fn whatever_is_changed_is_refused() {
        let keys = Keys::new(SECRET).unwrap();
        assert_eq!(read(&keys, "resu", PLAIN), None);
        for at in 0..PLAIN.len() {
            for byte in [b'0', b'1', b'|', b':', b'A', b'f'] {
                let mut bytes = PLAIN.as_bytes().to_vec();
                if bytes[at] == byte {
                    continue;
                }
                bytes[at] = byte;
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(read(&keys, "user", &changed), None, "{changed}");
            }
            assert_eq!(read(&keys, "user", &PLAIN[..at]), None);
        }
        for bad in [
            "",
            "2|",
            "|",
            "2|1:0",
            "3|1:0|",
            "2|18446744073709551616:0|",
        ] {
            assert_eq!(read(&keys, "user", bad), None);
            assert_eq!(
                read(&keys, "user", &format!("{bad}{}", "é".repeat(64))),
                None
            );
        }
    }
}
