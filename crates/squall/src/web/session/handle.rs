//! `Session`: a visitor's values, during one request.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sessions::Attached;
use super::store::Token;
use crate::web::cookies::{now, seconds};
use crate::web::extract::FromRequest;
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// What is remembered of a visitor; see [`session`](super).
///
/// It is an extractor, and needs the middleware [`Sessions`](super::Sessions). Values are
/// whatever serde can write as JSON. What is changed is kept when the handler has answered,
/// unless the answer is a 5xx; what a streamed body changes later is not.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Mutex<Inner>>,
}

/// What is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Seconds since 1970.
    pub(super) begun: u64,
    /// When it was last written, likewise.
    pub(super) seen: u64,
    pub(super) values: BTreeMap<String, Value>,
}

pub(super) struct Inner {
    pub(super) record: Record,
    /// The visitor's id, once it is known to be good.
    pub(super) token: Option<Token>,
    /// The id that was good before, and no longer is.
    pub(super) retired: Option<Token>,
    /// Whether the visitor has a cookie.
    pub(super) has_cookie: bool,
    pub(super) changed: bool,
    /// The most bytes of a record.
    pub(super) max_size: usize,
}

impl Session {
    pub(super) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// The value of that name.
    ///
    /// # Errors
    /// When it is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        let inner = self.lock();
        let value = inner.record.values.get(name);
        value
            .map(T::deserialize)
            .transpose()
            .map_err(|error| SessionError::misfit(name, &error))
    }

    /// Remembers a value.
    ///
    /// # Errors
    /// When it cannot be written as JSON, or the session would be too large; nothing is
    /// changed then.
    pub fn insert(&self, name: &str, value: impl Serialize) -> Result<(), SessionError> {
        let value =
            serde_json::to_value(value).map_err(|error| SessionError::misfit(name, &error))?;
        let mut inner = self.lock();
        let before = inner.record.values.insert(name.to_owned(), value.clone());
        if before.as_ref() == Some(&value) {
            return Ok(());
        }
        let size = inner.record.bytes().len();
        if size > inner.max_size {
            match before {
                Some(before) => inner.record.values.insert(name.to_owned(), before),
                None => inner.record.values.remove(name),
            };
            return Err(SessionError::too_large(size, inner.max_size));
        }
        inner.changed = true;
        Ok(())
    }

    /// Forgets a value. False: there was none.
    pub fn remove(&self, name: &str) -> bool {
        let mut inner = self.lock();
        let was_there = inner.record.values.remove(name).is_some();
        inner.changed |= was_there;
        was_there
    }

    /// Forgets everything, and the id with it: the log-out.
    pub fn flush(&self) {
        self.lock().record.values.clear();
        self.rotate();
    }

    /// Gives the session another id and begins its lifetime anew: the log-in, and
    /// whatever else raises what the visitor may do. The values stay.
    ///
    /// Whoever had put an id of theirs into the visitor's browser does not know the new
    /// one, and the old one is worth nothing.
    pub fn rotate(&self) {
        let mut inner = self.lock();
        if let Some(token) = inner.token.take() {
            inner.retired = Some(token);
        }
        inner.record.begun = seconds(now());
        inner.changed = true;
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.lock().record.values.is_empty()
    }
}

impl Record {
    pub(super) fn fresh() -> Self {
        let now = seconds(now());
        Self {
            begun: now,
            seen: now,
            values: BTreeMap::new(),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // Strings and JSON values only: this does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl FromRequest for Session {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let attached = request.extensions().get::<Attached>().cloned();
        let attached = attached.ok_or_else(|| {
            Error::internal("there are no sessions: add the middleware session::Sessions")
        })?;
        attached.session().await
    }

    fn is_absent(request: &Request) -> bool {
        request.extensions().get::<Attached>().is_none()
    }

    fn needs(needs: &mut Needs) {
        needs.provided::<Attached>("session::Sessions");
    }
}

/// Shows names, not values.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_set().entries(inner.record.values.keys()).finish()
    }
}

/// A value that a session cannot hold or give.
#[derive(Debug, Clone)]
pub struct SessionError {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    TooLarge { size: usize, limit: usize },
    Misfit(String),
}

impl SessionError {
    fn too_large(size: usize, limit: usize) -> Self {
        Self {
            kind: Kind::TooLarge { size, limit },
        }
    }

    fn misfit(name: &str, error: &serde_json::Error) -> Self {
        Self {
            kind: Kind::Misfit(format!("the session's value {name:?}: {error}")),
        }
    }

    /// Whether the session would have become larger than
    /// [`max_size`](super::Sessions::max_size).
    pub fn is_too_large(&self) -> bool {
        matches!(self.kind, Kind::TooLarge { .. })
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::TooLarge { size, limit } => write!(
                f,
                "the session would have {size} bytes, and may have {limit} (setting: max_size)"
            ),
            Kind::Misfit(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for SessionError {}
