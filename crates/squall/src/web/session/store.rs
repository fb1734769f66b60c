//! `SessionStore`: where sessions are kept between requests.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::digest;

use crate::Result;
use crate::web::cookies::random;

/// Keeps sessions by id, such as a table or Redis.
///
/// A record is JSON that the store need not understand. What has outlived its `ttl` may be
/// forgotten, and so may anything when there is too much of it: the visitor then has a
/// fresh session. [`MemoryStore`](super::MemoryStore) is an example.
///
/// The methods may block, as handlers may.
///
/// # Cancel safety
/// The futures may be dropped at any `.await`, when the client goes away. The record must
/// be the old one or the new one then.
pub trait SessionStore: Send + Sync + 'static {
    /// The record of that id.
    ///
    /// # Errors
    /// When the store fails; it is not an error that there is none.
    fn load(&self, id: &SessionId) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// Keeps the record of an id that was just made, for as long as `ttl`.
    ///
    /// # Errors
    /// When the store fails.
    fn create(
        &self,
        id: &SessionId,
        record: Bytes,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Replaces the record of an id, from now on for as long as `ttl`. False, and
    /// nothing is kept, when there is none any more: it was removed meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    fn update(
        &self,
        id: &SessionId,
        record: Bytes,
        ttl: Duration,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Forgets the id.
    ///
    /// # Errors
    /// When the store fails; it is not an error that there is none.
    fn remove(&self, id: &SessionId) -> impl Future<Output = Result<()>> + Send;
}

/// The digest of a session's id, in base64url (43 characters). Who reads a store cannot
/// use the sessions in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the visitor has: the id itself. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(String);

impl Token {
    pub(super) fn fresh() -> Result<Self> {
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?)))
    }

    /// A visitor's, if it looks like one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let known = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        (known.len() == 32).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn id(&self) -> SessionId {
        let digest = digest::digest(&digest::SHA256, self.0.as_bytes());
        SessionId(BASE64_URL_SAFE_NO_PAD.encode(digest))
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A store with its type forgotten.
pub(super) trait AnyStore: Send + Sync {
    fn load<'a>(&'a self, id: &'a SessionId) -> Boxed<'a, Option<Bytes>>;
    fn create<'a>(&'a self, id: &'a SessionId, record: Bytes, ttl: Duration) -> Boxed<'a, ()>;
    fn update<'a>(&'a self, id: &'a SessionId, record: Bytes, ttl: Duration) -> Boxed<'a, bool>;
    fn remove<'a>(&'a self, id: &'a SessionId) -> Boxed<'a, ()>;
}

impl<S: SessionStore> AnyStore for S {
    fn load<'a>(&'a self, id: &'a SessionId) -> Boxed<'a, Option<Bytes>> {
        Box::pin(SessionStore::load(self, id))
    }

    fn create<'a>(&'a self, id: &'a SessionId, record: Bytes, ttl: Duration) -> Boxed<'a, ()> {
        Box::pin(SessionStore::create(self, id, record, ttl))
    }

    fn update<'a>(&'a self, id: &'a SessionId, record: Bytes, ttl: Duration) -> Boxed<'a, bool> {
        Box::pin(SessionStore::update(self, id, record, ttl))
    }

    fn remove<'a>(&'a self, id: &'a SessionId) -> Boxed<'a, ()> {
        Box::pin(SessionStore::remove(self, id))
    }
}
