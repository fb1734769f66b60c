//! `Digests`: challenges that were met, so that the next request need not be asked first.
//!
//! A nonce may be used again with a count that grows (RFC 7616 section 3.3), until the server
//! calls it stale, or names the next one. It is for one origin and one user.

use std::collections::HashMap;

use http::Method;
use parking_lot::Mutex;
use squall_http::Headers;
use squall_http::wire::multipart::random_boundary;

use super::address::Address;
use super::digest::{Challenge, Credentials, next_nonce};

/// Challenges kept. Beyond it all are forgotten: they cost one more request each.
const MAX_KNOWN: usize = 256;

#[derive(Default)]
pub(super) struct Digests(Mutex<HashMap<(String, String), Known>>);

struct Known {
    challenge: Challenge,
    /// How often its nonce was used.
    count: u32,
}

impl Digests {
    /// The proof for a request, if the last challenge to this user is known.
    pub(super) fn proof(
        &self,
        url: &Address,
        credentials: &Credentials,
        method: &Method,
    ) -> Option<Vec<u8>> {
        let mut known = self.0.lock();
        let known = known.get_mut(&key(url, credentials))?;
        known.count = known.count.checked_add(1)?;
        let cnonce = random_boundary().ok()?;
        let (challenge, count) = (&known.challenge, known.count);
        Some(challenge.answer(credentials, method, url.target(), &cnonce, count))
    }

    /// The proof for a challenge, which is remembered.
    pub(super) fn meet(
        &self,
        url: &Address,
        credentials: &Credentials,
        method: &Method,
        challenge: Challenge,
    ) -> Option<Vec<u8>> {
        let cnonce = random_boundary().ok()?;
        let proof = challenge.answer(credentials, method, url.target(), &cnonce, 1);
        if challenge.lasts() {
            let mut known = self.0.lock();
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            let count = 1;
            known.insert(key(url, credentials), Known { challenge, count });
        }
        Some(proof)
    }

    /// The server wants to hear no more of it.
    pub(super) fn forget(&self, url: &Address, credentials: &Credentials) {
        self.0.lock().remove(&key(url, credentials));
    }

    /// Takes in the nonce that the server names for the next request.
    pub(super) fn note(&self, url: &Address, credentials: &Credentials, headers: &Headers) {
        let Some(nonce) = next_nonce(headers) else {
            return;
        };
        if let Some(known) = self.0.lock().get_mut(&key(url, credentials)) {
            known.challenge.nonce = nonce;
            known.count = 0;
        }
    }
}

fn key(url: &Address, credentials: &Credentials) -> (String, String) {
    (url.origin().to_owned(), credentials.user.clone())
}
