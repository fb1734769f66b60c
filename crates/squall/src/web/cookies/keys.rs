//! `Keys`: the secrets of an application, the first of which signs.

use std::fmt;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use ring::{aead, hkdf, hmac};

use crate::{Error, Result};

/// Fewest bytes of a secret.
const SHORTEST: usize = 16;

/// The keys of signed and encrypted cookies, derived from secrets.
///
/// The first secret signs and encrypts; the others are only accepted. To change the secret,
/// put the new one in front, and take the old one out when its cookies have died.
///
/// ```
/// use squall::Keys;
///
/// let keys = Keys::new("the new secret, read from a file")?
///     .accept("the old secret, which was seen")?;
/// # Ok::<(), squall::Error>(())
/// ```
///
/// Random secrets come from `openssl rand -base64 32` and the like.
#[derive(Clone)]
#[doc(alias = "cookie_secret")]
pub struct Keys {
    keys: Vec<Arc<Key>>,
}

/// One secret's keys.
pub(super) struct Key {
    /// Tornado's `key_version`, which stands in each signed value.
    pub(super) version: u32,
    pub(super) signing: hmac::Key,
    pub(super) sealing: aead::LessSafeKey,
}

impl Keys {
    /// Keys from one secret, with the key version 0, as Tornado's `cookie_secret` that is
    /// a string.
    ///
    /// # Errors
    /// When the secret is shorter than 16 bytes.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self> {
        Self::with_version(0, secret)
    }

    /// Keys from one secret with a version, as Tornado's `key_version` in a `cookie_secret`
    /// that is a dict.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[doc(alias = "key_version")]
    pub fn with_version(version: u32, secret: impl AsRef<[u8]>) -> Result<Self> {
        Self { keys: Vec::new() }.accept_version(version, secret)
    }

    /// Keys that nobody has. What they signed is void when the program ends, so they
    /// are for tests and for trying things out.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn random() -> Result<Self> {
        Self::new(random::<32>()?)
    }

    /// Accepts what another secret has signed or encrypted, with the key version 0.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn accept(self, secret: impl AsRef<[u8]>) -> Result<Self> {
        self.accept_version(0, secret)
    }

    /// Accepts what another secret with that version has signed or encrypted.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn accept_version(mut self, version: u32, secret: impl AsRef<[u8]>) -> Result<Self> {
        let secret = secret.as_ref();
        if secret.len() < SHORTEST {
            return Err(Error::internal(format!(
                "a secret for Keys needs {SHORTEST} bytes, this one has {}",
                secret.len()
            )));
        }
        self.keys.push(Arc::new(Key {
            version,
            signing: hmac::Key::new(hmac::HMAC_SHA256, secret),
            sealing: sealing(secret)?,
        }));
        Ok(self)
    }

    /// The key that signs and encrypts.
    pub(super) fn first(&self) -> &Key {
        // There is no way to make keys without one.
        &self.keys[0]
    }

    /// Every key that is accepted.
    pub(super) fn all(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().map(|key| &**key)
    }
}

/// Signing uses the secret itself, as Tornado does; encryption a key of its own.
fn sealing(secret: &[u8]) -> Result<aead::LessSafeKey> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"squall cookies");
    let key = salt
        .extract(secret)
        .expand(&[b"encryption"], &aead::CHACHA20_POLY1305)
        .map(|key| aead::LessSafeKey::new(aead::UnboundKey::from(key)));
    key.map_err(|_| Error::internal("no key could be derived from a secret"))
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    (SystemRandom::new().fill(&mut bytes))
        .map_err(|_| Error::internal("the system has no random numbers"))?;
    Ok(bytes)
}

/// Never shows a secret.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = self.all().map(|key| key.version);
        f.debug_list().entries(versions).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn short_secrets_are_refused_and_none_is_shown() {
        for secret in ["", "fifteen bytes .."] {
            assert_eq!(Keys::new(secret).is_ok(), secret.len() >= 16, "{secret:?}");
        }
        let keys = Keys::with_version(2, "a secret of some length").unwrap();
        let keys = keys.accept("another secret of some length").unwrap();
        assert_eq!(format!("{keys:?}"), "[2, 0]");
    }
}
