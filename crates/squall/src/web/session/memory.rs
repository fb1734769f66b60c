//! `MemoryStore`: sessions in this process, bounded in number and size.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::ready;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use squall_loop::say;

use super::store::{SessionId, SessionStore};
use crate::Result;
use crate::web::cookies::now;

/// Keeps sessions in this process: they end with it.
///
/// It is bounded. When it is full, the session that would expire first makes room, which
/// is the one that was used longest ago.
pub struct MemoryStore {
    shelf: Mutex<Shelf>,
    max_sessions: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<SessionId, Entry>,
    /// By expiry, and by a number that tells those of the same moment apart.
    order: BTreeMap<(SystemTime, u64), SessionId>,
    bytes: usize,
    next: u64,
    evicted: u64,
}

struct Entry {
    record: Bytes,
    place: (SystemTime, u64),
}

impl MemoryStore {
    /// A store for at most 10,000 sessions of together 64 MiB.
    pub fn new() -> Self {
        Self {
            shelf: Mutex::default(),
            max_sessions: 10_000,
            max_bytes: 64 << 20,
        }
    }

    /// The most sessions: default 10,000, at least one.
    #[must_use]
    pub fn max_sessions(mut self, most: usize) -> Self {
        self.max_sessions = most.max(1);
        self
    }

    /// The most bytes of all their records: default 64 MiB. One session is always kept.
    #[must_use]
    pub fn max_bytes(mut self, most: usize) -> Self {
        self.max_bytes = most;
        self
    }

    /// How many sessions there are, those included that have expired and were not yet
    /// swept out.
    pub fn len(&self) -> usize {
        self.shelf().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock()
    }

    fn put(&self, shelf: &mut Shelf, id: &SessionId, record: Bytes, ttl: Duration) {
        let now = now();
        shelf.take(id);
        shelf.sweep(now);
        while !shelf.entries.is_empty()
            && (shelf.entries.len() >= self.max_sessions
                || shelf.bytes + record.len() > self.max_bytes)
        {
            shelf.evict();
        }
        shelf.put(id.clone(), record, now + ttl);
    }
}

impl Shelf {
    fn take(&mut self, id: &SessionId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.order.remove(&entry.place);
        self.bytes -= entry.record.len();
        Some(entry)
    }

    fn put(&mut self, id: SessionId, record: Bytes, expires: SystemTime) {
        let place = (expires, self.next);
        self.next += 1;
        self.bytes += record.len();
        self.order.insert(place, id.clone());
        self.entries.insert(id, Entry { record, place });
    }

    /// Removes what has expired.
    fn sweep(&mut self, now: SystemTime) {
        while let Some(((expires, _), id)) = self.order.first_key_value()
            && *expires <= now
        {
            let id = id.clone();
            self.take(&id);
        }
    }

    /// Removes what would expire first.
    fn evict(&mut self) {
        let Some((_, id)) = self.order.first_key_value() else {
            return;
        };
        let id = id.clone();
        self.take(&id);
        self.evicted += 1;
        if self.evicted.is_power_of_two() {
            say(|| {
                tracing::warn!(
                    target: "squall::web",
                    evicted = self.evicted,
                    "sessions had to make room for others (settings: max_sessions, max_bytes)"
                );
            });
        }
    }
}

impl SessionStore for MemoryStore {
    fn load(&self, id: &SessionId) -> impl Future<Output = Result<Option<Bytes>>> + Send {
        let now = now();
        let shelf = self.shelf();
        let entry = shelf.entries.get(id).filter(|entry| entry.place.0 > now);
        ready(Ok(entry.map(|entry| entry.record.clone())))
    }

    fn create(
        &self,
        id: &SessionId,
        record: Bytes,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send {
        self.put(&mut self.shelf(), id, record, ttl);
        ready(Ok(()))
    }

    fn update(
        &self,
        id: &SessionId,
        record: Bytes,
        ttl: Duration,
    ) -> impl Future<Output = Result<bool>> + Send {
        let mut shelf = self.shelf();
        let is_there = shelf.entries.contains_key(id);
        if is_there {
            self.put(&mut shelf, id, record, ttl);
        }
        ready(Ok(is_there))
    }

    fn remove(&self, id: &SessionId) -> impl Future<Output = Result<()>> + Send {
        self.shelf().take(id);
        ready(Ok(()))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.len())
            .field("max_sessions", &self.max_sessions)
            .field("max_bytes", &self.max_bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Token;
    use super::*;

    /// How many of these sessions are still there.
    fn left(store: &MemoryStore, ids: &[SessionId]) -> Vec<bool> {
        let shelf = store.shelf();
        ids.iter()
            .map(|id| shelf.entries.contains_key(id))
            .collect()
    }

    fn put(store: &MemoryStore, id: &SessionId, record: Bytes, ttl: Duration) {
        store.put(&mut store.shelf(), id, record, ttl);
    }

    #[test]
    fn it_is_bounded_in_number_and_bytes() {
        let ids: Vec<_> = (0..4).map(|_| Token::fresh().unwrap().id()).collect();
        let hour = Duration::from_secs(3600);
        let store = MemoryStore::new().max_sessions(2);
        put(&store, &ids[0], Bytes::from("a"), hour * 3);
        put(&store, &ids[1], Bytes::from("b"), hour);
        put(&store, &ids[2], Bytes::from("c"), hour * 2);
        assert_eq!(left(&store, &ids), [true, false, true, false]);
        let store = MemoryStore::new().max_bytes(10);
        put(&store, &ids[0], Bytes::from("1234"), hour);
        put(&store, &ids[1], Bytes::from("1234"), hour);
        put(&store, &ids[0], Bytes::from("123456"), hour);
        assert_eq!(left(&store, &ids), [true, true, false, false]);
        put(&store, &ids[2], Bytes::from("12"), hour);
        assert_eq!(left(&store, &ids), [true, false, true, false]);
        put(&store, &ids[3], Bytes::from("more than fits"), hour);
        assert_eq!(left(&store, &ids), [false, false, false, true]);
        assert_eq!(store.shelf().bytes, 14);
        assert_eq!(store.shelf().order.len(), 1);
    }

    #[test]
    fn what_has_expired_is_swept_out() {
        let ids: Vec<_> = (0..2).map(|_| Token::fresh().unwrap().id()).collect();
        let store = MemoryStore::new();
        put(&store, &ids[0], Bytes::from("a"), Duration::ZERO);
        put(&store, &ids[1], Bytes::from("b"), Duration::from_secs(60));
        assert_eq!(left(&store, &ids), [false, true]);
    }
}
