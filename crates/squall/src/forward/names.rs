//! `Names`: upstreams that are the addresses of a name.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use squall_loop::IoLoop;
use squall_loop::sync::Lock;

use super::upstream::Upstream;
use crate::client::{AsyncHttpClient, Origin};

/// How long the addresses of a name are believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// Addresses of one name that are used.
const MAX_ADDRESSES: usize = 256;

/// The addresses of one name, looked up again in the background while the old ones are
/// used. What is known of an upstream stays as long as its address does.
#[derive(Debug, Clone)]
pub(super) struct Names {
    origin: Origin,
    found: Arc<Mutex<Found>>,
    looking: Arc<Lock>,
}

#[derive(Debug)]
struct Found {
    members: Arc<[Arc<Upstream>]>,
    /// When somebody looks again.
    due: Option<Instant>,
}

impl Names {
    pub(super) fn of(origin: Origin) -> Self {
        let found = Found {
            members: Arc::default(),
            due: None,
        };
        Self {
            origin,
            found: Arc::new(Mutex::new(found)),
            looking: Arc::default(),
        }
    }

    pub(super) fn known(&self) -> Arc<[Arc<Upstream>]> {
        self.with(|found| found.members.clone())
    }

    /// The upstreams at present. Only the first look-up is waited for, and one after a time
    /// in which nobody has asked.
    pub(super) async fn members(
        &self,
        client: &AsyncHttpClient,
    ) -> io::Result<Arc<[Arc<Upstream>]>> {
        if let Some(members) = self.believed(client) {
            return Ok(members);
        }
        // One looks, and the others wait for what it finds.
        let _looking = self.looking.acquire().await;
        if let Some(members) = self.believed(client) {
            return Ok(members);
        }
        match self.look_up(client).await {
            Err(error) if !self.known().is_empty() => {
                self.not_found(&error);
                let now = IoLoop::current().now();
                // Looked for again from now on, without anybody who waits for it.
                Ok(self.with(|found| {
                    found.due = Some(now);
                    found.members.clone()
                }))
            }
            found => found,
        }
    }

    /// Those that are known, if they may be believed: somebody has looked again a minute ago
    /// at most. Older than half of that they are looked up again meanwhile; where that fails
    /// they are kept.
    fn believed(&self, client: &AsyncHttpClient) -> Option<Arc<[Arc<Upstream>]>> {
        let io_loop = IoLoop::current();
        let now = io_loop.now();
        let (members, is_due) = self.with(|found| {
            let due = found.due.filter(|due| now < *due + BELIEVED)?;
            if due <= now {
                // Nobody else looks meanwhile.
                found.due = Some(now + BELIEVED);
            }
            Some((found.members.clone(), due <= now))
        })?;
        if is_due {
            let (names, client) = (self.clone(), client.clone());
            io_loop.spawn(async move {
                if let Err(error) = names.look_up(&client).await {
                    names.not_found(&error);
                }
            });
        }
        Some(members)
    }

    fn not_found(&self, error: &io::Error) {
        let name = self.origin.as_str();
        tracing::warn!(target: "squall::forward", name, %error,
            "the name's addresses are not found; the old ones are used");
    }

    async fn look_up(&self, client: &AsyncHttpClient) -> io::Result<Arc<[Arc<Upstream>]>> {
        let addresses = self.origin.addresses(client).await?;
        let due = IoLoop::current().now() + BELIEVED;
        let known = self.known();
        let mut members: Vec<Arc<Upstream>> = Vec::new();
        for origin in (addresses.into_iter()).filter_map(|address| self.origin.at(address)) {
            let same = |upstream: &&Arc<Upstream>| upstream.origin.as_str() == origin.as_str();
            if members.iter().any(|upstream| same(&upstream)) || members.len() >= MAX_ADDRESSES {
                continue;
            }
            let kept = known.iter().find(same).cloned();
            members.push(kept.unwrap_or_else(|| Upstream::new(origin)));
        }
        let members: Arc<[_]> = members.into();
        self.with(|found| {
            found.members = members.clone();
            found.due = Some(due);
        });
        Ok(members)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Found) -> T) -> T {
        look(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
