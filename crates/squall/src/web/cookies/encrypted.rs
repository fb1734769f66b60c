//! Encrypted values: ChaCha20-Poly1305 with a random nonce.
//!
//! base64url of: the format (one byte, 1), the nonce (12), and the ciphertext with its tag
//! of the time (8 bytes, seconds since 1970) and the value. The cookie's name is
//! authenticated with it, so that a value cannot be moved to another name.
//!
//! Nonces are random: a secret should be replaced before 2^32 cookies were encrypted.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{Aad, MAX_TAG_LEN, NONCE_LEN, Nonce};

use super::clock::seconds;
use super::is_fresh;
use super::keys::{Keys, random};
use crate::{Error, Result};

const FORMAT: u8 = 1;
const TIME: usize = 8;

/// Bytes around a value, before base64.
pub(crate) const OVERHEAD: usize = 1 + NONCE_LEN + TIME + MAX_TAG_LEN;

/// Encrypts a value for the cookie of that name.
pub(crate) fn seal(keys: &Keys, name: &str, value: &[u8], now: SystemTime) -> Result<String> {
    let nonce: [u8; NONCE_LEN] = random()?;
    let mut text = Vec::with_capacity(OVERHEAD + value.len());
    text.extend_from_slice(&seconds(now).to_be_bytes());
    text.extend_from_slice(value);
    let sealing = &keys.first().sealing;
    sealing
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name),
            &mut text,
        )
        .map_err(|_| Error::internal("a cookie could not be encrypted"))?;
    let mut sealed = vec![FORMAT];
    sealed.extend_from_slice(&nonce);
    sealed.append(&mut text);
    Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
}

/// The value and when it was encrypted, if it was for this name by one of the keys, and
/// not too long ago.
pub(crate) fn open(
    keys: &Keys,
    name: &str,
    text: &str,
    max_age: Duration,
    now: SystemTime,
) -> Option<Vec<u8>> {
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (&FORMAT, sealed) = sealed.split_first()? else {
        return None;
    };
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let opened = keys.all().find_map(|key| {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut text = sealed.to_vec();
        let opened = key
            .sealing
            .open_in_place(nonce, Aad::from(name), &mut text)
            .ok()?
            .len();
        text.truncate(opened);
        Some(text)
    })?;
    let (made, value) = opened.split_first_chunk::<TIME>()?;
    is_fresh(u64::from_be_bytes(*made), max_age, now).then(|| value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::cookies::MAX_AGE;

    #[test]
    fn only_the_same_name_key_and_text_open_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let keys = Keys::new("0123456789abcdef").unwrap();
        let text = seal(&keys, "a", b"secret", now).unwrap();
        assert!(!text.contains("secret"));
        assert_ne!(text, seal(&keys, "a", b"secret", now).unwrap());
        let read = |keys: &Keys, name: &str, text: &str| open(keys, name, text, MAX_AGE, now);
        assert_eq!(read(&keys, "a", &text).as_deref(), Some(&b"secret"[..]));
        assert_eq!(read(&keys, "b", &text), None);
        let new = Keys::new("fedcba9876543210").unwrap();
        assert_eq!(read(&new, "a", &text), None);
        let both = new.accept("0123456789abcdef").unwrap();
        assert_eq!(read(&both, "a", &text).as_deref(), Some(&b"secret"[..]));
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(read(&keys, "a", &changed), None, "{at}");
            assert_eq!(read(&keys, "a", &text[..at]), None, "{at}");
        }
        let late = now + MAX_AGE + Duration::from_secs(1);
        assert_eq!(open(&keys, "a", &text, MAX_AGE, late), None);
    }
}
