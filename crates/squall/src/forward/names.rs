//! `Names`: upstreams that are the addresses of a name.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use squall_loop::IoLoop;

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
}

#[derive(Debug)]
struct Found {
    members: Arc<[Arc<Upstream>]>,
    /// When somebody looks again.
    until: Option<Instant>,
}

impl Names {
    pub(super) fn of(origin: Origin) -> Self {
        let found = Found {
            members: Arc::default(),
            until: None,
        };
        Self {
            origin,
            found: Arc::new(Mutex::new(found)),
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
        let io_loop = IoLoop::current();
        let now = io_loop.now();
        let (members, is_due, is_old) = self.with(|found| {
            let passed = |until: Option<Instant>| until.is_none_or(|until| until <= now);
            let is_due = passed(found.until);
            let is_old = passed(found.until.map(|until| until + BELIEVED));
            if is_due && !found.members.is_empty() {
                // Nobody else looks meanwhile.
                found.until = Some(now + BELIEVED);
            }
            (found.members.clone(), is_due, is_old)
        });
        if members.is_empty() {
            return self.look_up(client).await;
        }
        if is_old {
            // Nobody has asked for long: they may be anywhere.
            return Ok(self.look_up(client).await.unwrap_or(members));
        }
        if is_due {
            let (names, client) = (self.clone(), client.clone());
            io_loop.spawn(async move {
                if let Err(error) = names.look_up(&client).await {
                    let name = names.origin.as_str();
                    tracing::warn!(target: "squall::forward", name, %error,
                        "the name's addresses are not found; the old ones are used");
                }
            });
        }
        Ok(members)
    }

    async fn look_up(&self, client: &AsyncHttpClient) -> io::Result<Arc<[Arc<Upstream>]>> {
        let addresses = self.origin.addresses(client).await?;
        let until = IoLoop::current().now() + BELIEVED;
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
            found.until = Some(until);
        });
        Ok(members)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Found) -> T) -> T {
        look(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
