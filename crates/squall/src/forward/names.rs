//! `Names`: upstreams that are the addresses of a name.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use squall_loop::sync::Event;
use squall_loop::{IoLoop, say, with_timeout};

use super::upstream::Upstream;
use crate::client::{AsyncHttpClient, Origin};

/// How long the addresses of a name are believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// How long newer ones are waited for where old ones are known.
const PATIENCE: Duration = Duration::from_secs(1);
/// Addresses of one name that are used.
const MAX_ADDRESSES: usize = 256;

/// The addresses of one name, looked up again in the background while the old ones are
/// used. What is known of an upstream stays as long as its address does.
#[derive(Debug, Clone)]
pub(super) struct Names {
    origin: Origin,
    found: Arc<Mutex<Found>>,
}

#[derive(Debug, Default)]
struct Found {
    members: Arc<[Arc<Upstream>]>,
    /// When somebody looks again.
    due: Option<Instant>,
    /// The look-up that is on its way.
    look: Option<Arc<Look>>,
}

/// A look-up, for all who wait for it.
#[derive(Debug, Default)]
struct Look {
    over: Event,
    error: OnceLock<(io::ErrorKind, String)>,
}

impl Names {
    pub(super) fn of(origin: Origin) -> Self {
        Self {
            origin,
            found: Arc::default(),
        }
    }

    pub(super) fn known(&self) -> Arc<[Arc<Upstream>]> {
        self.with(|found| found.members.clone())
    }

    /// The upstreams at present. Only the first look-up is waited for, and for a moment one
    /// after a time in which nobody has asked.
    pub(super) async fn members(
        &self,
        client: &AsyncHttpClient,
    ) -> io::Result<Arc<[Arc<Upstream>]>> {
        if let Some(members) = self.believed(client) {
            return Ok(members);
        }
        let look = self.look(client);
        if self.known().is_empty() {
            look.over.wait().await;
        } else if with_timeout(PATIENCE, look.over.wait()).await.is_err() {
            self.put_up_with_it();
        }
        let members = self.known();
        match look.error.get() {
            Some((kind, why)) if members.is_empty() => Err(io::Error::new(*kind, why.clone())),
            _ => Ok(members),
        }
    }

    /// The old addresses are used, and looked for again without anybody who waits for it.
    fn put_up_with_it(&self) {
        let now = IoLoop::current().now();
        self.with(|found| found.due = found.due.max(Some(now)));
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
            self.look(client);
        }
        Some(members)
    }

    /// The look-up that is on its way, or a new one: in a task of its own, so that it does
    /// not end with the request that has begun it.
    fn look(&self, client: &AsyncHttpClient) -> Arc<Look> {
        let mut is_new = false;
        let look = self.with(|found| {
            let begin = || {
                is_new = true;
                Arc::default()
            };
            found.look.get_or_insert_with(begin).clone()
        });
        if is_new {
            let looking = Looking(self.clone(), look.clone());
            let client = client.clone();
            IoLoop::current().spawn(async move {
                let Looking(names, look) = &looking;
                if let Err(error) = names.look_up(&client).await {
                    names.not_found(&error);
                    // It is the only one to say so.
                    let _ = look.error.set((error.kind(), error.to_string()));
                }
            });
        }
        look
    }

    fn not_found(&self, error: &io::Error) {
        if self.known().is_empty() {
            return; // those who wait are told
        }
        self.put_up_with_it();
        let name = self.origin.as_str();
        say(|| {
            tracing::warn!(target: "squall::forward", name, %error,
            "the name's addresses are not found; the old ones are used")
        });
    }

    async fn look_up(&self, client: &AsyncHttpClient) -> io::Result<()> {
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
            found.members = members;
            found.due = Some(due);
        });
        Ok(())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Found) -> T) -> T {
        look(&mut self.found.lock())
    }
}

/// The task of a look-up; when it ends, however that comes, nobody waits for it any more.
struct Looking(Names, Arc<Look>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.with(|found| found.look = None);
        self.1.over.set();
    }
}
